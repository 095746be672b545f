"""The inn's contracts: messages, faults and operations, and nothing that a caller would have to install besides."""

from collections.abc import AsyncIterator
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Annotated, Protocol

from msgspec import Meta

from meristem import Code, Contract, Fault, Message, once, safe

__all__ = ["Board", "Hold", "Mood", "Rooms", "Stay", "Taken"]


class Mood(Enum):
    """How a guest feels; one that older readers do not know is OTHER to them, so it may grow."""

    CALM = "calm"
    OTHER = "other"

    @classmethod
    def _missing_(cls, value: object) -> "Mood":  # noqa: ARG003 - whatever it is
        return cls.OTHER


class Board(Enum):
    """What is eaten; readers refuse what they do not know."""

    HALF = "half"
    FULL = "full"


class Stay(Message):
    """Who asks for a room."""

    room: str
    nights: Annotated[int, Meta(ge=1, le=30)]
    arrival: date = date(2030, 1, 31)
    board: Board = Board.HALF
    wish: str = ""


class Hold(Message):
    """A room that is kept."""

    hold_id: str
    price: Decimal
    told: str
    mood: Mood = Mood.CALM
    board: Board = Board.HALF


class Taken(Fault, code=Code.FAILED_PRECONDITION):
    """Somebody else has the room."""

    room: str


class Rooms(Contract, Protocol, package="inn.rooms.v1"):
    """Knows which room is free."""

    @once(http="POST /holds", status=201, raises=[Taken], timeout=30.0)
    async def hold(self, stay: Stay) -> Hold:
        """Keep a room for a quarter of an hour."""
        ...

    @safe(http="GET /holds/{room}", timeout=30.0)
    def holds(self, room: str, most: int = 3) -> AsyncIterator[Hold]:
        """The holds of a room."""
        ...
