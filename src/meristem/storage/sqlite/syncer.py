"""Makes commits durable, many to one sync of the write-ahead log: the group commit."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from threading import Event, Lock
from time import monotonic, sleep
from typing import Final

from meristem.errors import StorageError
from meristem.storage.driver import BROKEN, Outcome
from meristem.storage.sqlite.jobs import Completions, Job
from meristem.storage.sqlite.workers import Workers

GROUP_SECONDS: Final = 0.001  # the longest that a commit waits for others to share its sync
GROUP_SIZE: Final = 64
LAGS: Final = 8  # times the event loop's lag that a sync waits for more commits
SHORTEST: Final = 0.0005  # seconds of lag, below which the loop has nothing better to do than to hear of commits
LONGEST: Final = 0.015  # seconds that a sync waits for more commits
MANY: Final = 8  # commits to a sync, from which on more of them save little

logger = logging.getLogger("meristem.storage")


class Syncer:
    """Syncs the log for all that has been committed, and acknowledges it.

    The writer goes on with the next transaction while the disk works. A commit is acknowledged when a sync that began
    after it has ended, which is what `synchronous=FULL` promises one commit at a time. A writer with nothing left to do
    syncs on its own thread, which saves waking another one; while it has work, it asks for one. The busier the event
    loop is, the more commits share a sync.
    """

    def __init__(self, log: int, database: str, completions: Completions, sync: Callable[[int], None]) -> None:
        self.failed = False
        self.closed = Event()
        self._log: int | None = log
        self._completions = completions
        self._database = database
        self._sync = sync
        self._workers = Workers.join()
        self._committed: deque[tuple[Job, Outcome]] = deque()
        self._syncing = Lock()
        self._due = 0.0
        self._shared = 0  # how many commits the last sync was for
        self._closing = False

    def committed(self, job: Job, outcome: Outcome) -> None:
        """A job is committed, and waits for others as long as the writer goes on, but not for long."""
        now = monotonic()
        if not self._committed:
            self._due = now + GROUP_SECONDS
        self._committed.append((job, outcome))
        if (now >= self._due or len(self._committed) >= GROUP_SIZE) and self._syncing.acquire(blocking=False):
            self._workers.write(self._run)

    def refuse(self) -> StorageError:
        """The error of a write after a sync has failed."""
        refused = StorageError(
            f"database {self._database!r} takes no writes since its disk failed: restart the service"
        )
        refused.condition = BROKEN
        return refused

    def sync_here(self) -> None:
        """Sync on this thread, unless another one does already."""
        if self._committed and self._syncing.acquire(blocking=False):
            self._run()

    def close(self) -> None:
        """Acknowledge the rest and close the log, here or on the thread that syncs now."""
        self._closing = True
        if self._syncing.acquire(blocking=False):
            self._run()

    def _run(self) -> None:
        while True:
            while self._committed:
                self._acknowledge()
            closing, log = self._closing, self._log
            if closing and log is not None and not self._committed:
                self._log = None
                os.close(log)
                self.closed.set()
                self._workers.leave()
            self._syncing.release()
            # What came after the last look and before the release asked for nobody.
            if not (self._committed or (self._closing and self._log is not None)):
                return
            if not self._syncing.acquire(blocking=False):
                return

    def _acknowledge(self) -> None:
        self._gather()
        # What has been committed by now is in the log: the sync that begins below covers all of it.
        count, log = len(self._committed), self._log
        self._shared = count
        if not self.failed and log is not None:
            try:
                self._sync(log)
            except Exception:  # whatever it is: commits would stay without an answer
                # After a failed sync the kernel may have dropped the pages: a later success would prove nothing.
                self.failed = True
                logger.exception("the write-ahead log of database %r can't be synced", self._database)
        for _ in range(count):
            job, outcome = self._committed.popleft()
            if self.failed:
                lost = StorageError(
                    f"database {self._database!r} could not make a commit durable: it may be lost. "
                    "Check the disk and restart the service"
                )
                lost.condition = BROKEN
                self._completions.give(job, error=lost)
            else:
                self._completions.give(job, outcome)

    def _gather(self) -> None:
        """Wait for more commits while the event loop is behind: sooner it would not hear of these.

        A sync costs a processor twice as much as a commit, which on a busy one the loop has to wait for. Where many
        share one as it is, each would wait for tasks that wait themselves.
        """
        if self._closing or max(self._shared, len(self._committed)) >= MANY:
            return
        lag = self._completions.lag
        if lag > SHORTEST and self._workers.have_spare:
            sleep(min(LAGS * lag, LONGEST))
