"""The threads of one app: so many run, so many requests wait for one in the order in which they came."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections import deque
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import FrameType

logger = logging.getLogger(__name__)


class ThreadJob(Protocol):
    """Work for a thread."""

    @property
    def label(self) -> str:
        """What it is, for logs."""
        ...

    def run(self) -> None:
        """Do it; raises nothing."""
        ...


class WorkerThreads:
    """Hands jobs to threads; all but `run` happens on the event loop, so nothing needs a lock.

    The threads are daemons: Python waits at its end for those of an executor, and an app that never returns would
    keep the process alive.
    """

    def __init__(self, name: str, *, most: int, waiting: int) -> None:
        self._name = name
        self._most = most
        self._may_wait = waiting
        self._handed: SimpleQueue[ThreadJob | None] = SimpleQueue()  # never more than idle threads
        self._waiting: deque[ThreadJob] = deque()
        self._busy: dict[ThreadJob, threading.Thread | None] = {}
        self._started = 0
        self._idle: asyncio.Event | None = None  # set when nothing is busy, once somebody waits for it

    def submit(self, job: ThreadJob) -> bool:
        """Have a job done; False when all threads are busy and as many jobs wait as may."""
        if len(self._busy) < self._most:
            self._hand(job)
        elif len(self._waiting) < self._may_wait:
            self._waiting.append(job)
        else:
            return False
        return True

    def withdraw(self, job: ThreadJob) -> bool:
        """Whether a job that still waited is taken back."""
        if job in self._busy or job not in self._waiting:
            return False
        self._waiting.remove(job)
        return True

    def longest(self) -> str:
        """The job that has been at work for the longest time."""
        return next(iter(self._busy)).label if self._busy else ""

    async def stop(self, patience: float) -> None:
        """Let the threads end; those that do not within `patience` seconds are named and left behind."""
        self._most = self._may_wait = 0
        self._waiting.clear()
        for _ in range(self._started):
            self._handed.put(None)
        if not self._busy:
            return
        self._idle = asyncio.Event()
        try:
            async with asyncio.timeout(patience):
                await self._idle.wait()
        except TimeoutError:
            frames = sys._current_frames()  # noqa: SLF001 - documented, and the only way to say where a thread is
            for job, thread in self._busy.items():
                where = _place(frames.get(thread.ident)) if thread is not None and thread.ident is not None else "?"
                logger.error(  # noqa: TRY400 - what the app does is at fault, not where this waits
                    "app %r: %s still runs %g s after the end, in %s; it is left behind",
                    self._name, job.label, patience, where,
                )  # fmt: skip

    def _hand(self, job: ThreadJob) -> None:
        if len(self._busy) >= self._started:
            self._started += 1
            loop = asyncio.get_running_loop()
            name = f"{self._name}-{self._started}"
            threading.Thread(target=self._work, args=(loop,), name=name, daemon=True).start()
        self._busy[job] = None
        self._handed.put(job)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        thread = threading.current_thread()
        while (job := self._handed.get()) is not None:
            self._busy[job] = thread  # replaces a value only; the loop alone adds and removes
            job.run()
            try:
                loop.call_soon_threadsafe(self._finished, job)
            except RuntimeError:  # the loop was closed: the process ends
                return
            del job  # while this thread is idle, nothing of the request is kept

    def _finished(self, job: ThreadJob) -> None:
        del self._busy[job]
        if self._waiting:
            self._hand(self._waiting.popleft())
        elif not self._busy and self._idle is not None:
            self._idle.set()


def _place(frame: FrameType | None) -> str:
    """Where a thread is: the innermost line that is not the standard library's."""
    library = threading.__file__.removesuffix("threading.py")
    here = frame
    while here is not None and here.f_code.co_filename.startswith((library, "<")) and here.f_back is not None:
        if "site-packages" in here.f_code.co_filename:
            break
        here = here.f_back
    return "?" if here is None else f"{here.f_code.co_name} ({here.f_code.co_filename}:{here.f_lineno})"
