"""What a plan tells of locks is what the server does, and a migration that waits for one lets others go by."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from unittest import mock

import pytest
from sqlalchemy import Column, Index, Integer, MetaData, Table, insert, text

from meristem.errors import StorageUnavailable
from meristem.storage import lock_patience, migrations
from meristem.storage.database import Database, database_for
from meristem.storage.foresight import foresee
from meristem.storage.postgresql import lock_probe, migration
from meristem.storage.scope import outside_units
from meristem.storage.survival import Survival
from tests.suites.postgresql import schema_of_its_own
from tests.unit.storage import boxes

HEAD = """
import sqlalchemy as sa
from alembic import op
revision, down_revision, compatible = {0!r}, {1!r}, True

def upgrade():
    """
FIRST = """op.create_table("hotels", sa.Column("id", sa.Integer, primary_key=True))
    op.create_table(
        "rooms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(20), index=True),
        sa.Column("floor", sa.Integer),
        sa.Column("hotel", sa.Integer),
        sa.CheckConstraint("hotel > 0", name="a_hotel"),
    )
"""
SAFE, LOOK, UNSAFE = Survival
PATIENCE = 60.0  # seconds for what takes one on an idle machine
ALTER = "op.execute('ALTER TABLE rooms {}')"


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    (tmp_path / "first.py").write_text(HEAD.format("first", None) + FIRST)
    return tmp_path


@pytest.fixture
async def rooms(versions: Path) -> AsyncIterator[Database]:
    """A database at the first revision."""
    async with schema_of_its_own() as url:
        rooms = database_for(url, name="rooms")
        await migrations.upgrade(rooms, versions)
        await rooms.start()
        yield rooms
        await rooms.stop()


EXCLUSIVE = "locks rooms (ACCESS EXCLUSIVE)"
INDEXED, REFERRED = "locks rooms (SHARE)", "locks rooms (SHARE ROW EXCLUSIVE)"


@pytest.mark.parametrize(
    ("body", "locks", "does"),
    [
        ("op.add_column('rooms', sa.Column('note', sa.Text))", [EXCLUSIVE], ""),
        (ALTER.format("ADD COLUMN beds integer NOT NULL DEFAULT 1"), [EXCLUSIVE], ""),
        (ALTER.format("ADD COLUMN made timestamptz DEFAULT clock_timestamp()"), [EXCLUSIVE], "writes it anew"),
        ("op.alter_column('rooms', 'floor', type_=sa.BigInteger)", [EXCLUSIVE], "writes it anew"),
        ("op.alter_column('rooms', 'name', type_=sa.String(80))", [EXCLUSIVE], ""),
        ("op.alter_column('rooms', 'name', type_=sa.Text)", [EXCLUSIVE], ""),
        ("op.alter_column('rooms', 'name', type_=sa.String(8))", [EXCLUSIVE], "writes it anew"),
        ("op.alter_column('rooms', 'name', nullable=False)", [EXCLUSIVE], "reads all of it"),
        ("op.alter_column('rooms', 'name', new_column_name='title')", [EXCLUSIVE], ""),
        ("op.drop_column('rooms', 'floor')", [EXCLUSIVE], ""),
        ("op.rename_table('rooms', 'chambers')", [EXCLUSIVE], ""),
        ("op.drop_table('rooms')", [EXCLUSIVE], ""),
        ("op.create_check_constraint('c', 'rooms', 'floor > 0')", [EXCLUSIVE], "reads all of it"),
        (ALTER.format("ADD CONSTRAINT c CHECK (floor > 0) NOT VALID"), [EXCLUSIVE], ""),
        ("op.create_index('i', 'rooms', ['floor'])", [INDEXED], "reads all of it"),
        ("op.create_index('i', 'rooms', ['floor'], unique=True)", [INDEXED], "reads all of it"),
        ("op.create_unique_constraint('u', 'rooms', ['floor'])", [EXCLUSIVE], "reads all of it"),
        ("op.drop_index('ix_rooms_name')", [EXCLUSIVE], ""),
        (
            "op.create_foreign_key('f', 'rooms', 'hotels', ['hotel'], ['id'])",
            ["locks hotels (SHARE ROW EXCLUSIVE)", REFERRED],
            "reads all of it",
        ),
        (
            ALTER.format("ADD CONSTRAINT f FOREIGN KEY (hotel) REFERENCES hotels (id) NOT VALID"),
            ["locks hotels (SHARE ROW EXCLUSIVE)", REFERRED],
            "",
        ),
        ("op.execute(\"COMMENT ON COLUMN rooms.floor IS '100%'\")", ["locks rooms (SHARE UPDATE EXCLUSIVE)"], ""),
    ],
)  # fmt: skip
async def test_the_lock_of_each_statement_is_seen_in_the_server(rooms, versions, body: str, locks, does: str):
    (versions / "second.py").write_text(HEAD.format("second", "first") + body)

    with mock.patch.object(lock_probe, "LARGE", 0):
        [planned] = await foresee(rooms, versions, ())

    assert planned.fails is None
    told = [each for each in planned.effects if each.what.startswith("locks ")]
    assert sorted(each.what.partition(" and ")[0] for each in told) == locks
    of_rooms = [each for each in told if each.what.startswith("locks rooms")]
    assert [each.what.partition(" and ")[2].partition(":")[0] for each in of_rooms] == [does] * len(of_rooms)
    assert [each.verdict for each in of_rooms] == [UNSAFE if does else SAFE] * len(of_rooms)
    assert all(bool(each.instead) == bool(does) for each in of_rooms)


@pytest.mark.parametrize(
    "body",
    [
        "op.execute('DO $$ BEGIN ALTER TABLE rooms DROP COLUMN floor; END $$')",
        (
            "op.execute('CREATE FUNCTION less() RETURNS void LANGUAGE sql AS $$ ALTER TABLE rooms DROP floor $$')\n"
            "    op.execute('SELECT less()')"
        ),
    ],
    ids=["block", "function"],
)
async def test_what_is_done_in_the_server_is_judged_as_well(rooms, versions, body: str):
    (versions / "second.py").write_text(HEAD.format("second", "first") + body)

    [planned] = await foresee(rooms, versions, ())

    assert "drops rooms.floor" in [each.what for each in planned.effects if each.verdict is UNSAFE]


@pytest.mark.filterwarnings("ignore:Did not recognize type")
async def test_what_else_a_table_has_is_in_the_twin_and_what_no_twin_has_is_left_out(rooms, versions):
    async with rooms.begin() as tx:
        for each in (
            "CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
            "CREATE TRIGGER keeps BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION kept()",
            "CREATE MATERIALIZED VIEW kept_rooms AS SELECT id FROM rooms",
            "CREATE VIEW over_it AS SELECT id FROM kept_rooms",
            "CREATE VIEW narrow AS SELECT id FROM rooms",
            "CREATE VIEW a_view_over_narrow AS SELECT id FROM narrow",
            "CREATE TYPE mood AS ENUM ('glad', 'sad')",
            "ALTER TABLE rooms ADD mood mood",
        ):
            await tx.execute(text(each))
    body = "op.execute('DROP TRIGGER keeps ON rooms')\n    op.drop_column('rooms', 'floor')\n    "
    body += "op.execute('DROP VIEW a_view_over_narrow')"
    (versions / "second.py").write_text(HEAD.format("second", "first") + body)

    [planned] = await foresee(rooms, versions, ())

    assert planned.fails is None
    assert [next(each.verdict for each in step.effects) for step in planned.steps] == [LOOK, UNSAFE, UNSAFE]


async def test_a_lock_is_told_once_since_it_is_held_to_the_end(rooms, versions):
    body = "op.drop_column('rooms', 'floor')\n    op.create_index('i', 'rooms', ['hotel'])\n    op.drop_table('hotels')"
    (versions / "second.py").write_text(HEAD.format("second", "first") + body)

    [planned] = await foresee(rooms, versions, ())

    assert [[each.what for each in step.effects if each.what.startswith("locks ")] for step in planned.steps] == [
        ["locks rooms (ACCESS EXCLUSIVE)"],
        ["locks rooms (SHARE; ACCESS EXCLUSIVE is held already) and reads all of it: 0.0 MB"],
        ["locks hotels (ACCESS EXCLUSIVE)"],
    ]


async def test_a_large_table_alone_makes_its_lock_unsafe(rooms, versions):
    (versions / "second.py").write_text(HEAD.format("second", "first") + "op.create_index('i', 'rooms', ['hotel'])")

    [small] = await foresee(rooms, versions, ())
    with mock.patch.object(lock_probe, "LARGE", 0):
        [large] = await foresee(rooms, versions, ())

    assert (small.verdict, large.verdict) == (SAFE, UNSAFE)
    assert "CREATE INDEX CONCURRENTLY" in [*large.effects][-1].instead
    fills = "op.add_column('rooms', sa.Column('note', sa.Text))\n    op.execute(\"UPDATE rooms SET note = '5%'\")"
    (versions / "second.py").write_text(HEAD.format("second", "first") + fills)
    with mock.patch.object(lock_probe, "LARGE", 0):
        [large] = await foresee(rooms, versions, ())
    assert large.steps[1].statements == ["UPDATE rooms SET note = '5%'"]
    assert [(each.verdict, each.what.partition(":")[0]) for each in large.steps[1].effects] == [
        (SAFE, "fills note of rooms, which the running release does not use"),
        (LOOK, "locks the rows of rooms that it changes"),
    ]


def impatient(monkeypatch: pytest.MonkeyPatch, patience: str = "50ms") -> tuple[asyncio.Event, asyncio.Event]:
    """Has what changes tables soon give up: whether it did, and what it awaits before it comes again."""
    refused, free = asyncio.Event(), asyncio.Event()

    async def pause(_: float) -> None:
        refused.set()
        await free.wait()

    monkeypatch.setattr(migration, "LONGEST_WAIT", patience)
    monkeypatch.setattr(lock_patience, "pause", pause)
    return refused, free


async def test_a_migration_that_waits_for_a_lock_lets_others_by_and_tries_again(
    rooms: Database, versions: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Who waits for an exclusive lock has all who come after it wait, too: it waits for a moment, time and again."""
    (versions / "second.py").write_text(HEAD.format("second", "first") + "op.drop_column('rooms', 'floor')")
    refused, free = impatient(monkeypatch)

    async with asyncio.timeout(PATIENCE):
        async with rooms.begin() as tx:
            await tx.fetch_all(text("SELECT id FROM rooms"))
            with caplog.at_level(logging.WARNING):
                upgrading = asyncio.create_task(migrations.upgrade(rooms, versions))
                await refused.wait()
        free.set()
        assert await upgrading == ["second"]

    assert caplog.messages[0] == "the tables of database 'rooms' are in use; what changes them is tried again"


