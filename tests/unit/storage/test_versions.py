"""The framework's tables have versions: what a database was brought to, by whom, and who may still run on it."""

import asyncio
import signal
import sqlite3
import sys
from pathlib import Path

import pytest

from meristem.errors import ConfigurationError, StorageError
from meristem.storage.database import database_for
from meristem.storage.versions import Revision, Schema
from tests.unit.storage.boxes import BROKEN, FIRST, NEWEST, NEXT, SECOND, created, shape, with_revisions

VICTIM = Path(__file__).parent / "migration_victim.py"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "boxes.db"


async def opened(file: Path, *schemas: Schema) -> list[str]:
    """What a release of these schemas applies when it opens the database."""
    database = database_for(f"sqlite:///{file}", name="boxes")
    await database.start()
    try:
        return await database.upgrade(schemas)
    finally:
        await database.stop()


def recorded(file: Path) -> list[tuple[str, str, int]]:
    with sqlite3.connect(file) as connection:
        return connection.execute("SELECT room, name, compatible FROM meristem_revision ORDER BY rowid").fetchall()


def changes(file: Path) -> int:
    """How often the schema was changed."""
    with sqlite3.connect(file) as connection:
        return connection.execute("PRAGMA schema_version").fetchone()[0]


async def test_a_fresh_database_gets_the_newest_shape_which_is_the_one_that_migrations_lead_to(file, tmp_path):
    fresh = tmp_path / "fresh.db"
    await opened(file, FIRST)

    assert await opened(file, NEWEST) == ["boxes 002_weight", "boxes 003_labels"]
    assert await opened(fresh, NEWEST) == ["boxes 001_tables", "boxes 002_weight", "boxes 003_labels"]
    assert shape(file) == shape(fresh)
    assert recorded(file) == recorded(fresh)


async def test_what_is_up_to_date_is_left_alone(file):
    await opened(file, NEWEST)
    before = changes(file)

    assert await opened(file, NEWEST) == []
    assert changes(file) == before


async def test_a_database_from_before_there_were_records_is_at_the_first_revision(file):
    created(file, "blue", "red")

    assert await opened(file, NEWEST) == ["boxes 001_tables", "boxes 002_weight", "boxes 003_labels"]
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT name, weight FROM meristem_box ORDER BY id").fetchall() == [
            ("blue", 0),
            ("red", 0),
        ]
        assert connection.execute("SELECT text FROM meristem_label ORDER BY text").fetchall() == [("BLUE",), ("RED",)]


async def test_of_replicas_that_start_at_once_one_migrates_and_the_others_find_it_done(file):
    created(file, "blue")

    applied = await asyncio.gather(*(opened(file, NEWEST) for _ in range(4)))

    assert sorted(each for one in applied for each in one) == [
        "boxes 001_tables",
        "boxes 002_weight",
        "boxes 003_labels",
    ]


async def test_a_revision_that_fails_leaves_neither_its_changes_nor_its_record(file):
    await opened(file, SECOND)
    before = shape(file)

    with pytest.raises(StorageError, match="nowhere"):
        await opened(file, with_revisions(SECOND, BROKEN))

    assert shape(file) == before
    assert await opened(file, NEXT) == ["boxes 003_labels"]


@pytest.mark.parametrize("moment", range(9))
async def test_a_process_killed_in_a_migration_leaves_the_old_shape_or_the_new_never_half(file, tmp_path, moment):
    """Moments: before each statement of the migrating transactions, before each commit, and after it."""
    shapes = []
    for name, schema in (("first", FIRST), ("second", SECOND), ("newest", NEWEST)):
        created(tmp_path / name, "blue")
        await opened(tmp_path / name, schema)
        shapes.append(shape(tmp_path / name))
    created(file, "blue")
    shapes.append(shape(file))

    process = await asyncio.create_subprocess_exec(sys.executable, VICTIM, str(file), str(moment))
    assert await process.wait() == -signal.SIGKILL

    assert shape(file) in shapes
    await opened(file, NEWEST)
    assert shape(file) == shapes[2]
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT text FROM meristem_label").fetchall() == [("BLUE",)]


async def test_an_older_release_runs_on_what_compatible_revisions_left(file):
    await opened(file, SECOND)

    assert await opened(file, FIRST) == []


async def test_an_older_release_is_refused_in_one_sentence_by_what_it_cannot_work_with(file):
    await opened(file, NEWEST)

    for older in (FIRST, SECOND):
        with pytest.raises(ConfigurationError) as refused:
            await opened(file, older)
        assert str(refused.value) == (
            "database 'boxes' was migrated by a newer release (boxes 003_labels) to a shape that this release can't "
            "work with: run the newer release, or restore a backup that was made before it"
        )


async def test_a_room_that_an_older_release_does_not_have_counts_too(file):
    await opened(file, FIRST, NEWEST._replace(room="crates", anchor="none", revisions=[Revision("001", False)]))

    with pytest.raises(ConfigurationError, match="crates 001"):
        await opened(file, FIRST)


async def test_what_is_pending_is_told_without_a_change(file):
    database = database_for(f"sqlite:///{file}", name="boxes")
    await database.start()
    await database.upgrade([FIRST])

    assert await database.pending([NEWEST]) == ["boxes 002_weight", "boxes 003_labels"]
    assert await database.pending([FIRST]) == []
    await database.stop()
