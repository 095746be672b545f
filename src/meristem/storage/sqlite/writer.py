"""The one thread that writes: transactions one after the other, first come first served."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import deque

from meristem.errors import StorageError
from meristem.storage.driver import Outcome
from meristem.storage.sqlite.mailbox import Mailbox
from meristem.storage.sqlite.threads import Completions, Job, Runner, Syncer
from meristem.storage.sqlite.translation import translate

_GROUP_SECONDS = 0.001  # the longest that a commit waits for others to share its sync
_GROUP_SIZE = 64


class WriteJob(Job, kw_only=True, eq=False):
    """Steps of one transaction, perhaps its last ones."""

    transaction: Turn
    commits: bool


class Turn:
    """A transaction's place in the writer's queue; the thread alone changes it."""

    __slots__ = ("abandoned", "begun", "jobs", "open")

    def __init__(self) -> None:
        self.jobs: deque[WriteJob] = deque()
        self.begun = False
        self.open = False
        self.abandoned = False


class Writer:
    """Owns the connection that writes. A transaction holds it from its first step to its end; others wait in line."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        database: str,
        completions: Completions,
        syncer: Syncer | None,
        busy_timeout: float,
    ) -> None:
        self._connection = connection
        self._runner = Runner(connection, database)
        self._database = database
        self._completions = completions
        self._syncer = syncer
        self._busy_timeout = busy_timeout
        self._inbox: Mailbox[WriteJob | Turn | None] = Mailbox()
        self._waiting: deque[Turn] = deque()
        self._turn: Turn | None = None
        self._stopping = False
        self._committed: list[tuple[Job, Outcome]] = []
        self._sync_due = 0.0

    def submit(self, job: WriteJob) -> None:
        """Queue steps of a transaction."""
        self._inbox.put(job)

    def abandon(self, turn: Turn) -> None:
        """Queue a roll back."""
        self._inbox.put(turn)

    def stop(self) -> None:
        """Finish what is queued, roll back what is left open, close."""
        self._inbox.put(None)

    def main(self) -> None:
        """The thread: serve the transaction whose turn it is, then the next in line."""
        while True:
            job = self._next()
            if job is None:
                break
            self._serve(job)
        self._sync()
        self._connection.close()
        self._inbox.close()
        if self._syncer is not None:
            self._syncer.stop()

    def _next(self) -> WriteJob | None:
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
            elif self._stopping:
                return None
            self._take()

    def _take(self) -> None:
        """Wait for one message and put it where it belongs."""
        try:
            message = self._inbox.get(timeout=self._patience())
        except TimeoutError:
            self._sync()
            return
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

    def _serve(self, job: WriteJob) -> None:
        turn = job.transaction
        try:
            outcome = self._run(turn, job)
        except BaseException as error:  # whatever it is, it belongs to the waiting task
            # A failed statement leaves the transaction open for further ones, unless SQLite itself rolled it back.
            if job.commits or not self._connection.in_transaction:
                self._end(turn)
            self._completions.give(job, error=error)
            return
        if job.commits and self._syncer is not None:
            self._group(job, outcome)
        else:
            self._completions.give(job, outcome)

    def _group(self, job: Job, outcome: Outcome) -> None:
        """Let the commit wait for others, as long as others wait and not for long."""
        now = time.monotonic()
        if not self._committed:
            self._sync_due = now + _GROUP_SECONDS
        self._committed.append((job, outcome))
        if now >= self._sync_due or len(self._committed) >= _GROUP_SIZE:
            self._sync()

    def _patience(self) -> float | None:
        """How long to wait for a message: without end, unless commits wait to be synced."""
        if not self._committed:
            return None
        if self._turn is None and self._inbox.is_empty():
            self._sync()
            return None
        return max(0.0001, self._sync_due - time.monotonic())

    def _sync(self) -> None:
        if self._syncer is not None and self._committed:
            self._syncer.acknowledge(self._committed)
            self._committed = []

    def _run(self, turn: Turn, job: WriteJob) -> Outcome:
        if turn.begun and not turn.open:
            raise StorageError(f"the transaction has ended already (database {self._database!r})")
        if not turn.begun:
            self._begin(turn, job)
        outcome = self._runner.run(job)
        if job.commits:
            self._commit(turn)
        return outcome

    def _begin(self, turn: Turn, job: Job) -> None:
        if self._syncer is not None and self._syncer.failed:
            raise StorageError(
                f"database {self._database!r} takes no writes since its disk failed: restart the service"
            )
        turn.begun = True
        give_up = time.monotonic() + self._busy_timeout
        while not job.cancelled:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                    raise translate(error, self._database, "BEGIN IMMEDIATE") from error
                # Nothing tells when another process is done, and SQLite's own back-off grows until a busy one
                # starves us.
                time.sleep(random.uniform(0.0003, 0.002))  # noqa: S311 - no secret
            else:
                turn.open = True
                return
        raise StorageError(f"the statement was cancelled (database {self._database!r})")

    def _commit(self, turn: Turn) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise translate(error, self._database, "COMMIT") from error
        turn.open = False
        self._turn = None
