"""The system of the team that has the rooms."""

from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import count

from inn_contracts import Board, Hold, Mood, Rooms, Stay, Taken

from meristem import Database, Service, System


class RoomsService(Rooms, Service):
    """Keeps rooms; a database remembers its answers."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.numbers = count(1)

    async def hold(self, stay: Stay) -> Hold:
        if stay.room == "taken":
            raise Taken(room=stay.room)
        told = " ".join(f"{name}={getattr(stay, name)}" for name in stay.__struct_fields__)
        mood = Mood.__members__.get(stay.room, Mood.CALM)
        board = Board.__members__.get(stay.room, Board.HALF)
        return Hold(hold_id=f"hold {next(self.numbers)}", price=Decimal("80.50"), told=told, mood=mood, board=board)

    async def holds(self, room: str, most: int = 3) -> AsyncIterator[Hold]:
        for number in range(most):
            yield Hold(hold_id=f"{room} {number}", price=Decimal(number), told="")


system = System("rooms", services=[RoomsService])