async def test_so_do_the_frameworks_own_revisions(rooms: Database, monkeypatch: pytest.MonkeyPatch):
    await rooms.upgrade([boxes.FIRST])
    refused, free = impatient(monkeypatch)

    async with asyncio.timeout(PATIENCE):
        async with rooms.begin() as tx:
            await tx.fetch_all(text("SELECT id FROM meristem_box"))
            with outside_units():
                upgrading = asyncio.create_task(rooms.upgrade([boxes.SECOND]))
                await refused.wait()
        free.set()
        assert await upgrading == ["boxes 002_weight"]


async def test_a_table_without_an_index_that_it_should_have_gets_it_once_nobody_writes_to_it(
    rooms: Database, monkeypatch: pytest.MonkeyPatch
):
    """What is there already is not locked at all: a start that finds nothing new waits for no writer."""
    wanted = MetaData()
    table = Table("beds", wanted, Column("id", Integer, primary_key=True), Column("width", Integer))
    await rooms.create(wanted)
    refused, free = impatient(monkeypatch)

    async with asyncio.timeout(PATIENCE):
        async with rooms.begin() as tx:
            await tx.execute(insert(table).values(id=1, width=90))
            with outside_units():
                await rooms.create(wanted)
                Index("beds_width", table.c.width)
                creating = asyncio.create_task(rooms.create(wanted))
                await refused.wait()
        free.set()
        await creating
    with outside_units():
        assert await rooms.fetch_value(text("SELECT count(*) FROM pg_indexes WHERE indexname = 'beds_width'")) == 1


