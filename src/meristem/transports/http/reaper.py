"""One timer for all connections of a server: it cuts off those that let it wait too long."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Watched(Protocol):
    """A connection that knows whether it is overdue."""

    def check(self, now: float) -> None:
        """Close when the peer took longer than its limit allows, at `now` of the reaper's clock."""
        ...


class Reaper:
    """Looks at every connection once a tick; `now` is a coarse clock that costs nothing to read.

    It counts no more than a tick at a time: while this process stood still, what peers sent lay unread, so that
    time is none of theirs.
    """

    def __init__(self, tick: float) -> None:
        self.now = 0.0
        self.connections: set[Watched] = set()
        self._tick = tick
        self._looked = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._looked = loop.time()
            self._run(loop)

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        time = loop.time()
        self.now += min(time - self._looked, self._tick)
        self._looked = time
        for connection in list(self.connections):
            connection.check(self.now)
        self._timer = loop.call_later(self._tick, self._run, loop)
