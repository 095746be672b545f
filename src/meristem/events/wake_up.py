"""One wake-up for many times: ends its waiter's wait at the earliest that was asked for."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

from meristem.lifecycle import first_of

if TYPE_CHECKING:
    from meristem.clock import Clock


class WakeUp:
    """Set by anyone, awaited by one; times are on the clock's steady time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = math.inf
        self._moved = asyncio.Event()

    def set(self, at: float) -> None:
        """End the wait at `at`, unless an earlier time is set already."""
        if at < self._at:
            self._at = at
            self._moved.set()

    async def wait(self) -> None:
        """Wait until the earliest time has come, and forget it."""
        while (remaining := self._at - self._clock.steady()) > 0:
            self._moved.clear()
            await self._pass(remaining)
        self._at = math.inf

    async def _pass(self, seconds: float) -> None:
        """Let the time pass, or be woken because an earlier one was set."""
        if seconds == math.inf:
            await self._moved.wait()
        else:
            await first_of(self._moved.wait(), self._clock.sleep(seconds))
