"""What a migration leaves whole: its own transaction, ids, references, and what belongs to a table that is copied."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from meristem.errors import ConfigurationError
from meristem.storage import migrations
from meristem.storage.database import Database, database_for


@pytest.fixture
def rooms(tmp_path: Path) -> Database:
    return database_for(f"sqlite:///{tmp_path}/data/rooms.db", name="rooms")


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    return tmp_path / "migrations" / "versions"


FIRST = """
from alembic import op
from sqlalchemy import Column, ForeignKey, Integer, String
revision, down_revision = "first", None
def upgrade():
    op.create_table("rooms", Column("id", Integer, primary_key=True), Column("name", String(20)),
                    sqlite_autoincrement=True)
    op.create_table("beds", Column("id", Integer, primary_key=True),
                    Column("room", Integer, ForeignKey("rooms.id", ondelete="CASCADE")))
"""
SECOND = """
from alembic import op
from sqlalchemy import String
revision, down_revision, compatible = "second", "first", False
def upgrade():
    op.execute("CREATE TABLE half (id INTEGER)")
    {}
"""


def write(versions: Path, revision: str) -> None:
    versions.mkdir(parents=True, exist_ok=True)
    (versions / "first.py").write_text(revision)


async def furnished(rooms: Database, versions: Path, second: str, first: str = FIRST) -> None:
    """A database at the first revision, of whose three rooms the last one is gone, and a second revision."""
    write(versions, first)
    await migrations.upgrade(rooms, versions)
    with sqlite(versions) as connection:
        connection.execute("INSERT INTO rooms VALUES (1, 'blue'), (2, 'red'), (9, 'gone')")
        connection.execute("INSERT INTO beds VALUES (1, 1), (2, 2)")
        connection.execute("DELETE FROM rooms WHERE id = 9")
    (versions / "second.py").write_text(SECOND.format(second))


@contextlib.contextmanager
def sqlite(versions: Path) -> Iterator[sqlite3.Connection]:
    file = versions.parent.parent / "data" / "rooms.db"
    with contextlib.closing(sqlite3.connect(file)) as connection, connection:
        yield connection


async def test_a_table_that_is_copied_to_be_altered_keeps_its_rows_and_gives_no_id_twice(rooms, versions):
    await furnished(
        rooms,
        versions,
        "with op.batch_alter_table('rooms') as rooms: rooms.alter_column('name', type_=String(80))",
    )

    assert await migrations.upgrade(rooms, versions) == ["second"]

    with sqlite(versions) as connection:
        assert connection.execute("SELECT count(*) FROM beds").fetchone() == (2,)
        assert connection.execute("INSERT INTO rooms (name) VALUES ('new') RETURNING id").fetchone() == (10,)


@pytest.mark.parametrize(
    "ends",
    [
        "op.execute('COMMIT')",
        "op.get_bind().commit()",
        "op.get_bind().connection.commit()",
        "op.get_bind().connection.executescript('CREATE TABLE other (id INTEGER)')",
        "op.get_bind().connection.rollback()",
        "with op.get_context().autocommit_block(): pass",
    ],
)
async def test_no_revision_ends_its_transaction_halfway(rooms, versions, ends):
    await furnished(rooms, versions, ends + "\n    op.execute('SELECT * FROM nowhere')")

    with pytest.raises(ConfigurationError, match="a revision runs in one transaction") as caught:
        await migrations.upgrade(rooms, versions)

    assert "second.py:7" in str(caught.value)
    assert "\n" not in str(caught.value)
    with sqlite(versions) as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE name IN ('half', 'other')").fetchall() == []


async def test_a_revision_may_have_savepoints(rooms, versions):
    await furnished(rooms, versions, "with op.get_bind().begin_nested(): op.execute('SELECT 1')")

    assert await migrations.upgrade(rooms, versions) == ["second"]


async def test_a_revision_leaves_no_row_without_what_it_refers_to(rooms, versions):
    await furnished(rooms, versions, "op.execute('DELETE FROM rooms WHERE id = 1')")

    with pytest.raises(ConfigurationError, match=r"rolled back: it leaves .*\(1 of beds refer to no row of rooms\)"):
        await migrations.upgrade(rooms, versions)

    with sqlite(versions) as connection:
        assert connection.execute("SELECT count(*) FROM rooms").fetchone() == (2,)
        connection.execute("INSERT INTO beds VALUES (3, 77)")  # was left by somebody else, and hinders no revision
    (versions / "second.py").write_text(SECOND.format("op.execute('DELETE FROM beds WHERE id = 1')"))
    assert await migrations.upgrade(rooms, versions) == ["second"]


async def test_a_database_that_was_taken_back_by_hand_is_brought_forward_again(rooms, versions):
    await furnished(rooms, versions, "pass")
    assert await migrations.upgrade(rooms, versions) == ["second"]
    with sqlite(versions) as connection:
        connection.execute("DROP TABLE half")
        connection.execute("UPDATE alembic_version SET version_num = 'first'")

    assert await migrations.pending(rooms, versions) == ["second"]
    assert await migrations.upgrade(rooms, versions) == ["second"]
    assert await migrations.upgrade(rooms, versions) == []


async def test_a_mark_that_was_forgotten_can_be_set_afterwards(rooms, versions):
    await furnished(rooms, versions, "pass")
    await migrations.upgrade(rooms, versions)
    before = versions.parent / "before"
    write(before, FIRST)
    with pytest.raises(ConfigurationError, match="to a shape that this release can't work with"):
        await migrations.upgrade(rooms, before)

    (versions / "second.py").write_text(SECOND.format("pass").replace("False", "True"))
    assert await migrations.upgrade(rooms, versions) == []

    assert await migrations.upgrade(rooms, before) == []


BESIDE = """
    op.execute("CREATE TABLE log (name TEXT)")
    op.execute("CREATE INDEX plain ON rooms (name)")
    op.execute("CREATE INDEX newest ON rooms (name, id DESC)")
    op.execute("CREATE UNIQUE INDEX other_case ON rooms (lower(name))")
    op.execute("CREATE TRIGGER heard AFTER INSERT ON rooms BEGIN INSERT INTO log VALUES (new.name); END")
