"""The pauses that sagas make in memory, for whoever asks what a saga is doing."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from meristem.clock import Clock
from meristem.sagas.records import SagaRow


class Nap(msgspec.Struct, frozen=True, eq=False):
    """One pause of a saga: `doing` is what it does (`sleeps`, `pauses before another Bank.charge`), `until` its end."""

    saga_id: str
    saga: str
    state: str
    doing: str
    until: datetime


class Naps:
    """Sleeps on the clock for the sagas of one engine; `open` holds the pauses that are made now."""

    def __init__(self, clock: Clock) -> None:
        self.open: list[Nap] = []
        self._clock = clock

    async def take(self, saga: SagaRow, doing: str, seconds: float) -> None:
        """Sleep for so many seconds of the clock."""
        nap = Nap(saga.id, saga.name, saga.state.value, doing, self._clock.now() + timedelta(seconds=max(0.0, seconds)))
        self.open.append(nap)
        try:
            await self._clock.sleep(seconds)
        finally:
            self.open.remove(nap)
