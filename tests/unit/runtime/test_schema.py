"""The tables of a service's database, as the next release finds and changes them."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, select, text

from meristem import Contract, Service, System, safe
from meristem.errors import ConfigurationError
from meristem.runtime import schema
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.storage.database import Database, database_for
from meristem.storage.lease import Lease, replicas
from meristem.storage.owner import new_owner
from meristem.storage.survival import Survival
from meristem.system.blueprint import Blueprint

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


TABLES = MetaData()
ROOMS = Table("rooms", TABLES, Column("id", Integer, primary_key=True))
CONTRACTS = """
from alembic import op
revision, down_revision, compatible = "second", "first", False
def upgrade(): op.execute("ALTER TABLE rooms DROP COLUMN old")
"""


class Rooms(Contract, Protocol, package="rooms.v1"):
    @safe
    async def rooms(self) -> list[int]: ...


class RoomsService(Rooms, Service, tables=TABLES):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def rooms(self) -> list[int]:
        return await self.database.fetch_all(select(ROOMS.c.id), into=int)


@pytest.mark.parametrize(
    ("beside", "development", "refused"),
    [("older", False, True), ("without old", False, False), ("older", True, False), (None, False, False)],
)
async def test_a_start_takes_away_nothing_that_a_replica_uses_unless_it_is_in_development(
    tmp_path: Path,
    versions: Path,
    monkeypatch: pytest.MonkeyPatch,
    beside: str | None,
    development: bool,
    refused: bool,
):
    (versions / "first.py").write_text(
        FIRST.replace("pass", "op.execute('CREATE TABLE rooms (id INTEGER, old INTEGER)')") + "from alembic import op\n"
    )
    monkeypatch.setattr("meristem.runtime.storage.migrations_of", lambda _: versions)
    url = f"sqlite:///{tmp_path}/rooms.db"

    def release(name: str, *, of_development: bool) -> Assembly:
        options = Options(database=url, instance=name, development=of_development, environment={})
        return Assembly(Blueprint(System("rooms", services=[RoomsService])), "main", options)

    older = MetaData()
    Table("rooms", older, Column("id", Integer), Column("old", Integer))
    with monkeypatch.context() as before:
        if beside == "older":
            before.setattr(RoomsService, "tables", older)
        first = release("rooms-0", of_development=False)
        await first.start()
    if beside is None:
        await first.stop()
    (versions / "second.py").write_text(CONTRACTS)

    following = release("rooms-1", of_development=development)
    if refused:
        with pytest.raises(ConfigurationError, match="second is not survived by a release .*: it drops rooms.old; "):
            await following.start()
        database = first.instances["rooms"].database
        assert database is not None
        assert await schema.pending(database, versions, lambda: None) == ["second"]
        assert [each.verdict for each in await schema.plan(database, versions)] == [Survival.UNSAFE]
    else:
        await following.start()
    for each in (following, first):
        await each.stop()


async def test_a_revision_of_the_frameworks_own_tables_asks_for_consent_where_older_ones_cannot_live_with_it(
    database: Database, versions: Path
):
    """A database of a release that lacked the last revision of each of the framework's rooms."""
    assert {each.verdict for each in await schema.plan(database, versions)} == {Survival.SAFE}  # it is new
    await schema.upgrade(database, versions, lambda: None)
    assert await schema.plan(database, versions) == []
    async with database.begin() as tx:
        await tx.execute(text("DELETE FROM meristem_revision WHERE name = '003_scoped_keys'"))

    [planned] = await schema.plan(database, versions)

    assert (planned.revision, planned.verdict) == ("sagas 003_scoped_keys", Survival.UNSAFE)
    assert any("ADD COLUMN asked" in each for step in planned.steps for each in step.statements)
    with pytest.raises(ConfigurationError, match="revision sagas 003_scoped_keys is not survived by"):
        await schema.upgrade(database, versions, lambda: None)