"""
COPIED = "with op.batch_alter_table('rooms') as rooms: rooms.alter_column('name', type_=String(80))"


def beside(versions: Path) -> list[str]:
    """The texts of the indexes and triggers of rooms."""
    with sqlite(versions) as connection:
        found = connection.execute(
            "SELECT sql FROM sqlite_master WHERE tbl_name = 'rooms' AND type IN ('index', 'trigger') ORDER BY name"
        )
        return [text for (text,) in found]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
async def test_a_table_that_is_copied_keeps_its_triggers_and_its_indexes_as_they_were(rooms, versions):
    await furnished(rooms, versions, f"{COPIED}\n    {COPIED.replace('80', '90')}", FIRST + BESIDE)
    before = beside(versions)

    assert await migrations.upgrade(rooms, versions) == ["second"]

    assert len(before) == 4
    assert beside(versions) == before


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
async def test_what_a_revision_drops_of_a_table_that_is_copied_stays_away(rooms, versions):
    dropped = "op.drop_index('other_case'); op.execute('DROP TRIGGER heard')"
    await furnished(rooms, versions, f"{dropped}\n    {COPIED}; rooms.drop_index('newest')", FIRST + BESIDE)

    assert await migrations.upgrade(rooms, versions) == ["second"]

    assert beside(versions) == ["CREATE INDEX plain ON rooms (name)"]


@pytest.mark.filterwarnings("ignore:Skipped unsupported reflection")
@pytest.mark.parametrize(
    ("dropped", "misfit"), [("pass", "index other_case"), ("op.drop_index('other_case')", "trigger heard")]
)
async def test_what_does_not_fit_the_altered_table_any_more_is_told(rooms, versions, dropped, misfit):
    renamed = COPIED.replace("type_=String(80)", "new_column_name='title'")
    await furnished(rooms, versions, f"{dropped}\n    {renamed}", FIRST + BESIDE)

    with pytest.raises(ConfigurationError, match=f"rolled back: the {misfit} does not fit the altered rooms .no such"):
        await migrations.upgrade(rooms, versions)
