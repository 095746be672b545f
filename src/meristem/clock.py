"""Time as services see it: a port, so that tests can move it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol

# The time for which the machine was suspended has passed, too; Linux alone leaves it out of the monotonic time.
_passed: Callable[[], float] = time.monotonic
if hasattr(time, "CLOCK_BOOTTIME"):
    _passed = partial(time.clock_gettime, time.CLOCK_BOOTTIME)


class Clock(Protocol):
    """The time of day, the time that passes, and waiting for it.

    Everything durable (holds, sleeps of sagas, retries of events) asks a Clock; deadlines of calls use the
    monotonic time of the machine, because a peer waits in real seconds.
    """

    def now(self) -> datetime:
        """The time of day, aware, in UTC; it steps when the machine's clock is set."""
        ...

    def steady(self) -> float:
        """Seconds that have passed since some moment, 0 or more: what waits is measured by it, for it never steps."""
        ...

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Wait until `seconds` have passed on this clock; most clocks write it as `async def`."""
        ...


class SystemClock:
    """The machine's own clock."""

    def __init__(self) -> None:
        # No method around it: each step of a saga reads it.
        self.steady = _passed

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


class SteadyTime:
    """A time of day that never steps: what the clock showed when this was made, and what has passed since."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._origin = clock.now() - timedelta(seconds=clock.steady())

    def now(self) -> datetime:
        """The time, aware, in UTC; it differs from the clock's by what that has stepped."""
        return self._origin + timedelta(seconds=self._clock.steady())

    def earlier(self) -> datetime:
        """This time or the clock's, whichever is earlier: what is old by it is old whichever of the two is wrong."""
        return min(self.now(), self._clock.now())