async def test_a_migration_that_never_gets_its_lock_says_what_to_do(rooms, versions, monkeypatch):
    _, free = impatient(monkeypatch, "10ms")
    free.set()
    (versions / "second.py").write_text(HEAD.format("second", "first") + "op.drop_column('rooms', 'floor')")

    async with rooms.begin() as tx:
        await tx.fetch_all(text("SELECT id FROM rooms"))
        with pytest.raises(StorageUnavailable, match="rolled back: .*lock timeout.*DROP COLUMN floor"):
            await migrations.upgrade(rooms, versions)
    assert await migrations.pending(rooms, versions) == ["second"]


async def test_while_a_plan_is_made_everybody_reads_and_writes(rooms, versions):
    (versions / "second.py").write_text(HEAD.format("second", "first") + "op.drop_table('rooms')")

    def look() -> None:
        with rooms.twin() as twin:
            twin.connection.execute(text("DROP TABLE rooms"))
            twin.tolls(["DROP TABLE rooms"])
            with rooms.migration() as other:
                # Stronger than what a read or a write takes, and than all else but a change of the table.
                other.execute(text("LOCK TABLE rooms IN EXCLUSIVE MODE NOWAIT"))

    await asyncio.to_thread(look)


async def test_behind_a_pooler_locks_are_not_judged_where_a_table_is_large(versions):
    async with schema_of_its_own("&pooler=transaction") as url:
        rooms = database_for(url, name="rooms")
        await migrations.upgrade(rooms, versions)
        (versions / "second.py").write_text(HEAD.format("second", "first") + "op.create_index('i', 'rooms', ['hotel'])")

        [small] = await foresee(rooms, versions, ())
        with mock.patch.object(lock_probe, "LARGE", 1):
            [large] = await foresee(rooms, versions, ())

    assert [each.what for each in small.effects] == ["adds the index i to rooms"]
    assert [each.verdict for each in large.effects] == [SAFE, LOOK]
