"""What operators look back on: spans, lines of the log, errors and figures, in a file that stays bounded."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

from meristem.lifecycle import Background
from meristem.operators.history_loads import LOAD_PRUNE, LOAD_SCHEMA, write_backlogs, write_loads
from meristem.operators.history_routes import ROUTE_PRUNE, ROUTE_SCHEMA, write_routes
from meristem.operators.history_tables import (
    PRUNE,
    SCHEMA,
    VERSION,
    write_errors,
    write_figures,
    write_lines,
    write_spans,
)
from meristem.private_files import make_file, make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from meristem.operators.history_loads import BacklogRow, LoadRows
    from meristem.operators.history_routes import RouteRow
    from meristem.operators.history_tables import FigureRow, LineRow
    from meristem.operators.operator_contract import SpanView

logger = logging.getLogger(__name__)
Found = TypeVar("Found")

PAUSE: Final = 0.5  # seconds between two writes: what came meanwhile goes into one commit
WAITING: Final = 20_000  # rows of a kind that may wait for their write; what comes then is dropped
PRUNING: Final = 60.0  # seconds between two looks at what is too old or too much


class Keeping(NamedTuple):
    """How much is kept: so many days at most, and so many of each kind; `figures` are rows of each of their tables."""

    days: float = 7.0
    spans: int = 200_000
    lines: int = 200_000
    figures: int = 500_000


class Counters(NamedTuple):
    """How many there have been of each kind: whoever looks at one again when it grew has missed nothing."""

    spans: int = 0
    logs: int = 0
    figures: int = 0
    errors: int = 0


class Unwritten:
    """What was taken in and is not written yet."""

    def __init__(self) -> None:
        self.spans: list[SpanView] = []
        self.lines: list[LineRow] = []
        self.figures: list[FigureRow] = []
        self.loads: list[LoadRows] = []
        self.backlogs: list[BacklogRow] = []
        self.routes: list[RouteRow] = []

    def __bool__(self) -> bool:
        return any(vars(self).values())


class History:
    """Keeps what was taken in, in one SQLite file that survives restarts; each commit holds what came in half a second.

    Taking in neither waits nor fails: a disk that is full or slow costs history, and never the system that is watched.
    Reads and writes run in threads, so the event loop of the process that has it goes on.
    """

    def __init__(self, path: Path, keeping: Keeping | None = None) -> None:
        self.counters = Counters()
        self.dropped = 0
        self._path = path
        self._keeping = keeping or Keeping()
        self._unwritten = Unwritten()
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._writing = ThreadPoolExecutor(1, "history writer")
        self._reading = ThreadPoolExecutor(1, "history reader")
        self._background = Background("history")
        self._failing = False
        self._pruned = 0.0

    async def start(self) -> None:
        """Open the file, or begin a new one where it can't be read: history is never worth a start that fails."""
        loop = asyncio.get_running_loop()
        self._writer = await loop.run_in_executor(self._writing, self._opened)
        self._reader = await loop.run_in_executor(self._reading, self._connect)
        self._background.spawn(self._keep(), "keep")

    async def drain(self) -> None:
        """It is kept to the end."""

    async def stop(self) -> None:
        """Write what waits, and close."""
        await self._background.stop()
        if self._writer is not None:
            await self._flush()
        for pool, connection in ((self._writing, self._writer), (self._reading, self._reader)):
            if connection is not None:
                await asyncio.get_running_loop().run_in_executor(pool, connection.close)
            pool.shutdown(wait=False)
        self._writer = self._reader = None

    def add_spans(self, spans: Sequence[SpanView]) -> None:
        """Take in finished spans."""
        self._add(self._unwritten.spans, spans)

    def add_line(self, line: LineRow) -> None:
        """Take in a line of the log."""
        self._add(self._unwritten.lines, (line,))

    def add_figures(self, figures: Sequence[FigureRow]) -> None:
        """Take in what happened in some seconds."""
        self._add(self._unwritten.figures, figures)

    def add_loads(self, loads: Sequence[LoadRows]) -> None:
        """Take in what replicas carried in some seconds."""
        self._add(self._unwritten.loads, loads)

    def add_backlog(self, backlog: BacklogRow) -> None:
        """Take in which events waited at a time."""
        self._add(self._unwritten.backlogs, (backlog,))

    def add_routes(self, routes: Sequence[RouteRow]) -> None:
        """Take in what became of requests at the gateway in some seconds."""
        self._add(self._unwritten.routes, routes)

    def _add(self, waiting: list[Any], rows: Sequence[Any]) -> None:
        room = WAITING - len(waiting)
        waiting.extend(rows[:room] if len(rows) > room else rows)
        self.dropped += max(len(rows) - room, 0)

    async def read(self, work: Callable[[sqlite3.Connection], Found]) -> Found:
        """What `work` finds; all that was taken in more than half a second ago is there."""
        assert self._reader is not None  # it has started
        return await asyncio.get_running_loop().run_in_executor(self._reading, work, self._reader)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            await self._flush()

    async def _flush(self) -> None:
        taken, self._unwritten = self._unwritten, Unwritten()
        loop = asyncio.get_running_loop()
        prune = loop.time() - self._pruned >= PRUNING
        if not (taken or prune):
            return
        try:
            failed = await loop.run_in_executor(self._writing, self._write, taken, prune)
        except sqlite3.Error as error:
            if not self._failing:
                logger.warning("the history of traces, logs and figures can't be written: %s", error)
            self._failing = True
            return
        self._failing = False
        if prune:
            self._pruned = loop.time()
            if self.dropped:
                logger.warning("history: %s rows were dropped, which came faster than they were written", self.dropped)
                self.dropped = 0
        old = self.counters
        figures = len(taken.figures) + len(taken.loads) + len(taken.backlogs) + len(taken.routes)
        self.counters = Counters(
            old.spans + len(taken.spans), old.logs + len(taken.lines), old.figures + figures, old.errors + failed
        )

    def _write(self, taken: Unwritten, prune: bool) -> int:
        assert self._writer is not None
        with self._writer as tx:
            write_spans(tx, taken.spans)
            write_lines(tx, taken.lines)
            write_figures(tx, taken.figures)
            write_loads(tx, taken.loads)
            write_backlogs(tx, taken.backlogs)
            write_routes(tx, taken.routes)
            failed = write_errors(tx, taken.spans, taken.lines)
            if prune:
                now = time.time()
                bounds = {**self._keeping._asdict(), "now": now, "oldest": now - self._keeping.days * 86400}
                for statement in (*PRUNE, *LOAD_PRUNE, *ROUTE_PRUNE):
                    tx.execute(statement, bounds)
        return failed

    def _opened(self) -> sqlite3.Connection:
        make_folder(self._path.parent)
        try:
            return self._created()
        except sqlite3.DatabaseError as error:  # damaged, or of another release
            logger.warning("%s can't be read (%s): history begins anew", self._path, error)
            for each in (self._path, *(self._path.with_name(self._path.name + end) for end in ("-wal", "-shm"))):
                each.unlink(missing_ok=True)
            return self._created()

    def _created(self) -> sqlite3.Connection:
        make_file(self._path)
        connection = self._connect()
        try:
            _check_version(connection)
            connection.executescript(SCHEMA + LOAD_SCHEMA + ROUTE_SCHEMA)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level="IMMEDIATE", check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA journal_mode = WAL")
        # What is lost when the machine loses power is some seconds of history.
        connection.execute("PRAGMA synchronous = OFF")
        return connection


def _check_version(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"it is of version {version}, and this release writes {VERSION}")
