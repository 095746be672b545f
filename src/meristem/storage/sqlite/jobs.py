"""Work for sqlite3 off the event loop, whose results come back to it many to a wake-up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Iterable, Sequence
from itertools import groupby, islice
from operator import itemgetter
from threading import Lock
from time import perf_counter, sleep
from typing import Any

import msgspec

from meristem.errors import StorageError
from meristem.storage.driver import Outcome, Statement
from meristem.storage.sqlite.locked import Patience
from meristem.storage.sqlite.translation import translate, unfit

_CHUNK = 100  # rows handled at a time
_AGAIN = 0.01  # seconds between two interrupts of a cancelled job
_LAGS = 8  # wake-ups over which the event loop's lag is averaged
_BREATH_EVERY = 0.001  # seconds for which the event loop's thread may wait for the interpreter
_BREATH = 0.00005  # seconds; the kernel makes more of it


class Job(msgspec.Struct, eq=False):
    """Steps to run, and the future that waits for them."""

    steps: Sequence[Statement]
    future: asyncio.Future[Any]
    runner: Runner | None = None
    cancelled: bool = False
    finished: bool = False
    value: Any = None
    error: BaseException | None = None
    patience: Patience | None = None  # of one that met a lock of another process

    async def outcome(self) -> Outcome:
        """What the job gave; a cancelled wait interrupts it."""
        try:
            found: Outcome = await self.future
        except asyncio.CancelledError:
            self.cancel()
            raise
        return found

    def cancel(self) -> None:
        """Interrupt the job if it runs, or keep it from running; to be called on the event loop."""
        self.cancelled = True
        self._interrupt()

    def _interrupt(self) -> None:
        # Until it has ended: SQLite forgets an interrupt that comes just before the statement begins.
        if not self.finished:
            if self.runner is not None:
                self.runner.interrupt(self)
            self.future.get_loop().call_later(_AGAIN, self._interrupt)


class Completions:
    """Carries finished jobs to the event loop: one wake-up for all that finished meanwhile.

    `lag` is how many seconds after a job's end the loop lately took notice: what ends sooner is of no use to it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.lag = 0.0
        self._loop = loop
        self._finished: deque[Job] = deque()
        self._scheduled = False
        self._since = 0.0

    def give(self, job: Job, value: Any = None, error: BaseException | None = None) -> None:
        """Finish a job, from any thread."""
        job.value, job.error = value, error
        # No lock: appending is atomic, and two threads that both see the flag unset only wake the loop twice.
        self._finished.append(job)
        if not self._scheduled:
            self._scheduled = True
            self._since = perf_counter()
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                if not self._loop.is_closed():  # once it is closed, no task waits any more
                    raise

    def _deliver(self) -> None:
        # Cleared first: what a thread appends from here on is either taken below or wakes the loop again.
        self._scheduled = False
        self.lag += (perf_counter() - self._since - self.lag) / _LAGS
        while self._finished:
            job = self._finished.popleft()
            job.finished = True
            if job.future.done():  # its waiter was cancelled; only a commit is waited for again
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.value)


class Runner:
    """One connection, used by one thread at a time, whose running job another thread may interrupt."""

    def __init__(self, connection: sqlite3.Connection, database: str) -> None:
        self.connection = connection
        self._database = database
        self._lock = Lock()
        self._running: Job | None = None

    def run(self, job: Job) -> Outcome:
        """Run the job's steps; the outcome is the last one's."""
        outcome = Outcome([], -1)
        job.runner = self  # before `cancelled` is read: the canceller sets that first and then looks here
        # The lock holds an interrupt back until it is certain whose statement it would stop: the next job's otherwise.
        with self._lock:
            self._running = job
        try:
            for step in job.steps:
                if job.cancelled:
                    raise StorageError(f"the statement was cancelled (database {self._database!r})")
                outcome = self._checked(step)
        finally:
            with self._lock:
                self._running = None
        return outcome

    def interrupt(self, job: Job) -> None:
        """Stop the statement under way, only if it is this job's."""
        with self._lock:
            if self._running is job:
                self.connection.interrupt()

    def _checked(self, step: Statement) -> Outcome:
        try:
            outcome = self.step(step)
        except BaseException:
            step.failed = True
            raise
        if step.otherwise is not None and not outcome.rowcount:
            step.failed = True
            raise step.otherwise
        return outcome

    def step(self, step: Statement) -> Outcome:
        """Run one statement, its errors translated."""
        try:
            return self._many(step) if step.many else self._one(step.text, step.parameters, step)
        except sqlite3.Error as error:
            raise translate(error, self._database, step.text) from error
        except (OverflowError, UnicodeEncodeError) as error:  # the latter holds the text
            refused = unfit(error, self._database, step.text)
        raise refused

    def _one(self, text: str, parameters: Any, step: Statement) -> Outcome:
        cursor = self.connection.execute(text, parameters)
        decode = step.decode
        if decode is None:
            if cursor.description is not None:
                cursor.fetchall()  # sqlite3 knows the rowcount only when all rows were fetched, wanted or not
            return Outcome([], cursor.rowcount)

        if step.first:
            row = cursor.fetchone()
            cursor.close()  # an unfinished read would keep the log from being checkpointed
            return Outcome([] if row is None else decode([row], cursor.description), cursor.rowcount)
        rows: list[Any] = []
        breath = _Breath()
        while chunk := cursor.fetchmany(_CHUNK):
            rows += decode(chunk, cursor.description)
            breath.take()
        return Outcome(rows, cursor.rowcount)

    def _many(self, step: Statement) -> Outcome:
        """Run a statement for many rows, all or none of them."""
        # Without it, rows before the one that fails would stay in a transaction that may go on.
        self.connection.execute("SAVEPOINT many")
        try:
            if step.decode is None:
                outcome = Outcome([], self._change(step.parameters))
            else:
                single = [self._one(text, parameters, step) for text, parameters in step.parameters]
                outcome = Outcome([row for one in single for row in one.rows], len(single))
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK TO many")
                self.connection.execute("RELEASE many")
            raise
        self.connection.execute("RELEASE many")
        return outcome

    def _change(self, rows: Iterable[tuple[str, Any]]) -> int:
        changed = 0
        breath = _Breath()
        for text, group in groupby(rows, itemgetter(0)):
            while chunk := [parameters for _, parameters in islice(group, _CHUNK)]:
                changed += self.connection.executemany(text, chunk).rowcount
                breath.take()
        return changed


class _Breath:
    """Lets the event loop's thread run now and then during long work.

    sqlite3 gives the interpreter lock away at each row, but takes it back before the thread that waits has woken up,
    which could hold the event loop for as long as the rows last. A sleep, however short, hands it over.
    """

    __slots__ = ("_due",)

    def __init__(self) -> None:
        self._due = perf_counter() + _BREATH_EVERY

    def take(self) -> None:
        """Pause, if the last pause is long enough ago."""
        if perf_counter() > self._due:
            sleep(_BREATH)
            self._due = perf_counter() + _BREATH_EVERY
