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

    Its clock stands still while this process is held up: no peer is late because nobody was there to read.
    """

    def __init__(self, tick: float) -> None:
        self.now = 0.0
        self._seen = 0.0
        self.connections: set[Watched] = set()
        self._tick = tick
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self.now = self._seen = loop.time()
            self._timer = loop.call_later(self._tick, self._run, loop)

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        seen, self._seen = self._seen, loop.time()
        self.now += min(self._seen - seen, self._tick)
        self._timer = loop.call_later(self._tick, self._run, loop)
        loop.call_soon(loop.call_soon, self._look)  # one turn later: what has arrived meanwhile is read first

    def _look(self) -> None:
        if self._timer is not None:
            for connection in list(self.connections):
                connection.check(self.now)
