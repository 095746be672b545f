"""Many databases of one process: what they take, and that none of them holds up another."""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text

from meristem.errors import StorageError, StorageUnavailable
from meristem.storage.database import Database
from meristem.storage.driver import Withdrawn
from meristem.storage.sqlite import reader, workers
from meristem.storage.sqlite.driver import SqliteDriver
from meristem.storage.sqlite.locked import LONG as LONG_PAUSE
from meristem.storage.sqlite.locked import SHORT, SOON
from meristem.storage.sqlite.workers import Workers
from meristem.storage.sqlite.writer import Turn, WriteJob, Writer
from tests.suites.database import COUNTERS, METADATA

PATIENCE = 20  # seconds
MANY = 20
ONE = insert(COUNTERS).values(name="a", value=1)
COUNT = select(func.count()).select_from(COUNTERS)
ALL = select(COUNTERS.c.name)
LONG = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000000) SELECT max(i) FROM n")
DESCRIPTORS = Path("/proc/self/fd") if Path("/proc/self/fd").is_dir() else Path("/dev/fd")


def _open_files() -> int:
    return len(list(DESCRIPTORS.iterdir()))


def _open_in(folder: Path) -> int:
    """How many descriptors of this process are of files in a folder: others of the process come and go meanwhile."""
    files = {(found.st_dev, found.st_ino) for found in map(os.stat, folder.iterdir())}
    count = 0
    for each in DESCRIPTORS.iterdir():
        with suppress(OSError):  # the listing's own has ended
            found = os.fstat(int(each.name))
            count += (found.st_dev, found.st_ino) in files
    return count


def _threads() -> int:
    return sum(thread.name.startswith("meristem-sqlite") for thread in threading.enumerate())


@asynccontextmanager
async def opened(folder: Path, name: str = "one", **options: float) -> AsyncIterator[Database]:
    database = Database(SqliteDriver(folder / f"{name}.db", name=name, **options), name=name)  # type: ignore[arg-type]
    await database.start()
    await database.create(METADATA)
    try:
        yield database
    finally:
        await database.stop()


