"""BusPositions: how far a service has read what a broker keeps, where the broker leaves that to its readers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import Float, Text, bindparam, delete, insert, select, update

from meristem.errors import IntegrityViolation
from meristem.events.beginnings import Beginnings
from meristem.events.tables import INBOX, POSITIONS

if TYPE_CHECKING:
    from meristem.storage.database import Database
    from meristem.storage.unit import UnitOfWork

_SKEW: Final = 60.0  # seconds by which the clocks of a broker and of a service may differ
_bus: Final = bindparam("of_bus", type_=Text)
_POSITION: Final = select(POSITIONS.c.position).where(POSITIONS.c.bus == _bus)
_BEGIN: Final = insert(POSITIONS)
_MOVE: Final = update(POSITIONS).where(POSITIONS.c.bus == _bus).values(position=bindparam("to", type_=Text))
_ADVANCE: Final = _MOVE.where(POSITIONS.c.position == bindparam("was", type_=Text)).returning(POSITIONS.c.position)
_FORGET: Final = delete(INBOX).where(
    INBOX.c.subscriber == bindparam("of_subscriber", type_=Text), INBOX.c.handled_at >= bindparam("since", type_=Float)
)


class ReadSoFar(msgspec.Struct, frozen=True):
    """How far a subscriber has read what the broker `bus` keeps, and how far that `was` before it read on."""

    bus: str
    value: str
    was: str = ""


class Replay(msgspec.Struct, frozen=True):
    """From where events are taken in again: those since a time, or from a position on; neither: all that is kept.

    What was handled before stays so, unless it is to be handled `again`.
    """

    since: datetime | None = None
    position: int | None = None
    again: bool = False


class BusPositions:
    """The positions in one service's database."""

    def __init__(self, database: Database) -> None:
        self.beginnings = Beginnings(database)
        self._database = database

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

    def advance(self, unit: UnitOfWork, position: ReadSoFar) -> Sequence[str]:
        """Have the commit of `unit` say how far the service has read; nothing where a replay has moved it meanwhile."""
        values = {"of_bus": position.bus, "to": position.value, "was": position.was}
        return unit.fetch_at_commit(_ADVANCE, values, into=str)

    async def rewind(self, position: ReadSoFar) -> None:
        """Read from here on, whatever was known."""
        await self.begin(position)
        await self._database.execute(_MOVE, {"of_bus": position.bus, "to": position.value})

    async def forget(self, subscriber: str, since: float) -> None:
        """Forget which events the subscriber has handled since a time, in seconds since the epoch."""
        await self._database.execute(_FORGET, {"of_subscriber": subscriber, "since": since - _SKEW})
