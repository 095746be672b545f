"""One timer for all connections of a server: it cuts off those that let it wait too long."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Watched(Protocol):
    """A connection that knows whether it is overdue."""

    def check(self, now: float) -> None:
        """Close when the peer took longer than its limit allows, at `now` of the loop's clock."""
        ...


class Reaper:
    """Looks at every connection once a tick; `now` is a coarse clock that costs nothing to read."""

    def __init__(self, tick: float) -> None:
        self.now = 0.0
        self.connections: set[Watched] = set()
        self._tick = tick
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        if self._timer is None:
            self._run(asyncio.get_running_loop())

    def stop(self) -> None:
        """Tick no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time()
        for connection in list(self.connections):
            connection.check(self.now)
        self._timer = loop.call_later(self._tick, self._run, loop)
