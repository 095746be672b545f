"""What `tables=` says otherwise than the database is found, told at a start with its remedy, and compared once."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Column, ForeignKey, Index, Integer, MetaData, Numeric, String, Table, text

from meristem.runtime import schema
from meristem.storage import migrations
from meristem.storage.database import Database, database_for


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/rooms.db"


@pytest.fixture
async def rooms(url: str) -> AsyncIterator[Database]:
    database = database_for(url, name="rooms")
    await database.start()
    yield database
    await database.stop()


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    return tmp_path / "versions"


def declared(*columns: Column[object], more: bool = False) -> MetaData:
    metadata = MetaData()
    Table("rooms", metadata, Column("id", Integer, primary_key=True), Column("price", Numeric(10, 2)), *columns)
    if more:
        Table("guests", metadata, Column("room", ForeignKey("rooms.id")), Index("by_room", "room"))
    return metadata


async def start(database: Database, versions: Path, tables: MetaData) -> None:
    await schema.upgrade(database, versions, lambda: tables)


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (declared(), declared(Column("floor", Integer)), "column rooms.floor is only in `tables=`"),
        (declared(Column("floor", Integer)), declared(), "column rooms.floor is only in the database"),
        (
            declared(Column("floor", Integer)),
            declared(Column("floor", String(9), nullable=False)),
            "column rooms.floor has another nullable, column rooms.floor has another type",
        ),
        (
            declared(Column("floor", Integer)),
            declared(Column("floor", Integer, index=True)),
            "index ix_rooms_floor of rooms is only in `tables=`",
        ),
        (declared(), declared(more=True), "index by_room of guests is only in `tables=`, table guests is only in"),
    ],
)
async def test_what_no_revision_makes_is_told_at_each_start_and_by_the_check(
    rooms, versions, caplog, before, after, told
):
    await migrations.revision(rooms, versions, "rooms appear", before)
    await start(rooms, versions, before)
    assert (await schema.pending(rooms, versions, lambda: before), caplog.text) == ([], "")

    for _ in range(2):
        caplog.clear()
        await start(rooms, versions, after)
        assert told in caplog.text
        assert "`meristem migrate --new MESSAGE --service rooms`" in caplog.text
    assert ", ".join(await schema.pending(rooms, versions, lambda: after)).startswith(told)
    with caplog.at_level(logging.WARNING):
        await schema.check(rooms, versions, lambda: after)
    assert caplog.text.count(told) == 2


async def test_tables_that_were_made_without_revisions_are_compared_too(rooms, versions, caplog):
    before, after = declared(), declared(Column("floor", Integer))
    await start(rooms, versions, before)
    await start(rooms, versions, declared(more=True))  # a table more is made, which is no difference
    assert caplog.text == ""

    await start(rooms, versions, after)

    assert "column rooms.floor is only in `tables=`; bring `tables=` back, write the first revision" in caplog.text
    assert await schema.pending(rooms, versions, lambda: after) == ["column rooms.floor is only in `tables=`"]


async def test_a_table_that_only_the_database_has_is_its_own_affair(rooms, versions, caplog):
    await start(rooms, versions, declared(more=True))
    async with rooms.begin() as tx:
        await tx.execute(text("CREATE VIRTUAL TABLE words USING fts5(word)"))

    await start(rooms, versions, declared())

    assert (await schema.pending(rooms, versions, declared), caplog.text) == ([], "")


async def test_what_newer_releases_have_added_is_no_drift(rooms, versions, caplog):
    before, after = declared(), declared(Column("floor", Integer))
    await migrations.revision(rooms, versions, "rooms appear", before)
    await start(rooms, versions, before)
    added = await migrations.revision(rooms, versions, "rooms have floors", after, compatible=True)
    await start(rooms, versions, after)
    assert added is not None
    added.unlink()

    await start(rooms, versions, before)

    assert (await schema.pending(rooms, versions, lambda: before), caplog.text) == ([], "")


@pytest.mark.parametrize("migrated", [False, True])
async def test_a_start_that_finds_nothing_new_compares_nothing(url, rooms, versions, migrated, tmp_path):
    if migrated:
        await migrations.revision(rooms, versions, "rooms appear", declared())
    await start(rooms, versions, declared())
    program = tmp_path / "starts.py"
    program.write_text(
        "import asyncio, sys; from pathlib import Path; from sqlalchemy import *\n"
        "from meristem.runtime import schema; from meristem.storage.database import database_for\n"
        "metadata = MetaData()\n"
        "Table('rooms', metadata, Column('id', Integer, primary_key=True), Column('price', Numeric(10, 2)))\n"
        "async def start():\n"
        f"    rooms = database_for({url!r}); await rooms.start()\n"
        f"    await schema.upgrade(rooms, Path({str(versions)!r}), lambda: metadata); await rooms.stop()\n"
        "asyncio.run(start()); assert 'alembic' not in sys.modules\n"
    )

    process = await asyncio.create_subprocess_exec(sys.executable, program)
    assert await process.wait() == 0
