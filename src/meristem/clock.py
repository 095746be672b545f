"""Time as services see it: a port, so that tests can move it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Protocol


class Clock(Protocol):
    """The time of day and waiting for it.

    Everything durable (holds, sleeps of sagas, retries of events) asks a Clock; deadlines of calls use the
    monotonic time of the machine, because a peer waits in real seconds.
    """

    def now(self) -> datetime:
        """The current time, aware, in UTC."""
        ...

    def sleep(self, seconds: float) -> Coroutine[Any, Any, None]:
        """Wait until `seconds` have passed on this clock; most clocks write it as `async def`."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))
