"""Incoming events: what a broker brings becomes rows of the subscriber's own outbox, owed to itself.

From there on it is as every event: in order per key, tried again, buried, redriven, and spread over the replicas.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Text, bindparam, insert, select, update

from meristem.errors import IntegrityViolation
from meristem.events.tables import POSITIONS

if TYPE_CHECKING:
    from meristem.events.delivery import Unreadable
    from meristem.events.envelope import Envelope
    from meristem.events.outbox import Outbox
    from meristem.storage.database import Database
    from meristem.storage.lease import Lease

_CROWDED: Final = 0.05  # seconds until it looks whether there is room
_ON_DISK: Final = 100_000  # events of a subscriber that may wait here: what is more stays with the broker

_bus: Final = bindparam("of_bus", type_=Text)
_POSITION: Final = select(POSITIONS.c.position).where(POSITIONS.c.bus == _bus)
_BEGIN: Final = insert(POSITIONS)
_ADVANCE: Final = update(POSITIONS).where(POSITIONS.c.bus == _bus).values(position=bindparam("to", type_=Text))


class ReadSoFar(msgspec.Struct, frozen=True):
    """How far a subscriber has read what the broker `bus` keeps, where the broker leaves that to its readers."""

    bus: str
    value: str


class Incoming:
    """What a broker has for one service, taken in in the order in which it is given.

    What `store` was given is durable when it returns, and only then may the broker forget it. One replica takes in at
    a time (`alone`); the commits of one that was taken for dead fail.
    """

    def __init__(self, service: str, database: Database, outbox: Outbox, lease: Lease) -> None:
        self.service = service
        self._database = database
        self._outbox = outbox
        self._lease = lease

    async def alone(self, duty: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `work` if this replica is the one that takes in; return at once if another one is."""
        await self._lease.run_alone(f"takes in from {duty}", work)

    async def position(self, bus: str) -> str | None:
        """How far the service has read from `bus`; None where it has never."""
        found: str | None = await self._database.fetch_value(_POSITION, {"of_bus": bus})
        return found

    async def begin(self, position: ReadSoFar) -> str:
        """Read from here on, unless a position is known already; returns the one that holds."""
        try:
            await self._database.execute(_BEGIN, {"bus": position.bus, "position": position.value})
        except IntegrityViolation:  # another replica began meanwhile
            known = await self.position(position.bus)
            assert known is not None
            return known
        return position.value

    async def store(self, arrived: Sequence[Envelope | Unreadable], position: ReadSoFar | None = None) -> None:
        """Keep what has arrived, and how far that is, in one transaction."""
        async with self._database.unit() as unit:
            await self._outbox.take_in(unit, self.service, arrived)
            if position is not None:
                unit.at_commit(_ADVANCE, {"of_bus": position.bus, "to": position.value})

    async def room(self) -> None:
        """Wait until more may be taken in: what a service has no time for waits where there is room for it."""
        while not self._outbox.has_room_for(self.service):
            if await self._outbox.owed_to(self.service) < _ON_DISK:
                return
            await asyncio.sleep(_CROWDED)
