"""Reads off the event loop: each connection can't write, and sees what was committed when its statement began."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import deque
from collections.abc import Callable
from math import inf
from threading import Event, Lock
from time import monotonic
from typing import Final

from meristem.errors import StorageUnavailable
from meristem.storage.sqlite.jobs import Completions, Job, Runner
from meristem.storage.sqlite.locked import Patience
from meristem.storage.sqlite.translation import translate
from meristem.storage.sqlite.workers import Workers

LONG: Final = 0.05  # seconds of one statement after which those who wait get connections of their own


class Readers:
    """Runs reading statements one after the other; beside one that takes long, up to `limit` at once.

    One connection is kept. Others are opened only while a long statement holds it up, and closed when no work is left:
    a connection takes two file descriptors. (Of a closed one SQLite keeps one for the next, since closing it would
    drop the locks that the file's other connections hold.)
    """

    def __init__(
        self,
        connect: Callable[[], sqlite3.Connection],
        database: str,
        completions: Completions,
        *,
        limit: int,
        busy_timeout: float,
    ) -> None:
        self.closed = Event()
        self._connect = connect
        self._database = database
        self._completions = completions
        self._loop = asyncio.get_running_loop()
        self._busy_timeout = busy_timeout
        self._workers = Workers.join()
        self._jobs: deque[Job] = deque()
        self._kept: Runner | None = None
        self._turn = Lock()  # held by the thread that reads on the kept connection
        self._most = limit - 1
        self._others = deque([None] * self._most)  # one is taken out by each who reads on a connection of its own
        self._since = inf  # when the statement began that the kept connection runs
        self._is_watched = False
        self._then: Callable[[], None] | None = None  # what comes after the end, once that is asked for

    def submit(self, job: Job) -> None:
        """Queue one reading statement, from the event loop."""
        self._jobs.append(job)
        if not self._engage() and not self._is_watched:
            self._watch()

    def stop(self, then: Callable[[], None]) -> None:
        """Finish what is queued and close; `closed` is set then, and what comes next is done, on any thread."""
        self._then = then
        self._engage()

    def _engage(self) -> bool:
        if not self._turn.acquire(blocking=False):
            return False
        self._workers.read(self._serve)
        return True

    def _watch(self) -> None:
        self._is_watched = True
        self._loop.call_later(LONG, self._look)

    def _look(self) -> None:
        """Start another reader, if jobs wait behind a long statement."""
        self._is_watched = False
        if not self._jobs:
            return
        if monotonic() - self._since >= LONG and self._others:
            self._others.pop()
            self._workers.read(self._help)
        self._watch()

    def _serve(self) -> None:
        while True:
            self._kept = self._work(self._kept, watched=True)
            self._turn.release()
            # What came after the last look and before the release engaged nobody.
            if not self._jobs or not self._turn.acquire(blocking=False):
                break
        self._end()

    def _help(self) -> None:
        runner = self._work(None, watched=False)
        if runner is not None:
            runner.connection.close()
        self._others.append(None)
        self._end()

    def _end(self) -> None:
        """Say that all is closed, once it is and nobody reads any more."""
        idle = not self._jobs and len(self._others) == self._most
        if self._then is None or not idle or not self._turn.acquire(blocking=False):
            return
        if self._kept is not None:
            self._kept.connection.close()
        self.closed.set()
        self._then()
        self._workers.leave()

    def _work(self, runner: Runner | None, *, watched: bool) -> Runner | None:
        """Run jobs until none is left; gives back the connection, if it could be opened."""
        while True:
            try:
                job = self._jobs.popleft()
            except IndexError:
                return runner
            if watched:
                self._since = monotonic()
            try:
                if runner is None:
                    runner = Runner(self._connect(), self._database)
                outcome = runner.run(job)
            except StorageUnavailable as error:
                self._wait(job, error)
            except sqlite3.Error as error:
                self._completions.give(job, error=translate(error, self._database, "opening the file"))
            except BaseException as error:  # whatever it is, it belongs to the waiting task
                self._completions.give(job, error=error)
            else:
                self._completions.give(job, outcome)
            if watched:
                self._since = inf

    def _wait(self, job: Job, error: StorageUnavailable) -> None:
        """Try a job again in a while that met a lock, unless its time is over; no thread waits for it."""
        job.patience = job.patience or Patience(self._busy_timeout)
        pause = job.patience.pause()
        if pause is None or self._then is not None:
            self._completions.give(job, error=error)
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed: no task waits any more
            self._loop.call_soon_threadsafe(self._loop.call_later, pause, self._try_again, job, error)

    def _try_again(self, job: Job, error: StorageUnavailable) -> None:
        if self._then is not None:
            self._completions.give(job, error=error)
        else:
            self.submit(job)