@contextmanager
def locked(folder: Path, name: str = "one") -> Iterator[Callable[[], None]]:
    """Another program holds the write lock, as a backup tool does; gives what lets go of it."""
    other = sqlite3.connect(folder / f"{name}.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield lambda: other.execute("ROLLBACK")
    finally:
        other.close()


async def test_a_database_takes_eight_descriptors_and_a_process_a_dozen_threads(tmp_path: Path):
    async with AsyncExitStack() as stack:
        before, threads = _open_files(), _threads()
        databases = [await stack.enter_async_context(opened(tmp_path, f"n{number}")) for number in range(MANY)]
        for turn in range(3):
            rows = [{"name": f"{turn}.{number}", "value": 1} for number in range(3)]
            await asyncio.gather(*(each.execute(insert(COUNTERS), row) for each in databases for row in rows))
            await asyncio.gather(*(each.fetch_all(ALL) for each in databases for _ in rows))
            await asyncio.gather(*(each.fetch_value(COUNT) for each in databases))

        pipes = 2 * (_threads() - threads)
        assert _open_files() - before - pipes <= 8 * MANY
        assert _threads() <= workers.MOST


async def test_the_threads_end_with_the_last_database(tmp_path: Path):
    async with opened(tmp_path, "a"), opened(tmp_path, "b") as database:
        await database.fetch_all(ALL)
        bells = Workers._current._bells
        assert _threads()
        assert _open_in(tmp_path)

    for thread in threading.enumerate():  # after the block, whose end may have begun one more
        if thread.name.startswith("meristem-sqlite"):
            await asyncio.to_thread(thread.join, PATIENCE)
    assert not _threads()
    assert all(bell._hearing.closed and bell._ringing.closed for bell in bells)
    assert not _open_in(tmp_path)


async def test_locked_databases_hold_up_no_other(tmp_path: Path):
    async with AsyncExitStack() as stack:
        names = [f"n{number}" for number in range(MANY)]
        waiting = [await stack.enter_async_context(opened(tmp_path, name)) for name in names]
        free = await stack.enter_async_context(opened(tmp_path, "free"))
        release = [stack.enter_context(locked(tmp_path, name)) for name in names]
        writes = [asyncio.create_task(each.execute(ONE)) for each in waiting]
        await asyncio.sleep(0.1)

        began = time.monotonic()
        await free.execute(ONE)
        await free.fetch_all(ALL)
        for each in waiting:
            assert await each.fetch_all(ALL) == []
        took = time.monotonic() - began

        assert not any(write.done() for write in writes)
        for let_go in release:
            let_go()
        await asyncio.wait_for(asyncio.gather(*writes), PATIENCE)
    assert took < 5  # a thread held up would wait for ten


async def test_a_write_that_waits_for_a_lock_and_is_cancelled_ends_at_once_and_never_happens(tmp_path: Path):
    called: list[bool] = []
    async with opened(tmp_path) as database:

        async def write() -> None:
            async with database.begin() as tx:
                tx.at_commit(ONE)
                tx.after_commit(lambda: called.append(True))

        with locked(tmp_path) as let_go:
            behind = [asyncio.create_task(work) for work in (write(), database.execute(ONE), write())]
            await asyncio.sleep(0.05)
            for task in behind:
                task.cancel()
            done, _ = await asyncio.wait(behind, timeout=PATIENCE)
            assert [task.cancelled() for task in done] == [True] * 3
            let_go()
        assert await database.fetch_value(COUNT) == 0
        await database.execute(ONE)
        assert await database.fetch_value(COUNT) == 1
    assert not called


async def test_a_commit_that_nothing_is_to_be_of_says_so(tmp_path: Path):
    async with opened(tmp_path) as database:
        with locked(tmp_path):
            commit = asyncio.create_task(database._driver.transaction().commit(()))
            await asyncio.sleep(0.05)
            commit.cancel()
            with pytest.raises(Withdrawn):
                await commit


async def test_a_lock_that_outlasts_the_patience_is_told(tmp_path: Path):
    async with opened(tmp_path, busy_timeout=0.2) as database:
        with locked(tmp_path) as let_go:
            with pytest.raises(StorageUnavailable, match="another process holds the write lock"):
                await database.execute(ONE)
            let_go()
        await database.execute(ONE)


async def test_a_lock_is_asked_for_in_pauses_however_many_transactions_wait(tmp_path, monkeypatch):
    tries, begin = [], Writer._is_open

    def counted(self: Writer, turn: Turn, job: WriteJob) -> bool:
        tries.append(turn)
        return begin(self, turn, job)

    async with opened(tmp_path) as database:
        monkeypatch.setattr(Writer, "_is_open", counted)
        with locked(tmp_path) as let_go:
            began = time.monotonic()
            writes = [
                asyncio.create_task(database.execute(insert(COUNTERS), {"name": f"{n}", "value": n})) for n in range(8)
            ]
            await asyncio.sleep(0.5)
            took, asked = time.monotonic() - began, len(tries)
            let_go()
        await asyncio.gather(*writes)

    assert asked <= 2 + SOON / SHORT[0] + took / LONG_PAUSE[0], "what else was sent had the thread come back at once"


async def test_a_database_that_is_stopped_while_it_is_locked_ends_what_waits(tmp_path: Path):
    async with opened(tmp_path, busy_timeout=0.2) as database:
        with locked(tmp_path):
            write = asyncio.create_task(database.execute(ONE))
            await asyncio.sleep(0.05)
            await asyncio.wait_for(database.stop(), PATIENCE)
            with pytest.raises(StorageError):
                await write


@asynccontextmanager
async def long_read(database: Database) -> AsyncIterator[asyncio.Task[object]]:
    """A read that takes longer than the block."""
    task: asyncio.Task[object] = asyncio.create_task(database.fetch_all(LONG))
    await asyncio.sleep(2 * reader.LONG)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_beside_a_long_read_others_get_connections_and_give_them_back(tmp_path: Path):
    async with opened(tmp_path) as database, asyncio.timeout(PATIENCE):
        await database.fetch_all(ALL)
        before = _open_in(tmp_path)
        # One stays: SQLite can't close a file of which another connection holds locks, and keeps it for the next.
        async with long_read(database) as long:
            for _ in range(5):
                await database.fetch_all(ALL)

            assert not long.done()
            while _open_in(tmp_path) > before + 1:
                await asyncio.sleep(0.01)


async def test_long_reads_leave_threads_to_those_who_write(tmp_path: Path):
    async with AsyncExitStack() as stack:
        databases = [await stack.enter_async_context(opened(tmp_path, f"n{number}")) for number in range(10)]
        long = [await stack.enter_async_context(long_read(each)) for each in databases]

        await asyncio.wait_for(databases[0].execute(ONE), PATIENCE)

        assert not any(task.done() for task in long)


def test_work_that_comes_as_a_thread_falls_asleep_is_done(monkeypatch: pytest.MonkeyPatch):
    """It is seen at the second look, or rings: whichever instant it comes at."""
    ours, done = Workers.join(), threading.Event()
    doze = workers.Bell.doze
    late = [done.set]

    def doze_as_work_comes(bell: workers.Bell) -> None:
        doze(bell)
        if late:
            ours._writing.append(late.pop())  # without ringing

    monkeypatch.setattr(workers.Bell, "doze", doze_as_work_comes)
    ours.write(lambda: None)

    assert done.wait(PATIENCE)
    ours.leave()


def test_a_thread_outlives_what_fails_on_it(caplog: pytest.LogCaptureFixture):
    ours, done = Workers.join(), threading.Event()
    ours.write(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    for _ in range(200):
        if caplog.text:
            break
        done.wait(0.1)

    ours.write(done.set)

    assert done.wait(PATIENCE)
    assert "a bug in Meristem" in caplog.text
    ours.leave()
