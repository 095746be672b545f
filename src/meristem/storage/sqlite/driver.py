"""The SQLite adapter: a file in WAL mode, one writer with group commit, readers, quick lookups."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection

from meristem.descriptors import remedy
from meristem.errors import ConfigurationError, MisuseError, StorageError
from meristem.private_files import make_file, make_folder
from meristem.storage.driver import Outcome, Statement, Withdrawn
from meristem.storage.sqlite.dialect import SqliteDialect
from meristem.storage.sqlite.file_copy import SqliteFile
from meristem.storage.sqlite.jobs import Completions, Job
from meristem.storage.sqlite.lookups import Lookups
from meristem.storage.sqlite.migration import migration
from meristem.storage.sqlite.open_files import OpenFiles
from meristem.storage.sqlite.reader import Readers
from meristem.storage.sqlite.syncer import Syncer
from meristem.storage.sqlite.translation import OPENING, translate
from meristem.storage.sqlite.twin import SqliteTwin, twin
from meristem.storage.sqlite.writer import Turn, WriteJob, Writer

_STATEMENTS = 512  # prepared statements that a connection keeps
_LOG_PAGES = 4000  # 16 MB of write-ahead log until its pages are copied to the file, each once
_DURABILITIES = ("full", "normal", "off")

_fdatasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


PATIENCE: Final = 10.0  # seconds for a lock that another program holds


class SqliteDriver:
    """One SQLite file, or with `path=None` a private temporary one that is deleted on stop.

    `synchronous`: "full" acknowledges a commit when it is on the disk, "normal" and "off" as PRAGMA synchronous says.
    """

    def __init__(
        self,
        path: Path | None,
        *,
        name: str,
        synchronous: str = "full",
        readers: int = 3,
        busy_timeout: float = PATIENCE,
        sync: Callable[[int], None] = _fdatasync,
    ) -> None:
        if synchronous not in _DURABILITIES:
            raise ConfigurationError(f"synchronous={synchronous!r} is not one of {', '.join(_DURABILITIES)}")
        self.system = "sqlite"
        self.server = ""
        self.writes_side_by_side = False
        self.is_temporary = path is None
        self.announcement = None  # the processes of one machine look for themselves
        self.doubts: list[Callable[[], None]] = []
        self.listeners: list[Callable[[], None]] = []
        self.file = None if path is None else SqliteFile(path, name)
        self.dialect = SqliteDialect()
        self._path = path
        self._name = name
        self._synchronous = synchronous if path is not None else "off"
        self._limit = readers
        self._busy_timeout = busy_timeout
        self._sync = sync
        self._folder: str | None = None
        self._file = Path()
        self._files = OpenFiles(name)
        self._writer: Writer | None = None
        self._syncer: Syncer | None = None
        self._readers: Readers | None = None
        self._lookups: Lookups | None = None

    async def start(self) -> None:
        """Open the file, creating it and its folder if need be."""
        self._loop = asyncio.get_running_loop()
        self._completions = Completions(self._loop)
        connection, log, reading = await asyncio.to_thread(self._open)
        self._files = OpenFiles(self._name, self._file, Path(f"{self._file}-wal"))
        given = (self._name, self._completions)
        self._syncer = None if log is None else Syncer(log, *given, self._sync)
        self._writer = Writer(connection, *given, self._syncer, busy_timeout=self._busy_timeout)
        self._readers = Readers(self._connect_reader, *given, limit=self._limit, busy_timeout=self._busy_timeout)
        self._lookups = Lookups(reading, self._name, self._loop)

    async def stop(self) -> None:
        """Finish queued work, roll back what is left open, close the connections."""
        ends = [each.closed for each in (self._writer, self._syncer, self._readers) if each is not None]
        self.close_soon()
        if ends:
            await asyncio.to_thread(_wait_for, ends)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def exists(self) -> bool:
        """Whether the file is there; a temporary one never is before `start`."""
        return self._path is not None and self._path.exists()

    def missing(self) -> str | None:
        """What is gone of the files that are open, or that their disk failed once: then only a restart helps."""
        if self._syncer is not None and self._syncer.failed:
            return str(self._syncer.refuse())
        return self._files.look()

    def close_soon(self) -> None:
        """Let the connections close after what is queued."""
        writer, readers = self._writer, self._readers
        self._writer = self._readers = self._syncer = None
        if self._lookups is not None:
            self._lookups.close()
            self._lookups = None
        if readers is not None and writer is not None:
            # Who closes last takes the log into the file, unless it may only read: then the file alone would lack rows.
            readers.stop(then=writer.stop)

    @property
    def tables(self) -> Statement:
        """The tables of the file; every transaction holds the write lock from its first statement."""
        return Statement("SELECT name FROM sqlite_master WHERE type = 'table'", decode=_names)

    @property
    def indexes(self) -> Statement:
        """The indexes of the file."""
        return Statement("SELECT name FROM sqlite_master WHERE type = 'index'", decode=_names)

    def try_read(self, step: Statement) -> Outcome | None:
        """Run one statement on the event loop's thread, if it looks for one row and finds it quickly."""
        if self._lookups is None:
            raise self._closed()
        return self._lookups.find(step) if step.first else None

    def read(self, step: Statement) -> Coroutine[Any, Any, Outcome]:
        """Run one statement off the event loop."""
        if self._readers is None:
            raise self._closed()
        job = Job((step,), self._loop.create_future())
        self._readers.submit(job)
        return job.outcome()

    def transaction(self) -> SqliteTransaction:
        """A new write transaction, not begun yet."""
        return SqliteTransaction(self)

    def migration(self) -> AbstractContextManager[Connection]:
        """A connection that holds the file's write lock."""
        if self._path is None:
            raise MisuseError("migrations need a database that stays: a URL like sqlite:///data/service.db")
        return migration(self._path)

    def twin(self) -> AbstractContextManager[SqliteTwin]:
        """A database in memory with the tables of the file."""
        if self._path is None:
            raise MisuseError("a plan needs a database that stays: a URL like sqlite:///data/service.db")
        return twin(self._path)

    def submit(self, turn: Turn, steps: Sequence[Statement], *, commits: bool) -> WriteJob:
        """Queue steps for the writing thread."""
        if self._writer is None:
            raise self._closed()
        if self._files.missing is not None:
            raise self._files.refuse()
        job = WriteJob(steps, self._loop.create_future(), transaction=turn, commits=commits)
        self._writer.submit(job)
        return job

    def abandon(self, turn: Turn) -> None:
        """Queue a roll back; a stopped driver has rolled back already."""
        if self._writer is not None:
            self._writer.submit(turn)

    def _closed(self) -> MisuseError:
        return MisuseError(
            f"database {self._name!r} is not started: `await database.start()` first, and not after stop()"
        )

    def _open(self) -> tuple[sqlite3.Connection, int | None, sqlite3.Connection]:
        if self._path is None:
            self._folder = tempfile.mkdtemp(prefix="meristem-")
            self._file = Path(self._folder, f"{self._name}.db")
        else:
            self._file = self._path.absolute()
        try:
            make_folder(self._file.parent)
            make_file(self._file)  # SQLite gives its log and index the mode of the file
            return *self._open_writer(), self._connect_reader()
        except sqlite3.Error as error:
            raise translate(error, self._name, f"{OPENING}{self._file}") from error
        except OSError as error:
            raise StorageError.of_system(
                f"database {self._name!r} can't be opened: {error}{remedy(error)}", error
            ) from error

    def _open_writer(self) -> tuple[sqlite3.Connection, int | None]:
        connection = _connect(str(self._file), self._busy_timeout)
        # The switch to WAL is itself synced as asked; then commits leave the syncing of the log to the group.
        connection.execute(f"PRAGMA synchronous={self._synchronous}")
        mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            connection.close()
            refused = StorageError(
                f"{self._file} can't use a write-ahead log: put it on a local disk, not on a network share"
            )
            refused.lasting = True
            raise refused
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
        # An empty transaction has SQLite make the log's file: it is opened below, and connections that only read
        # can't make it.
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("COMMIT")
        log = None
        if self._synchronous == "full":
            connection.execute("PRAGMA synchronous=NORMAL")
            # SQLite locks the database and its shared memory, never the log: this descriptor can't drop a lock.
            log = os.open(f"{self._file}-wal", os.O_RDWR)
        connection.execute("PRAGMA busy_timeout=0")  # who meets a lock comes again: no thread waits for it
        return connection, log

    def _connect_reader(self) -> sqlite3.Connection:
        connection = _connect(f"file:{quote(str(self._file))}?mode=ro", self._busy_timeout)
        connection.execute("PRAGMA query_only=ON")
        connection.execute("PRAGMA busy_timeout=0")
        return connection


