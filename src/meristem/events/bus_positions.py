"""BusPositions: how far a service has read what a broker keeps, where the broker leaves that to its readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import Text, bindparam, insert, select, update

from meristem.errors import IntegrityViolation
from meristem.events.tables import POSITIONS

if TYPE_CHECKING:
    from meristem.storage.database import Database
    from meristem.storage.unit import UnitOfWork

_bus: Final = bindparam("of_bus", type_=Text)
_POSITION: Final = select(POSITIONS.c.position).where(POSITIONS.c.bus == _bus)
_BEGIN: Final = insert(POSITIONS)
_ADVANCE: Final = update(POSITIONS).where(POSITIONS.c.bus == _bus).values(position=bindparam("to", type_=Text))


class ReadSoFar(msgspec.Struct, frozen=True):
    """How far a subscriber has read what the broker `bus` keeps."""

    bus: str
    value: str


class BusPositions:
    """The positions in one service's database."""

    def __init__(self, database: Database) -> None:
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

    def advance(self, unit: UnitOfWork, position: ReadSoFar) -> None:
        """Have the commit of `unit` say how far the service has read."""
        unit.at_commit(_ADVANCE, {"of_bus": position.bus, "to": position.value})
