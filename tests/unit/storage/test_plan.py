"""What a migration does to the release that runs is foreseen by trying it, and told by what it changes."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Column, Integer, MetaData, String, Table, event

from meristem.errors import ConfigurationError
from meristem.storage import migrations
from meristem.storage.alembic_folder import config_of
from meristem.storage.database import Database, database_for
from meristem.storage.declared import declared_by
from meristem.storage.foresight import foresee
from meristem.storage.planned import PlannedRevision, refuse_unsafe
from meristem.storage.sqlite import twin
from meristem.storage.survival import DeclaredTables, Survival

HEAD = """
\"\"\"{0}\"\"\"
import sqlalchemy as sa
from alembic import op
revision, down_revision, compatible = {1!r}, {2!r}, {3}

def upgrade():
    """
FIRST = """op.create_table("hotels", sa.Column("id", sa.Integer, primary_key=True))
    op.create_table(
        "rooms",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(20), index=True),
        sa.Column("price", sa.Numeric(10, 2), nullable=False, server_default="0"),
        sa.Column("floor", sa.Integer, nullable=False),
        sa.Column("hotel", sa.Integer),
        sa.UniqueConstraint("floor", "hotel", name="one_a_floor"),
    )
    op.execute("CREATE VIEW inns AS SELECT id FROM hotels")
