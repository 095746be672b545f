"""The threads of a process that wait for SQLite: a few for all its databases, started as they are needed."""

from __future__ import annotations

import logging
from collections import deque
from threading import Lock, Thread
from typing import TYPE_CHECKING, ClassVar, Final

from meristem.storage.sqlite.bell import Bell

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger("meristem.storage")

MOST: Final = 12  # threads of a process, however many databases it has
READING: Final = 8  # of them, those that may be in a long read: the others stay for who writes


class Workers:
    """Runs work on the first of its threads that sleeps, so that few of them stay warm; `join` gives the process's.

    Whoever has joined leaves; the threads end when the last one has. No work may wait for a lock of another process:
    it comes back later instead, else a few locked databases would hold up all others.
    """

    _lock: ClassVar[Lock] = Lock()
    _current: ClassVar[Workers | None] = None

    def __init__(self) -> None:
        self._users = 0
        self._writing: deque[Callable[[], None]] = deque()
        self._reading: deque[Callable[[], None]] = deque()
        self._bells: list[Bell] = []
        self._ended = False

    @classmethod
    def join(cls) -> Workers:
        """The threads of this process, for one who will leave them."""
        with cls._lock:
            workers = cls._current
            if workers is None:
                workers = cls._current = Workers()
            workers._users += 1
            return workers

    def leave(self) -> None:
        """Give them up; to be called once for each `join`."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            Workers._current = None
            self._ended = True
        for bell in self._bells:
            bell.ring()

    @property
    def have_spare(self) -> bool:
        """Whether there is a thread that does nothing, or may yet be started."""
        return len(self._bells) < MOST or any(bell.is_asleep for bell in self._bells)

    def write(self, work: Callable[[], None]) -> None:
        """Run what writes, on any thread."""
        self._writing.append(work)
        self._wake(MOST)

    def read(self, work: Callable[[], None]) -> None:
        """Run what reads and may take long, on one of the threads for that."""
        self._reading.append(work)
        self._wake(READING)

    def _wake(self, among: int) -> None:
        bells = self._bells
        for bell in bells[:among]:
            if bell.ring():
                return
        if len(bells) < among:
            self._grow(among)

    def _grow(self, among: int) -> None:
        with self._lock:
            number = len(self._bells)
            if number >= among:
                return
            bell = Bell()
            self._bells.append(bell)
        reads = number < READING
        Thread(target=self._main, args=(bell, reads), name=f"meristem-sqlite-{number + 1}", daemon=True).start()

    def _main(self, bell: Bell, reads: bool) -> None:
        writing, reading = self._writing, self._reading
        while True:
            try:
                work = writing.popleft() if writing or not reads else reading.popleft()
            except IndexError:
                # Announced before the second look: what comes in between rings a thread that does not sleep yet.
                bell.doze()
                if writing or (reads and reading):
                    bell.rise()
                elif self._ended:
                    break
                else:
                    bell.sleep()
                continue
            try:
                work()
            except Exception:  # a thread that died would leave all databases with one less
                logger.exception("a thread of the databases failed; this is a bug in Meristem")
        bell.close()
