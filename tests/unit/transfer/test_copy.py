"""What a service keeps moves to another database with every value as it was, whole or not at all."""

import asyncio
import enum
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import Context
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    DateTime,
    Enum,
    Float,
    ForeignKey,
    Identity,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Time,
    Uuid,
    delete,
    func,
    insert,
    select,
    text,
    update,
)

from meristem import Contract, Database, Service, System, once
from meristem.errors import ConfigurationError, MeristemError, OperationError, StorageError
from meristem.runtime.schema import upgrade
from meristem.storage import lock_patience
from meristem.storage.database import database_for
from meristem.storage.lease import Lease
from meristem.system.blueprint import Blueprint
from meristem.system.state_directory import StateDirectory
from meristem.transfer import service_copy
from meristem.transfer.quiet_tables import quiet
from meristem.transfer.service_copy import PAGE
from meristem.transfer.system_copy import copy_system
from tests.suites.postgresql import schema_of_its_own

METADATA = MetaData()


class Mood(enum.Enum):
    GLAD = "g"
    SAD = "s"


PEOPLE = Table(
    "people",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("name", String(80), nullable=False),
    Column("boss", Integer, ForeignKey("people.id")),
    sqlite_autoincrement=True,
)
THINGS = Table(
    "things",
    METADATA,
    Column("key", Uuid, primary_key=True),
    Column("place", String(20), primary_key=True),
    Column("owner", Integer, ForeignKey("people.id"), nullable=False),
    Column("flag", Boolean),
    Column("price", Numeric(12, 2)),
    Column("weight", Float),
    Column("moment", DateTime(timezone=True)),
    Column("wall", DateTime),
    Column("day", Date),
    Column("at", Time),
    Column("mood", Enum(Mood)),
    Column("raw", LargeBinary),
    Column("words", Text),
    Column("document", JSON),
)
COUNTED = Table("counted", METADATA, Column("number", Integer, primary_key=True), Column("text", String(20)))
LOOSE = Table("loose", METADATA, Column("word", String(20)))
NUMBERED = Table(
    "numbered",
    METADATA,
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, Identity(always=True), primary_key=True),
)
EMPTY = Table("empty", METADATA, Column("id", Integer, primary_key=True))

FULL = {
    "flag": True,
    "price": Decimal("1234567.10"),
    "weight": 0.1,
    "moment": datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=2))),
    "wall": datetime(2030, 1, 2, 3, 4, 5),  # noqa: DTZ001 - a time on a wall
    "day": date(2030, 1, 2),
    "at": time(3, 4, 5, 6),
    "mood": Mood.SAD,
    "raw": b"\x00\xff",
    "words": "ü€😀 'quoted'\n",
    "document": {"b": [1, 2.5, None, "x"], "a": {"n": True}},
}
NOTHING = dict.fromkeys(FULL)
KEYS = [UUID(int=7), UUID(int=3), UUID(int=2**128 - 1)]


class Keeper(Contract, Protocol, package="keeper.v1"):
    @once
    async def keep(self) -> None: ...


class KeeperService(Keeper, Service, tables=METADATA):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def keep(self) -> None: ...


SYSTEM = System("museum", services=[KeeperService])
BLUEPRINT = Blueprint(SYSTEM)
VERSIONS = Path("no-such-folder")


def opened(url: str) -> Database:
    return database_for(url, name="keeper")


async def with_database(url: str, work: Callable[[Database], Any]) -> Any:
    database = opened(url)
    await database.start()
    try:
        return await work(database)
    finally:
        await database.stop()


async def fill(database: Database) -> None:
    await upgrade(database, VERSIONS, lambda: METADATA)
    async with database.begin() as tx:
        await tx.execute(insert(PEOPLE), [{"name": name} for name in ("Ada", "Bob", "Cy", "Gone")])
        # Who is above comes later by number.
        await tx.execute(update(PEOPLE).where(PEOPLE.c.id == 1).values(boss=3))
        await tx.execute(update(PEOPLE).where(PEOPLE.c.id == 3).values(boss=2))
        await tx.execute(delete(PEOPLE).where(PEOPLE.c.id == 4))
        rows = [FULL, NOTHING, FULL | {"document": JSON.NULL}]
        for key, row in zip(KEYS, rows, strict=True):
            await tx.execute(insert(THINGS), {"key": key, "place": "here", "owner": 1, **row})
        await tx.execute(update(THINGS).where(THINGS.c.key == KEYS[1]).values(document=text("NULL")))
        await tx.execute(insert(COUNTED), [{"number": n, "text": f"t{n}"} for n in range(2 * PAGE + 3)])
        await tx.execute(insert(NUMBERED), given(database, [1, 2]))
        await tx.execute(insert(LOOSE), [{"word": "twice"}, {"word": "twice"}, {"word": None}])


