"""SQLite: the suite of every driver, and what only a file with several processes can show."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    Table,
    Uuid,
    bindparam,
    func,
    insert,
    literal,
    select,
)
from sqlalchemy.types import TypeEngine

from meristem.errors import ConfigurationError, MisuseError, StorageError
from meristem.storage.database import Database, database_for
from meristem.storage.driver import Outcome, Statement
from meristem.storage.sqlite.dialect import SqliteDialect
from meristem.storage.sqlite.driver import SqliteDriver
from meristem.storage.sqlite.jobs import Runner
from meristem.storage.sqlite.migration import migration
from meristem.storage.sqlite.reader import Readers
from tests.suites.database import COUNTERS, FOREVER, METADATA, DatabaseSuite

PATIENCE = 30  # seconds
WRITER = """
import asyncio, sys
from sqlalchemy import text
from meristem.storage.database import database_for

async def main(url, times, report):
    database = database_for(url, name="other")
    await database.start()
    for number in range(times):
        async with database.begin() as tx:
            value = await tx.fetch_value(text("SELECT value FROM counters"))
            await tx.execute(text("UPDATE counters SET value = :value"), {"value": value + 1})
        if report:
            print(value + 1, flush=True)
    await database.stop()

asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "report"))
"""


@pytest.fixture(params=["file", "private"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    database = database_for(
        f"sqlite:///{tmp_path}/data/test.db" if request.param == "file" else "sqlite://", name="test"
    )
    await database.start()
    await database.create(METADATA)
    yield database
    await database.stop()


class TestSqlite(DatabaseSuite):
    violated = {
        "unique": "counters.name",
        "check": "never_negative",
        "not null": "counters.value",
        "foreign key": None,
    }

    def test_telemetry_knows_the_system_by_its_name(self, database: Database):
        assert database.system == "sqlite"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/test.db"


async def prepared(url: str) -> None:
    database = database_for(url, name="test")
    await database.start()
    await database.create(METADATA)
    await database.execute(insert(COUNTERS).values(name="a", value=0))
    await database.stop()


@pytest.mark.parametrize("first", ["start", "migration"])
async def test_data_is_for_its_user_alone(tmp_path: Path, first: str):
    driver = SqliteDriver(tmp_path / "data" / "shop" / "test.db", name="test")
    before = os.umask(0)
    try:
        if first == "migration":
            with migration(tmp_path / "data" / "shop" / "test.db") as connection:
                connection.exec_driver_sql("CREATE TABLE counters (value INTEGER)")
        database = Database(driver, name="test")
        await database.start()
        modes = {each.name: each.stat().st_mode & 0o777 for each in (tmp_path / "data").rglob("*")}
        await database.stop()
    finally:
        os.umask(before)

    assert modes == {"shop": 0o700, "test.db": 0o600, "test.db-wal": 0o600, "test.db-shm": 0o600}
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


async def count(url: str) -> int:
    database = database_for(url, name="test")
    await database.start()
    found = await database.fetch_value(select(COUNTERS.c.value))
    await database.stop()
    return int(found)


@asynccontextmanager
async def write_elsewhere(url: str, times: int, report: str = "quiet") -> AsyncIterator[asyncio.subprocess.Process]:
    pipe, command = asyncio.subprocess.PIPE, [sys.executable, "-c", WRITER, url, str(times), report]
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe)
    try:
        async with asyncio.timeout(2 * PATIENCE):
            yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def test_two_processes_lose_no_update(url: str):
    await prepared(url)

    async with write_elsewhere(url, 500) as one, write_elsewhere(url, 500) as other:
        assert [await one.wait(), await other.wait()] == [0, 0]

    assert await count(url) == 1000


async def test_what_was_acknowledged_survives_kill_9(url: str):
    await prepared(url)
    acknowledged = 0
    async with write_elsewhere(url, 1_000_000, "report") as writer:
        assert writer.stdout is not None
        while acknowledged < 200:
            acknowledged = int(await writer.stdout.readline())

        writer.send_signal(signal.SIGKILL)
        rest = (await writer.stdout.read()).split(b"\n")[:-1]

    acknowledged = int(rest[-1]) if rest else acknowledged
    assert acknowledged <= await count(url) <= acknowledged + 1


class Disk:
    """A sync that the test holds back or lets fail."""

    def __init__(self) -> None:
        self.syncs = 0
        self.free = asyncio.Event()
        self.reached = asyncio.Event()
        self.failure: Exception | None = None
        self._loop = asyncio.get_running_loop()

    def sync(self, log: int) -> None:
        os.fsync(log)
        self.syncs += 1
        self._loop.call_soon_threadsafe(self.reached.set)
        asyncio.run_coroutine_threadsafe(self.free.wait(), self._loop).result(PATIENCE)
        if self.failure is not None:
            raise self.failure


@asynccontextmanager
async def opened(tmp_path: Path, disk: Disk) -> AsyncIterator[Database]:
    driver = SqliteDriver(tmp_path / "test.db", name="test", sync=disk.sync)
    database = Database(driver, name="test")
    await database.start()
    disk.free.set()
    await database.create(METADATA)
    disk.free.clear()
    disk.reached.clear()
    disk.syncs = 0
    try:
        yield database
    finally:
        disk.free.set()
        await database.stop()


async def test_a_commit_is_acknowledged_after_the_disk_has_it_and_many_share_a_sync(tmp_path: Path):
    disk = Disk()
    async with opened(tmp_path, disk) as database:
        first = asyncio.create_task(database.execute(insert(COUNTERS).values(name="first", value=1)))
        await asyncio.wait_for(disk.reached.wait(), PATIENCE)
        others = [
            asyncio.create_task(database.execute(insert(COUNTERS).values(name=str(number), value=1)))
            for number in range(20)
        ]
        async with asyncio.timeout(PATIENCE):
            while await database.fetch_value(select(func.count()).select_from(COUNTERS)) < 21:
                pass
        assert not any(task.done() for task in (first, *others))
        disk.free.set()
        await asyncio.gather(first, *others)

    assert disk.syncs < 10


async def test_a_row_is_looked_up_without_a_thread_and_a_long_statement_with_one(database: Database, monkeypatch):
    submit, read = Readers.submit, mock.Mock(return_value=None)
    monkeypatch.setattr(Readers, "submit", lambda *given: read() or submit(*given))
    await database.execute(insert(COUNTERS), [{"name": str(number), "value": 1} for number in range(2000)])
    one = select(COUNTERS.c.value).where(COUNTERS.c.name == bindparam("name"))
    total = select(func.sum(COUNTERS.c.value))

    found = await asyncio.gather(*(database.fetch_value(one, {"name": str(number)}) for number in range(20)))
    assert found == [1] * 20
    assert not read.called
    assert await database.fetch_value(total) == 2000
    assert read.called
    assert await database.fetch_value(total) == 2000


async def test_who_looks_rows_up_in_a_loop_lets_others_work(database: Database):
    done = asyncio.Event()
    asyncio.get_running_loop().call_later(0.01, done.set)

    async with asyncio.timeout(5):
        while not done.is_set():
            await database.fetch_value(select(COUNTERS.c.value).where(COUNTERS.c.name == "a"))


@pytest.mark.parametrize("failure", [OSError("the disk is gone"), RuntimeError("what nobody thought of")])
async def test_a_sync_that_fails_fails_its_commits_and_all_later_ones(tmp_path: Path, failure: Exception):
    disk = Disk()
    async with opened(tmp_path, disk) as database:
        disk.failure = failure
        disk.free.set()

        with pytest.raises(StorageError, match="durable"):
            await database.execute(insert(COUNTERS).values(name="a", value=1))
        disk.failure = None
        with pytest.raises(StorageError, match="restart the service"):
            await database.execute(insert(COUNTERS).values(name="b", value=1))


async def test_a_read_that_is_cancelled_just_before_its_statement_begins_ends(tmp_path: Path, monkeypatch):
    begins, goes_on, run = threading.Event(), threading.Event(), Runner._one

    def hesitating(runner: Runner, text: str, parameters: Any, step: Statement) -> Outcome:
        if "RECURSIVE" in text:
            begins.set()
            goes_on.wait(PATIENCE)
        return run(runner, text, parameters, step)

    monkeypatch.setattr(Runner, "_one", hesitating)
    disk = Disk()
    disk.free.set()
    async with asyncio.timeout(PATIENCE), opened(tmp_path, disk) as database:
        reading = asyncio.create_task(database.fetch_all(FOREVER))
        await asyncio.to_thread(begins.wait, PATIENCE)
        reading.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_a_cancelled_commit_is_answered_when_its_fate_is_known(tmp_path: Path):
    disk = Disk()
    called: list[bool] = []
    async with opened(tmp_path, disk) as database:

        async def write() -> None:
            async with database.begin() as tx:
                await tx.execute(insert(COUNTERS).values(name="a", value=1))
                tx.after_commit(lambda: called.append(True))

        task = asyncio.create_task(write())
        await asyncio.wait_for(disk.reached.wait(), PATIENCE)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        disk.free.set()

        with pytest.raises(asyncio.CancelledError):
            await task
    assert called == [True]


async def test_stop_is_idempotent_finishes_commits_and_rolls_back_the_rest(url: str):
    await prepared(url)
    database = database_for(url, name="test")
    await database.start()
    await database.start()
    open_block = database.begin()
    tx = await open_block.__aenter__()
    await tx.execute(COUNTERS.update().values(value=5))
    waiting = asyncio.create_task(database._driver.transaction().commit(()))
    await asyncio.sleep(0)

    await database.stop()
    await database.stop()

    await waiting
    with pytest.raises(MisuseError, match="not started"):
        await open_block.__aexit__(None, None, None)
    assert await count(url) == 0


async def test_what_was_stopped_is_one_file_whoever_reads_last(url: str, tmp_path: Path):
    await prepared(url)
    numbers = select(literal(1).label("n")).cte(recursive=True)
    numbers = numbers.union_all(select(numbers.c.n + 1).where(numbers.c.n < 500_000))
    database = database_for(url, name="test")
    await database.start()
    async with database.begin() as tx:
        await tx.execute(COUNTERS.update().values(value=7))
    long = select(func.max(numbers.c.n + COUNTERS.c.value)).select_from(numbers, COUNTERS)
    reading = [asyncio.create_task(database.fetch_value(long)) for _ in range(3)]
    await asyncio.sleep(0)

    await database.stop()

    assert os.listdir(tmp_path) == ["test.db"]  # noqa: PTH208
    assert await count(url) == 7
    assert await asyncio.gather(*reading) == [500_007] * 3


async def test_a_database_that_was_not_stopped_warns(url: str):
    database = database_for(url, name="forgotten")
    await database.start()
    await database.fetch_value(select(func.count()))
    ends = [database._driver._writer.closed, database._driver._readers.closed, database._driver._syncer.closed]

    with pytest.warns(ResourceWarning, match="'forgotten' was not stopped"):
        del database

    assert await asyncio.to_thread(lambda: [end.wait(PATIENCE) for end in ends]) == [True] * 3


async def test_a_database_that_was_not_started_says_so():
    with pytest.raises(MisuseError, match=r"start\(\)"):
        await database_for("sqlite://", name="x").fetch_value(select(func.count()))


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mongodb://host/x", "no adapter for the database 'mongodb'.*sqlite"),
        ("not a url", "no adapter for the database 'not a url'"),
        ("sqlite:/x", "malformed"),
        ("sqlite:///x.db?sync=full", "unknown option 'sync'"),
        ("sqlite:///x.db?busy_timeout=soon", "busy_timeout=soon is no number of seconds"),
        ("sqlite:///x.db?busy_timeout=-1", "busy_timeout=-1 is no number of seconds"),
        ("sqlite:///x.db?synchronous=maybe", "full, normal, off"),
    ],
)
def test_a_wrong_url_says_what_would_be_right(url: str, problem: str):
    with pytest.raises(ConfigurationError, match=problem):
        database_for(url, name="x")


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    database = database_for(f"sqlite:///{tmp_path}/file/test.db", name="x")

    with pytest.raises(StorageError, match="can't be opened"):
        await database.start()


async def test_a_decimal_that_sqlite_would_round_is_refused(url: str):
    metadata = MetaData()
    ledger = Table("ledger", metadata, Column("amount", Numeric(30, 10)), Column("id", Integer, primary_key=True))
    database = database_for(url, name="test")
    await database.start()
    await database.create(metadata)

    with pytest.raises(MisuseError, match="more digits"):
        await database.execute(insert(ledger), {"amount": Decimal("1.23456789012345678")})
    await database.stop()


async def test_a_unit_without_a_statement_does_not_reach_the_database(database: Database, monkeypatch):
    monkeypatch.setattr(SqliteDriver, "submit", None)
    monkeypatch.setattr(SqliteDriver, "abandon", None)

    async with database.unit():
        assert await database.fetch_value(select(COUNTERS.c.value)) is None
    with pytest.raises(LookupError):
        async with database.unit() as unit:
            await unit.publish("nothing")
            raise LookupError


@pytest.mark.parametrize("microsecond", [0, 1, 250_000])
@pytest.mark.parametrize("offset", [timedelta(0), timedelta(hours=5, minutes=30), timedelta(hours=-7, microseconds=3)])
def test_an_instant_is_stored_as_sortable_text_of_one_length(microsecond: int, offset: timedelta):
    instant = datetime(987, 12, 31, 23, 59, 1, microsecond, timezone(offset))
    stored = _bound(DateTime(timezone=True), instant)

    assert stored == instant.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
    assert len(stored) == 26


@pytest.mark.parametrize("text", ["{%s}", "urn:uuid:%s", "%s"])
def test_a_uuid_is_read_as_any_program_writes_it(text: str):
    key = uuid4()

    assert _read(Uuid(), key.hex) == key
    assert _read(Uuid(), text % key) == key
    assert _read(Uuid(as_uuid=False), key.hex) == str(key)
    assert _read(Uuid(), None) is None


def _bound(kind: TypeEngine[Any], value: Any) -> Any:
    dialect = SqliteDialect()
    process = kind.dialect_impl(dialect).bind_processor(dialect)
    assert process is not None
    return process(value)


def _read(kind: TypeEngine[Any], value: Any) -> Any:
    dialect = SqliteDialect()
    process = kind.dialect_impl(dialect).result_processor(dialect, None)
    assert process is not None
    return process(value)
