"""What a plan tells of locks is what the server does, and a migration that waits for one lets others go by."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from unittest import mock

import pytest
from sqlalchemy import text

from meristem.errors import StorageUnavailable
from meristem.storage import migrations
from meristem.storage.database import Database, database_for
from meristem.storage.foresight import foresee
from meristem.storage.postgresql import lock_probe, migration
from meristem.storage.survival import Survival
from tests.suites.postgresql import schema_of_its_own

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


async def test_what_else_a_table_has_is_in_the_twin_and_what_no_twin_has_is_left_out(rooms, versions):
    async with rooms.begin() as tx:
        for each in (
            "CREATE FUNCTION kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
            "CREATE TRIGGER keeps BEFORE UPDATE ON rooms FOR EACH ROW EXECUTE FUNCTION kept()",
            "CREATE MATERIALIZED VIEW kept_rooms AS SELECT id FROM rooms",
            "CREATE VIEW over_it AS SELECT id FROM kept_rooms",
        ):
            await tx.execute(text(each))
    body = "op.execute('DROP TRIGGER keeps ON rooms')\n    op.drop_column('rooms', 'floor')"
    (versions / "second.py").write_text(HEAD.format("second", "first") + body)

    [planned] = await foresee(rooms, versions, ())

    assert planned.fails is None
    assert [next(each.verdict for each in step.effects) for step in planned.steps] == [LOOK, UNSAFE]


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


async def test_a_migration_that_waits_for_a_lock_lets_others_by_and_tries_again(
    rooms: Database, versions: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """Who waits for an exclusive lock has all who come after it wait, too: it waits for a moment, time and again."""
    monkeypatch.setattr(migration, "LONGEST_WAIT", "50ms")
    (versions / "second.py").write_text(HEAD.format("second", "first") + "op.drop_column('rooms', 'floor')")
    refused, free = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def pause(_: float) -> None:
        loop.call_soon_threadsafe(refused.set)
        free.wait(PATIENCE)

    monkeypatch.setattr(migrations, "pause", pause)

    async with asyncio.timeout(PATIENCE):
        async with rooms.begin() as tx:
            await tx.fetch_all(text("SELECT id FROM rooms"))
            with caplog.at_level(logging.WARNING):
                upgrading = asyncio.create_task(migrations.upgrade(rooms, versions))
                await refused.wait()
        free.set()
        assert await upgrading == ["second"]

    assert caplog.messages[0].startswith("the tables of database 'rooms' are in use; its migration is tried again")


async def test_a_migration_that_never_gets_its_lock_says_what_to_do(rooms, versions, monkeypatch):
    monkeypatch.setattr(migration, "LONGEST_WAIT", "10ms")
    monkeypatch.setattr(migrations, "pause", lambda _: None)
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