def given(database: Database, numbers: list[int]) -> list[dict[str, int]]:
    """Rows whose number the database gives, where it counts in a key of several columns: SQLite does not."""
    return [{"part": 1} if database.system == "postgresql" else {"part": 1, "number": each} for each in numbers]


async def held(database: Database) -> dict[str, Any]:
    """Every value, and what tells JSON's null from NULL."""
    found = {}
    for table in (PEOPLE, COUNTED):
        found[table.name] = await database.fetch_all(select(table).order_by(*table.primary_key.columns))
    found["things"] = {row["key"]: row for row in await database.fetch_all(select(THINGS))}
    nulls = select(THINGS.c.key).where(THINGS.c.document.is_(None))
    found["null"] = await database.fetch_all(nulls, into=UUID)
    found["loose"] = sorted(str(each["word"]) for each in await database.fetch_all(select(LOOSE)))
    return found


def copy(folder: Path, source: str, target: str) -> dict[str, dict[str, int]]:
    told = []
    return copy_system(
        BLUEPRINT, folder, ["keeper"], source=source, target=target, tell=lambda *each: told.append(each)
    )


class CopySuite:
    """Any database to any other one: a module inherits it and gives the URLs of two that are empty."""

    async def test_every_value_is_as_it_was(self, source: str, target: str, tmp_path: Path):
        await with_database(source, fill)
        before = await with_database(source, held)

        counts = await asyncio.to_thread(copy, tmp_path, source, target)

        after = await with_database(target, held)
        assert after == before
        assert after["things"][KEYS[0]]["moment"] == FULL["moment"]
        assert after["things"][KEYS[0]]["price"] == FULL["price"]
        assert after["null"] == [KEYS[1]], "what is JSON's null is no NULL"
        assert {name: number for name, number in counts["keeper"].items() if not name.startswith("meristem_")} == {
            "people": 3, "things": 3, "counted": 2 * PAGE + 3, "loose": 3, "empty": 0, "numbered": 2,
        }  # fmt: skip
        assert await with_database(source, held) == before

    async def test_no_id_is_given_twice(self, source: str, target: str, tmp_path: Path):
        """Not even one whose row is gone: somebody may know it."""
        await with_database(source, fill)
        await asyncio.to_thread(copy, tmp_path, source, target)

        async def add(database: Database) -> list[int]:
            async with database.begin() as tx:
                person = await tx.fetch_value(insert(PEOPLE).values(name="New").returning(PEOPLE.c.id))
                number = await tx.fetch_value(insert(COUNTED).values(text="new").returning(COUNTED.c.number))
                await tx.execute(insert(NUMBERED), given(database, [3]))
                third = await tx.fetch_value(select(func.max(NUMBERED.c.number)))
                return [person, number, third, await tx.fetch_value(insert(EMPTY).values().returning(EMPTY.c.id))]

        assert await with_database(target, add) == [5, 2 * PAGE + 3, 3, 1]

    async def test_what_is_new_to_the_old_release_goes_on_in_the_new_place(
        self, source: str, target: str, tmp_path: Path
    ):
        await with_database(source, fill)
        await asyncio.to_thread(copy, tmp_path, source, target)

        assert await with_database(target, lambda database: upgrade(database, VERSIONS, lambda: METADATA)) == []

    async def test_a_copy_that_broke_off_is_not_run_on_and_is_repeated(
        self, source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        await with_database(source, fill)

        async def broken(*_: Any) -> None:
            raise StorageError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr(service_copy, "_compare", broken)
            with pytest.raises(StorageError, match="the disk is full"):
                await asyncio.to_thread(copy, tmp_path, source, target)
        with pytest.raises(ConfigurationError, match="has not all that was copied to it: repeat `meristem data copy`"):
            await with_database(target, lambda database: upgrade(database, VERSIONS, lambda: METADATA))

        await asyncio.to_thread(copy, tmp_path, source, target)

        assert await with_database(target, held) == await with_database(source, held)

    async def test_a_value_that_changes_on_its_way_is_found_and_nothing_is_kept(
        self, source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        await with_database(source, fill)
        right = service_copy.raise_ids

        async def changed(writing: Any, column: Column[Any], *rest: Any) -> None:
            await right(writing, column, *rest)
            if column.table is PEOPLE:
                await writing.execute(update(THINGS).where(THINGS.c.key == KEYS[0]).values(price=Decimal("1234567.11")))

        monkeypatch.setattr(service_copy, "raise_ids", changed)
        with pytest.raises(
            StorageError, match="things has 3 rows in the new database of 'keeper' and 3 in the old one"
        ):
            await asyncio.to_thread(copy, tmp_path, source, target)

        assert await with_database(target, lambda database: database.fetch_value(select(func.count(PEOPLE.c.id)))) == 0

    async def test_a_database_that_holds_something_is_not_copied_to(self, source: str, target: str, tmp_path: Path):
        await with_database(source, fill)
        await with_database(target, lambda database: database.create(METADATA))

        with pytest.raises(ConfigurationError, match="the new database of 'keeper' is not empty: it has counted, "):
            await asyncio.to_thread(copy, tmp_path, source, target)

    async def test_one_that_is_in_use_is_not_copied(self, source: str, target: str, tmp_path: Path):
        await with_database(source, fill)
        state = StateDirectory(tmp_path, "museum")
        state.prepare()
        state.claim()
        try:
            with pytest.raises(OperationError, match="museum already runs from"):
                await asyncio.to_thread(copy, tmp_path, source, target)
        finally:
            state.release()

        async def joined(database: Database) -> None:
            lease = Lease(database, "other-0/keeper")
            await lease.start()
            try:
                with pytest.raises(OperationError, match="open in another program|other-0/keeper may still run"):
                    await asyncio.to_thread(copy, tmp_path, source, target)
            finally:
                await lease.stop()

        await with_database(source, joined)

    async def test_rows_of_which_nothing_is_declared_are_not_left_behind(
        self, source: str, target: str, tmp_path: Path
    ):
        await with_database(source, fill)
        foreign = Table("foreign_notes", MetaData(), Column("id", Integer, primary_key=True))
        await with_database(source, lambda database: database.create(foreign.metadata))
        await asyncio.to_thread(copy, tmp_path, source, target)

        await with_database(source, lambda database: database.execute(insert(foreign).values(id=1)))
        with pytest.raises(MeristemError, match="is not empty|has rows in foreign_notes, which is not in `tables=`"):
            await asyncio.to_thread(copy, tmp_path, source, target)


@pytest.fixture
def file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/a.db"


@pytest.fixture
def another_file(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/b.db"


FIRES = {
    "sqlite": ["CREATE TRIGGER fires AFTER INSERT ON counted BEGIN INSERT INTO loose VALUES ('12:30'); END"],
    "postgresql": [
        """CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN INSERT INTO loose VALUES (NEW.text); RETURN NEW; END'""",
        "CREATE TRIGGER fires AFTER INSERT ON counted FOR EACH ROW EXECUTE FUNCTION fire()",
    ],
}


async def test_what_a_trigger_wrote_once_it_does_not_write_again(database_url: str):
    async def added(database: Database) -> list[str]:
        await database.create(METADATA)
        for each in FIRES[database.system]:
            await database.execute(text(each.replace(":", "\\:")))
        row = {"text": "12:30"}
        async with database.begin() as tx:
            async with quiet(tx, [COUNTED], database.system):
                await tx.execute(insert(COUNTED), row)
            assert await tx.fetch_all(select(LOOSE)) == []
            await tx.execute(insert(COUNTED), row)
            return await tx.fetch_all(select(LOOSE.c.word), into=str)

    assert await with_database(database_url, added) == ["12:30"]


@pytest.fixture
async def schema() -> AsyncIterator[str]:
    async with schema_of_its_own() as url:
        yield url


class TestFromSqliteToSqlite(CopySuite):
    @pytest.fixture
    def source(self, file: str) -> str:
        return file

    @pytest.fixture
    def target(self, another_file: str) -> str:
        return another_file


class TestFromSqliteToPostgresql(CopySuite):
    @pytest.fixture
    def source(self, file: str) -> str:
        return file

    @pytest.fixture
    def target(self, schema: str) -> str:
        return schema


class TestFromPostgresqlToSqlite(CopySuite):
    @pytest.fixture
    def source(self, schema: str) -> str:
        return schema

    @pytest.fixture
    def target(self, file: str) -> str:
        return file

    async def test_a_table_that_somebody_writes_to_is_waited_for_and_nobody_behind_it_for_long(
        self, source: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        await with_database(source, fill)
        loop, refused, free = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

        async def pause(_: float) -> None:
            loop.call_soon_threadsafe(refused.set)
            await asyncio.to_thread(free.wait)

        async def write(database: Database) -> None:
            async with database.begin() as tx:
                await tx.execute(update(PEOPLE).where(PEOPLE.c.id == 1).values(name="Eve"))
                copying = asyncio.create_task(asyncio.to_thread(copy, tmp_path, source, target), context=Context())
                await refused.wait()
            free.set()
            await copying

        monkeypatch.setattr(lock_patience, "pause", pause)
        async with asyncio.timeout(60):
            await with_database(source, write)

        assert await with_database(target, held) == await with_database(source, held)
