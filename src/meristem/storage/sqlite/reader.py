"""The threads that read: each connection can't write, and sees what was committed when its statement began."""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable
from threading import Thread

from meristem.storage.sqlite.mailbox import Bell
from meristem.storage.sqlite.threads import Completions, Job, Runner


class Readers:
    """A few reading threads on one queue; another is started when all are busy."""

    def __init__(
        self, connect: Callable[[], sqlite3.Connection], database: str, completions: Completions, limit: int
    ) -> None:
        self._connect = connect
        self._database = database
        self._completions = completions
        self._limit = limit
        self._jobs: deque[Job] = deque()
        self._bells: list[Bell] = []
        self._threads: list[Thread] = []
        self._stopping = False

    def submit(self, job: Job) -> None:
        """Queue one reading statement."""
        self._jobs.append(job)
        # The first that sleeps, so that few threads stay warm; all busy ones look at the queue before they sleep.
        for bell in self._bells:
            if bell.ring():
                return
        if len(self._threads) < self._limit:
            self._grow()

    def stop(self) -> None:
        """Finish what is queued and close."""
        self._stopping = True
        for bell in self._bells:
            bell.ring()

    def join(self) -> None:
        """Wait for the threads' end."""
        for thread in self._threads:
            thread.join()

    def _grow(self) -> None:
        name = f"{self._database}-reader-{len(self._threads) + 1}"
        bell = Bell()
        thread = Thread(target=self._main, args=(bell,), name=name, daemon=True)
        self._bells.append(bell)
        self._threads.append(thread)
        thread.start()

    def _main(self, bell: Bell) -> None:
        runner: Runner | None = None
        while (job := self._next(bell)) is not None:
            try:
                if runner is None:
                    runner = Runner(self._connect(), self._database)
                outcome = runner.run(job)
            except BaseException as error:  # whatever it is, it belongs to the waiting task
                self._completions.give(job, error=error)
            else:
                self._completions.give(job, outcome)
        if runner is not None:
            runner.connection.close()
        bell.close()

    def _next(self, bell: Bell) -> Job | None:
        while True:
            try:
                return self._jobs.popleft()
            except IndexError:
                # Announced before the second look: a job that comes in between rings a thread that does not sleep yet.
                bell.doze()
            if not self._jobs and not self._stopping:
                bell.sleep()
                continue
            bell.rise()
            if self._stopping and not self._jobs:
                return None