"""
SAFE, LOOK, UNSAFE = Survival


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    versions = tmp_path / "versions"
    versions.mkdir()
    (versions / "first.py").write_text(HEAD.format("Rooms.", "first", None, False) + FIRST)
    return versions


@pytest.fixture
async def rooms(tmp_path: Path, versions: Path) -> Database:
    """A database at the first revision, with a room in it."""
    rooms = database_for(f"sqlite:///{tmp_path}/rooms.db", name="rooms")
    await migrations.upgrade(rooms, versions)
    with sqlite3.connect(tmp_path / "rooms.db") as connection:
        connection.execute("INSERT INTO rooms (id, name, floor) VALUES (1, 'blue', 2)")
    connection.close()
    return rooms


async def planned(
    rooms: Database, versions: Path, body: str, *, compatible: bool = False, releases: Sequence[DeclaredTables] = ()
) -> PlannedRevision:
    (versions / "second.py").write_text(HEAD.format("More.", "second", "first", compatible) + body)
    [found] = await foresee(rooms, versions, releases)
    return found


def copying(body: str) -> str:
    return f"with op.batch_alter_table('rooms') as rooms: {body}"


@pytest.mark.parametrize(
    ("body", "verdict", "what"),
    [
        ("op.create_table('beds', sa.Column('id', sa.Integer, primary_key=True))", SAFE, "makes the table beds"),
        ("op.execute('CREATE TABLE beds (id INTEGER)')", SAFE, "makes the table beds"),
        ("op.drop_table('hotels')", UNSAFE, "drops the table hotels"),
        ("op.rename_table('hotels', 'lodgings')", UNSAFE, "renames the table hotels to lodgings"),
        ("op.add_column('rooms', sa.Column('note', sa.Text))", SAFE, "adds rooms.note, which may be empty"),
        (
            "op.add_column('rooms', sa.Column('beds', sa.Integer, nullable=False, server_default='1'))",
            SAFE,
            "adds rooms.beds, which has a default",
        ),
        (
            copying("rooms.add_column(sa.Column('beds', sa.Integer, nullable=False))"),
            UNSAFE,
            "adds rooms.beds, NOT NULL without a default",
        ),
        ("op.execute('ALTER TABLE rooms DROP COLUMN price')", UNSAFE, "drops rooms.price"),
        (copying("rooms.drop_column('price')"), UNSAFE, "drops rooms.price"),
        (copying("rooms.alter_column('price', new_column_name='cost')"), UNSAFE, "renames rooms.price to cost"),
        ("op.execute('ALTER TABLE rooms RENAME COLUMN hotel TO inn')", UNSAFE, "renames rooms.hotel to inn"),
        (
            copying("rooms.alter_column('price', type_=sa.Integer)"),
            UNSAFE,
            "changes the type of rooms.price from NUMERIC(10, 2) to INTEGER",
        ),
        (
            copying("rooms.alter_column('name', type_=sa.String(80))"),
            SAFE,
            "changes the type of rooms.name from VARCHAR(20) to VARCHAR(80), which holds all that the old one did",
        ),
        (
            copying("rooms.alter_column('name', type_=sa.String(8))"),
            UNSAFE,
            "changes the type of rooms.name from VARCHAR(20) to VARCHAR(8)",
        ),
        (copying("rooms.alter_column('floor', type_=sa.BigInteger)"), SAFE, "changes the type of rooms.floor from"),
        (copying("rooms.alter_column('name', nullable=False)"), UNSAFE, "makes rooms.name NOT NULL"),
        (copying("rooms.alter_column('floor', nullable=True)"), LOOK, "lets rooms.floor be empty"),
        (copying("rooms.alter_column('price', server_default=None)"), UNSAFE, "takes the default of rooms.price away"),
        (copying("rooms.alter_column('name', server_default='')"), SAFE, "gives rooms.name a default"),
        (copying("rooms.create_unique_constraint('u', ['name'])"), LOOK, "adds to rooms: UNIQUE (name)"),
        (copying("rooms.create_check_constraint('c', 'floor > 0')"), LOOK, "adds to rooms: CHECK (floor > 0)"),
        (
            copying("rooms.create_foreign_key('f', 'hotels', ['hotel'], ['id'])"),
            LOOK,
            "adds to rooms: FOREIGN KEY (hotel) REFERENCES hotels (id)",
        ),
        (copying("rooms.drop_constraint('one_a_floor')"), LOOK, "takes from rooms: UNIQUE (floor, hotel)"),
        ("op.create_index('i', 'rooms', ['floor'])", SAFE, "adds the index i to rooms"),
        ("op.create_index('i', 'rooms', ['floor'], unique=True)", LOOK, "adds to rooms: UNIQUE INDEX i (floor)"),
        ("op.drop_index('ix_rooms_name')", LOOK, "drops the index ix_rooms_name of rooms"),
        ("op.execute('DROP VIEW inns')", UNSAFE, "drops the view inns"),
        ("op.execute('CREATE TRIGGER t AFTER INSERT ON rooms BEGIN SELECT 1; END')", LOOK, "changes what the plan"),
        ("op.execute('UPDATE rooms SET price = 2, floor = 3')", LOOK, "changes rows of rooms"),
        ("op.execute(\"INSERT INTO rooms (floor) VALUES (1)\")", LOOK, "adds rows to rooms"),
        ("op.execute(\"DELETE FROM rooms WHERE name = 'b'\")", LOOK, "deletes rows of rooms"),
        ("op.get_bind().execute(sa.text('SELECT id FROM rooms')).all()", LOOK, "asks the database"),
        ("op.execute('DROP TABLE IF EXISTS meristem_outbox')", UNSAFE, "changes the framework's own tables"),
        ("op.execute(\"DELETE FROM meristem_revision WHERE name = 'x'\")", UNSAFE, "changes the framework's own"),
        ("op.create_index('ix_rooms_name', 'rooms', ['name'], if_not_exists=True)", SAFE, "finds it done already"),
        ("op.execute('CREATE TABLE IF NOT EXISTS rooms (id INTEGER)')", SAFE, "finds it done already"),
        (
            "op.create_table('beds', sa.Column('room', sa.Integer, sa.ForeignKey('rooms.id')))",
            SAFE,
            "makes the table beds",
        ),
    ],
)  # fmt: skip
async def test_each_change_is_judged_by_what_it_does(rooms, versions, body: str, verdict: Survival, what: str):
    found = await planned(rooms, versions, body)

    [step] = found.steps
    assert found.fails is None
    assert step.effects[0].what.startswith(what), step.effects
    assert (found.verdict, found.needs_consent) == (verdict, verdict is not SAFE)
    assert all(each.hurts and each.instead for each in step.effects if each.verdict is UNSAFE)


async def test_what_is_shown_is_what_is_run_and_nothing_of_it_has_happened(rooms, versions, tmp_path):
    body = copying("rooms.alter_column('name', type_=sa.String(80))") + "\n    op.execute('UPDATE rooms SET floor = 1')"
    before = (tmp_path / "rooms.db").read_bytes()
    foreseen = await planned(rooms, versions, body)
    assert (tmp_path / "rooms.db").read_bytes() == before

    run: list[str] = []
    with rooms.migration() as connection:
        event.listen(connection, "after_cursor_execute", lambda *given: run.append(given[2].strip()))
        command.upgrade(config_of(connection, versions), "head")

    shown = [each for step in foreseen.steps for each in step.statements]
    assert [each for each in run if each in shown] == shown
    others = [each for each in run if each not in shown]
    assert all(each.startswith("PRAGMA") or "sqlite_master" in each or "alembic_version" in each for each in others)


async def test_a_copy_of_a_table_is_one_step_that_tells_how_much_is_copied(rooms, versions):
    found = await planned(rooms, versions, copying("rooms.alter_column('name', type_=sa.String(80))"))

    [step] = found.steps
    assert [each.split(maxsplit=2)[:2] for each in step.statements] == [
        ["CREATE", "TABLE"], ["INSERT", "INTO"], ["DROP", "TABLE"], ["ALTER", "TABLE"], ["CREATE", "INDEX"],
    ]  # fmt: skip
    assert [each.what.partition(",")[0] for each in step.effects] == [
        "changes the type of rooms.name from VARCHAR(20) to VARCHAR(80)",
        "copies rooms as a whole: 1 rows",
    ]


async def test_rows_that_a_new_table_refers_to_are_told_of(rooms, versions):
    found = await planned(
        rooms, versions, "op.create_table('beds', sa.Column('room', sa.Integer, sa.ForeignKey('rooms.id')))"
    )

    assert [each.hurts.partition(" that")[0] for each in found.effects] == ["rows of rooms"]


async def test_a_statement_that_asks_a_catalog_in_passing_is_shown_and_judged(rooms, versions):
    found = await planned(
        rooms, versions, "op.execute('CREATE TABLE copied AS SELECT name AS alembic_version FROM sqlite_master')"
    )

    assert [each.what for each in found.effects] == ["makes the table copied"]


async def test_what_takes_long_for_its_many_rows_is_not_judged(rooms, versions, monkeypatch):
    fills = "op.add_column('rooms', sa.Column('note', sa.Text))\n    op.execute('UPDATE rooms SET note = name')"
    copies = copying("rooms.alter_column('name', type_=sa.String(80))")
    assert [(await planned(rooms, versions, each)).verdict for each in (fills, copies)] == [SAFE, SAFE]

    monkeypatch.setattr(twin, "MANY", 1)

    assert [(await planned(rooms, versions, each)).verdict for each in (fills, copies)] == [LOOK, LOOK]


async def test_what_nothing_uses_yet_may_be_done_anything_to(rooms, versions):
    found = await planned(
        rooms,
        versions,
        "op.add_column('rooms', sa.Column('note', sa.String(9)))\n"
        "    op.execute(\"UPDATE rooms SET note = substr('a, b = c', 1) WHERE floor IN (1, 2)\")\n"
        "    op.create_index('i', 'rooms', ['floor', 'note'], unique=True)\n"
        "    op.create_table('beds', sa.Column('id', sa.Integer), sa.Column('old', sa.Integer))\n"
        "    op.execute('INSERT INTO beds SELECT id, floor FROM rooms')\n"
        "    op.drop_column('beds', 'old')",
    )

    assert found.verdict is SAFE, found


async def test_on_a_database_that_is_not_there_yet_everything_is_safe(tmp_path, versions):
    fresh = database_for(f"sqlite:///{tmp_path}/fresh/rooms.db", name="rooms")
    (versions / "second.py").write_text(
        HEAD.format("", "second", "first", False)
        + "op.drop_table('hotels')\n    op.execute('CREATE TRIGGER t AFTER INSERT ON rooms BEGIN SELECT 1; END')"
    )

    assert [each.verdict for each in await foresee(fresh, versions, ())] == [SAFE, SAFE]
    assert not (tmp_path / "fresh").exists()


async def test_what_the_running_release_does_not_declare_is_taken_away_safely(rooms, versions):
    tables = MetaData()
    Table("rooms", tables, Column("id", Integer, primary_key=True), Column("name", String(20), nullable=False))
    body = copying("rooms.drop_column('price'); rooms.alter_column('name', nullable=False)")
    body += "\n    op.drop_table('hotels')"
    does_without = declared_by(tables)

    assert (await planned(rooms, versions, body, releases=[does_without])).verdict is SAFE
    Table("hotels", tables, Column("id", Integer, primary_key=True))
    unsafe = await planned(rooms, versions, body, releases=[does_without, declared_by(tables)])
    assert [each.what for each in unsafe.effects if each.verdict is UNSAFE] == ["drops the table hotels"]


async def test_what_is_not_judged_passes_where_the_author_says_that_it_is_compatible(rooms, versions):
    body = "op.execute('UPDATE rooms SET floor = 3')"

    refuse_unsafe("rooms", [await planned(rooms, versions, body, compatible=True)])
    with pytest.raises(ConfigurationError, match="revision second can't be judged.*: it changes rows of rooms; "):
        refuse_unsafe("rooms", [await planned(rooms, versions, body)])
    dropped = await planned(rooms, versions, "op.drop_column('rooms', 'price')", compatible=True)
    with pytest.raises(ConfigurationError, match=r"second is not survived .*: it drops rooms.price; `meristem migrate"):
        refuse_unsafe("rooms", [dropped])


async def test_a_revision_that_fails_over_no_rows_is_shown_as_far_as_it_came(rooms, versions):
    body = "op.drop_index('ix_rooms_name')\n    op.get_bind().execute(sa.text('SELECT id FROM rooms')).one()"
    found = await planned(rooms, versions, body)

    assert found.fails is not None
    assert "No row was found" in found.fails
    assert "second.py:9" in found.fails
    assert found.steps[0].statements == ["DROP INDEX ix_rooms_name"]
    with pytest.raises(ConfigurationError, match="fails on a copy of the tables without rows, and nothing was changed"):
        refuse_unsafe("rooms", [found])


async def test_an_upgrade_that_is_refused_changes_nothing(rooms, versions):
    await planned(rooms, versions, "op.drop_column('rooms', 'price')")

    def refuse() -> None:
        raise ConfigurationError("no")

    with pytest.raises(ConfigurationError, match="no"):
        await migrations.upgrade(rooms, versions, refuse)
    assert await migrations.pending(rooms, versions) == ["second"]
    assert await migrations.upgrade(rooms, versions) == ["second"]
    assert await migrations.upgrade(rooms, versions, refuse) == []
