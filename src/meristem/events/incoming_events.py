"""Incoming events: what a broker brings becomes rows of the subscriber's own outbox, owed to itself.

From there on it is as every event: in order per key, tried again, buried, redriven, and spread over the replicas.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from meristem.errors import CallError, Code
from meristem.events.bus_positions import BusPositions

if TYPE_CHECKING:
    from meristem.events.bus_positions import ReadSoFar
    from meristem.events.delivery import Unreadable
    from meristem.events.envelope import Envelope
    from meristem.events.outbox import Outbox
    from meristem.storage.database import Database
    from meristem.storage.lease import Lease

_CROWDED: Final = 0.05  # seconds until it looks whether there is room
_COUNTED: Final = 0.5  # seconds until it counts again what waits, which reads all of it
_LATER: Final = 30.0  # seconds after which who was refused for want of room is to come again
_ON_DISK: Final = 100_000  # events of a subscriber that may wait here: what is more stays with the broker


class Incoming(BusPositions):
    """What a broker has for one service, taken in in the order in which it is given.

    What `store` was given is durable when it returns, and only then may the broker forget it. One replica takes in at
    a time (`alone`); the commits of one that was taken for dead fail.
    """

    def __init__(self, service: str, database: Database, outbox: Outbox, lease: Lease) -> None:
        self.service = service
        super().__init__(database)
        self._outbox = outbox
        self._lease = lease
        self._room = 0  # for so many more there is some, as it was counted

    async def alone(self, duty: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` if this replica is the one that takes in; return at once if another one is."""
        await self._lease.run_alone(f"takes in from {duty}", work)

    async def store(self, arrived: Sequence[Envelope | Unreadable], *positions: ReadSoFar) -> bool:
        """Keep what has arrived, and how far that is, in one transaction.

        Returns False where a replay has moved a position meanwhile: then it is to be read from there.
        """
        async with self._database.unit() as unit:
            await self._outbox.take_in(unit, self.service, arrived)
            self._room -= len(arrived)
            moved = [self.advance(unit, each) for each in positions]
        return all(moved)

    async def keep(self, destination: str, events: Sequence[Envelope]) -> None:
        """Keep events that were accepted from outside, owed to this service or another destination.

        Raises CallError `resource_exhausted` where too many wait for it already.
        """
        if not self._outbox.has_room_for(destination) and await self._outbox.owed_to(destination) >= _ON_DISK:
            message = f"{_ON_DISK} events wait for {destination} already"
            raise CallError(Code.RESOURCE_EXHAUSTED, message, may_have_happened=False, retry_after=_LATER)
        async with self._database.unit() as unit:
            await self._outbox.take_in(unit, destination, events)

    async def room(self) -> None:
        """Wait until more may be taken in: what a service has no time for waits where there is room for it."""
        # A client's own wait_for loses a cancellation that comes with its answer (Python 3.11); here it is seen.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
        counted = -math.inf
        while not self._outbox.has_room_for(self.service) and self._room <= 0:
            if monotonic() > counted + _COUNTED:
                # For half of it, as others may bring events too: a count for each batch would be of all that waits.
                self._room = (_ON_DISK - await self._outbox.owed_to(self.service) + 1) // 2
                counted = monotonic()
            else:
                await asyncio.sleep(_CROWDED)
