"""The system of another team, which calls the one that has the rooms by the contracts that both have installed."""

from dataclasses import dataclass
from typing import Protocol

from inn_contracts import Rooms, Stay, Taken

from meristem import Contract, Service, System, operation


class Desk(Contract, Protocol, package="inn.desk.v1"):
    """Welcomes guests."""

    @operation(http="POST /guests", raises=[Taken], timeout=30.0)
    async def welcome(self, room: str, nights: int = 1) -> str: ...


@dataclass
class DeskService(Desk, Service):
    """Asks for the rooms as if they were its own system's."""

    rooms: Rooms

    async def welcome(self, room: str, nights: int = 1) -> str:
        hold = await self.rooms.hold(Stay(room=room, nights=nights))
        return f"{hold.hold_id} for {hold.price}"


system = System("desk", services=[DeskService], external={Rooms: None})
