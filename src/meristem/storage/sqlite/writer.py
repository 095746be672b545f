"""What writes to one database: transactions one after the other, first come first served, on any free thread."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from threading import Event, Lock

from meristem.errors import StorageError
from meristem.storage.sqlite.jobs import Completions, Job, Runner
from meristem.storage.sqlite.locked import Patience, is_locked
from meristem.storage.sqlite.syncer import Syncer
from meristem.storage.sqlite.translation import translate
from meristem.storage.sqlite.workers import Workers


class WriteJob(Job, kw_only=True, eq=False):
    """Steps of one transaction, perhaps its last ones."""

    transaction: Turn
    commits: bool


class Turn:
    """A transaction's place in the writer's queue; the thread that serves it alone changes it."""

    __slots__ = ("_claim", "abandoned", "begun", "jobs", "open")

    def __init__(self) -> None:
        self.jobs: deque[WriteJob] = deque()
        self.begun = False
        self.open = False
        self.abandoned = False
        self._claim = Lock()

    def claim(self) -> bool:
        """Decide whether it begins: the writer does before it tries, the waiter to take it back; the first has it."""
        return self._claim.acquire(blocking=False)

    def release(self) -> None:
        """The try failed: the waiter may take it back again."""
        self._claim.release()


class Writer:
    """Owns the connection that writes. A transaction holds it from its first step to its end; others wait in line.

    It holds a thread only while it works: none while a transaction waits for its next statement, and none while another
    process has the database locked.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        database: str,
        completions: Completions,
        syncer: Syncer | None,
        busy_timeout: float,
    ) -> None:
        self.closed = Event()
        self._connection = connection
        self._runner = Runner(connection, database)
        self._database = database
        self._completions = completions
        self._syncer = syncer
        self._busy_timeout = busy_timeout
        self._loop = asyncio.get_running_loop()
        self._workers = Workers.join()
        self._serving = Lock()  # held from the moment that a thread is asked for until it has nothing left to do
        self._inbox: deque[WriteJob | Turn | None] = deque()
        self._waiting: deque[Turn] = deque()
        self._turn: Turn | None = None
        self._retry_is_due = False
        self._retries = False
        self._stopping = False

    def submit(self, message: WriteJob | Turn | None) -> None:
        """Queue steps of a transaction, or one that is abandoned."""
        self._inbox.append(message)
        self._engage()

    def stop(self) -> None:
        """Finish what is queued, roll back what is left open, close; `closed` is set then."""
        self.submit(None)

    def _engage(self) -> None:
        if self._serving.acquire(blocking=False):
            self._workers.write(self._serve_all)

    def _try_again(self) -> None:
        self._retries = False
        self._retry_is_due = True
        self._engage()

    def _serve_all(self) -> None:
        """On a thread: serve the transaction whose turn it is, then the next in line, as far as that goes now."""
        while True:
            self._retry_is_due = False
            locked, job = False, self._next()
            while job is not None and not (locked := not self._serve(job)):
                job = self._next()
            if self._stopping and not locked and self._turn is None:
                self._close()  # with the lock kept: nobody serves any more
                return
            self._serving.release()
            # What came after the last look and before the release engaged nobody.
            if not (self._inbox or self._retry_is_due) or not self._serving.acquire(blocking=False):
                break
        if self._syncer is not None:
            self._syncer.sync_here()

    def _close(self) -> None:
        self._connection.close()
        if self._syncer is not None:
            self._syncer.close()
        self.closed.set()
        self._workers.leave()

    def _next(self) -> WriteJob | None:
        # All of it: what were left there would have the thread come back at once while a lock is waited for.
        while self._inbox:
            self._sort(self._inbox.popleft())
        while True:
            turn = self._turn
            # SQLite has one writer. Whose turn it is keeps it from its first statement to its end, although other
            # transactions' statements arrive meanwhile: they are sorted into their own queues, not refused as busy.
            if turn is None and self._waiting:
                turn = self._turn = self._waiting.popleft()
            if turn is not None:
                if turn.jobs:
                    return turn.jobs.popleft()
                # Queued statements go first: an abandoned transaction ends after what was sent before it was given up.
                if turn.abandoned or not turn.begun or self._stopping:
                    self._end(turn)
                    continue
            return None

    def _sort(self, message: WriteJob | Turn | None) -> None:
        if message is None:
            self._stopping = True
        elif isinstance(message, Turn):
            message.abandoned = True
        else:
            turn = message.transaction
            if not turn.jobs and turn is not self._turn:  # its first statement is its place in the line
                self._waiting.append(turn)
            turn.jobs.append(message)

    def _end(self, turn: Turn) -> None:
        """Give the turn to the next; roll back if the transaction is still open."""
        self._turn = None
        turn.open = False
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _serve(self, job: WriteJob) -> bool:
        """Run a job and answer it; false when another process has the database locked, and the job waits."""
        turn = job.transaction
        try:
            if not self._is_open(turn, job):
                return False
            outcome = self._runner.run(job)
            if job.commits:
                self._commit(turn)
        except BaseException as error:  # whatever it is, it belongs to the waiting task
            # A failed statement leaves the transaction open for further ones, unless SQLite itself rolled it back.
            if job.commits or not self._connection.in_transaction:
                self._end(turn)
            self._completions.give(job, error=error)
            return True
        if job.commits and self._syncer is not None:
            self._syncer.committed(job, outcome)
        else:
            self._completions.give(job, outcome)
        return True

    def _is_open(self, turn: Turn, job: WriteJob) -> bool:
        """Begin the transaction if need be; false when it must be tried again later."""
        if turn.open:
            return True
        if turn.begun:
            raise StorageError(f"the transaction has ended already (database {self._database!r})")
        if self._syncer is not None and self._syncer.failed:
            raise self._syncer.refuse()
        if job.cancelled or not turn.claim():
            raise StorageError(f"the statement was cancelled (database {self._database!r})")
        turn.begun = True
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if is_locked(error) and self._waits(turn, job):
                return False
            raise translate(error, self._database, "BEGIN IMMEDIATE") from error
        turn.open = True
        return True

    def _waits(self, turn: Turn, job: WriteJob) -> bool:
        """Put a job back that met a lock, and have it tried again in a while; false when its time is over."""
        job.patience = job.patience or Patience(self._busy_timeout)
        pause = job.patience.pause()
        if pause is None:
            return False
        if not self._retries:
            self._retries = True  # before the timer is set: it may be over when this thread goes on
            try:
                self._loop.call_soon_threadsafe(self._loop.call_later, pause, self._try_again)
            except RuntimeError:  # the loop is closed: no task waits any more
                return False
        turn.jobs.appendleft(job)
        turn.begun = False
        turn.release()
        return True

    def _commit(self, turn: Turn) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise translate(error, self._database, "COMMIT") from error
        turn.open = False
        self._turn = None
