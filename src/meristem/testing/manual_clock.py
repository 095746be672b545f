"""A clock that a test moves by hand."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final

_START: Final = datetime(2030, 1, 1, 12, tzinfo=UTC)
_TICK: Final = timedelta.resolution  # the shortest wait: who waits for a moment between two ticks would never see it
_TURNS: Final = 10  # of the event loop after each wake-up, so that a sleeper may act and sleep again


class ManualClock:
    """Time stands still until `advance`; sleepers wake in the order of their times."""

    def __init__(self, start: datetime = _START) -> None:
        self._start = self._now = start
        self._stepped = timedelta()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._sleeping = 0
        self._count = 0
        self._changed = asyncio.Event()

    def now(self) -> datetime:
        """The time of day that the test has reached."""
        return self._now + self._stepped

    def steady(self) -> float:
        """The seconds that have passed, however often the time of day was set."""
        return (self._now - self._start).total_seconds()

    def step(self, seconds: float) -> None:
        """Set the time of day, forward or back, as a time server does with a wrong one: no time passes by it."""
        self._stepped += timedelta(seconds=seconds)

    @property
    def next_wake(self) -> float | None:
        """The seconds until the first sleeper wakes; None where nobody sleeps."""
        while self._sleepers and self._sleepers[0][2].done():  # it gave up before its time
            heapq.heappop(self._sleepers)
        return (self._sleepers[0][0] - self._now).total_seconds() if self._sleepers else None

    @property
    def sleepers(self) -> int:
        """How many tasks sleep on this clock."""
        return self._sleeping

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Wait until `advance` has moved the time by `seconds`, counted from the call: not from when it is awaited."""
        if seconds <= 0:
            return asyncio.sleep(0)
        self._count += 1
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Numbered: of two that wake at one time the earlier one goes first, and futures have no order of their own.
        heapq.heappush(self._sleepers, (self._now + max(timedelta(seconds=seconds), _TICK), self._count, future))
        return self._wait(future)

    async def _wait(self, moment: asyncio.Future[None]) -> None:
        self._sleeping += 1
        self._changed.set()
        try:
            await moment
        finally:
            self._sleeping -= 1

    async def sleeping(self, count: int = 1) -> None:
        """Wait until at least `count` tasks sleep on this clock."""
        while self.sleepers < count:
            self._changed.clear()
            await self._changed.wait()

    async def advance(self, seconds: float) -> None:
        """Move the time, and let each sleeper whose time has come run at the moment it asked for."""
        target = self._now + timedelta(seconds=seconds)
        while self._sleepers and self._sleepers[0][0] <= target:
            at, _, future = heapq.heappop(self._sleepers)
            self._now = max(self._now, at)
            if not future.done():
                future.set_result(None)
                # After each: who wakes may sleep again, and be due before the next one.
                await _let_others_run()
        self._now = target
        await _let_others_run()


async def _let_others_run() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)
