"""The tables of a service's database, as the next release finds and changes them."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from meristem.runtime import schema
from meristem.storage.database import Database, database_for
from meristem.storage.lease import Lease, replicas
from meristem.storage.owner import new_owner

FIRST = """
revision, down_revision, compatible = "first", None, False
def upgrade(): pass
"""


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = database_for(f"sqlite:///{tmp_path}/rooms.db", name="rooms")
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "first.py").write_text(FIRST)
    return versions


def release(versions: Path, *, compatible: bool) -> None:
    """Add a revision after the first."""
    text = FIRST.replace("None, False", f"'first', {compatible}").replace('"first"', '"second"')
    (versions / "second.py").write_text(text)


@pytest.mark.parametrize("compatible", [True, False])
async def test_replicas_that_run_on_what_a_revision_takes_from_them_are_named(
    database: Database, versions: Path, compatible: bool, caplog: pytest.LogCaptureFixture
):
    await schema.upgrade(database, versions, lambda: None)
    earlier, ended = Lease(database, "rooms-0"), Lease(database, "rooms-1")
    for each in (earlier, ended):
        await each.start()
    await ended.stop()
    release(versions, compatible=compatible)

    with caplog.at_level(logging.WARNING):
        assert await schema.upgrade(database, versions, lambda: None) == ["second"]
        assert await schema.upgrade(database, versions, lambda: None) == []

    told = ["database 'rooms' was changed by second, not marked as compatible, while rooms-0 ran on it"]
    assert [each.getMessage().partition(":")[0] for each in caplog.records] == ([] if compatible else told)
    await earlier.stop()


async def test_a_replica_that_starts_beside_the_one_that_migrates_is_not_named(
    database: Database, versions: Path, caplog: pytest.LogCaptureFixture
):
    """Two start on a new database: the second joins while the first has yet to look who runs there."""
    joins = f"INSERT INTO meristem_member (name, process, beat) VALUES ('rooms-1', '{new_owner()}', 0)"
    (versions / "first.py").write_text(
        f"from alembic import op\n{FIRST}".replace("pass", f'op.execute(r"""{joins}""")')
    )

    with caplog.at_level(logging.WARNING):
        assert "first" in await schema.upgrade(database, versions, lambda: None)

    assert await replicas(database) == ["rooms-1"]
    assert caplog.records == []


async def test_a_database_on_which_nothing_runs_is_changed_without_a_word(
    database: Database, versions: Path, caplog: pytest.LogCaptureFixture
):
    release(versions, compatible=False)

    with caplog.at_level(logging.WARNING):
        assert "second" in await schema.upgrade(database, versions, lambda: None)

    assert caplog.records == []