class SqliteTransaction:
    """One write transaction on the writing thread."""

    __slots__ = ("_driver", "_turn")

    def __init__(self, driver: SqliteDriver) -> None:
        self._driver = driver
        self._turn = Turn()

    @property
    def is_open(self) -> bool:
        """Whether it holds the write lock."""
        return self._turn.open

    def run(self, steps: Sequence[Statement]) -> Coroutine[Any, Any, Outcome]:
        """Run steps; a cancelled wait interrupts them."""
        return self._driver.submit(self._turn, steps, commits=False).outcome()

    async def commit(self, steps: Sequence[Statement] = ()) -> Outcome:
        """Run steps and commit; a cancelled wait ends only when the commit's fate is known: at once, if none began."""
        job = self._driver.submit(self._turn, steps, commits=True)
        cancelled: asyncio.CancelledError | None = None
        # A commit can't be taken back once the writer has it: what is cancelled is the wait, and the caller must know
        # whether it happened. So it is waited for again, on a new future, as the cancelled one is used up.
        while not job.finished:
            try:
                await job.future
            except asyncio.CancelledError as error:
                if self._turn.claim():  # not begun: it waits in line, or for a lock
                    raise Withdrawn from error
                job.cancelled = True  # the writer tries to begin it at this moment, or has
                cancelled = error
                if not job.finished:
                    job.future = asyncio.get_running_loop().create_future()
            except Exception as error:
                if cancelled is not None:
                    raise Withdrawn from error
                raise
        if cancelled is not None:
            raise cancelled if job.error is None else Withdrawn from job.error
        outcome: Outcome = job.value
        return outcome

    def abandon(self) -> None:
        """Roll back without waiting."""
        self._driver.abandon(self._turn)


def _connect(file: str, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(
        file,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
        uri=file.startswith("file:"),
    )


def _names(rows: list[Any], _: object) -> list[Any]:
    return [name for (name,) in rows]


def _wait_for(ends: list[Event]) -> None:
    for end in ends:
        end.wait()
