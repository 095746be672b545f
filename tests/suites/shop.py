"""A small shop: a contract with every kind of operation and value, and handlers that show what a transport does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Protocol
from uuid import UUID

import msgspec

from meristem.context import Context, Identity
from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.operation import idempotent, once, operation, safe
from meristem.errors import CallError, Code, Fault, FieldViolation


class Board(Enum):
    NONE = "none"
    BREAKFAST = "breakfast"


class Stay(Message):
    """When somebody sleeps where."""

    hotel_id: int
    city: str
    arrival: date
    nights: Annotated[int, msgspec.Meta(ge=1, le=30)] = 1
    board: Board = Board.NONE


class Card(Message, tag="card"):
    number: str


class Voucher(Message, tag="voucher"):
    code: str


class Everything(Message):
    """One field of every kind."""

    flag: bool
    count: int
    ratio: float
    price: Decimal
    raw: bytes
    day: date
    moment: datetime
    length: timedelta
    key: UUID
    board: Board
    means: Card | Voucher
    note: str | None = None
    tags: list[str] = []
    rates: dict[str, int] = {}
    stays: tuple[Stay, ...] = ()


class Booking(Message):
    booking_id: str
    guest: str


class RoomTaken(Fault, code=Code.FAILED_PRECONDITION, status=409):
    """Somebody else has taken the room."""

    hotel_id: int
    since: date | None = None


class CardDeclined(Fault, status=402):
    """The bank refused the card."""

    reason: str


class SuiteTaken(RoomTaken):
    """A room that has a name; contracts do not know it."""

    suite: str


class Rooms(Contract, Protocol, package="shop.rooms.v1"):
    """Rooms and who sleeps in them."""

    @safe(http="GET /hotels/{hotel_id}/stays")
    async def stays(self, hotel_id: int, tags: list[str] | None = None, board: Board = Board.NONE) -> list[Stay]:
        """The stays of a hotel."""
        ...

    @once(raises=[RoomTaken, CardDeclined], http="POST /bookings", status=201)
    async def book(self, stay: Stay) -> Booking:
        """Book a room."""
        ...

    @idempotent(http="DELETE /bookings/{booking_id}")
    async def cancel(self, booking_id: str) -> None: ...

    @safe(http="GET /bookings/{booking_id}/receipt.pdf", media="application/pdf")
    async def receipt(self, booking_id: str) -> bytes: ...

    @safe(http="GET /mine", authenticated=True)
    async def mine(self) -> list[Booking]: ...

    @safe(raises=[RoomTaken])
    async def echo(self, value: Everything) -> Everything: ...

    @operation
    async def describe(self) -> dict[str, str]: ...

    @safe(raises=[RoomTaken], http="GET /count")
    def count(self, until: int) -> AsyncIterator[int]: ...

    @safe
    def copies(self, value: Everything) -> AsyncIterator[Everything]: ...

    @operation
    async def blob(self, data: bytes) -> bytes: ...

    @operation
    async def wait(self) -> None: ...


class RoomsHandlers:
    """Answers that show what a transport does; `started` and `ended` count the calls of `wait` and `count`."""

    def __init__(self) -> None:
        self.used = asyncio.Event()
        self.started = asyncio.Event()
        self.cancelled = asyncio.Event()
        self.release = asyncio.Event()
        self.contexts: list[Context] = []

    async def stays(self, request: Any) -> list[Stay]:
        if request.hotel_id == 404:
            raise CallError(Code.NOT_FOUND, "no such hotel")
        return [Stay(hotel_id=request.hotel_id, city=tag, arrival=date(2030, 1, 2)) for tag in request.tags or ["Rome"]]

    async def book(self, request: Stay) -> Booking:
        if request.city == "Full":
            raise RoomTaken(hotel_id=request.hotel_id, since=date(2030, 1, 2))
        if request.city == "Suite":
            raise SuiteTaken(hotel_id=request.hotel_id, suite="Royal")
        if request.city == "Broke":
            raise CardDeclined(reason="no money")
        if request.city == "Bug":
            raise ZeroDivisionError("secret")
        if request.city == "Busy":
            raise CallError(Code.RESOURCE_EXHAUSTED, "busy", may_have_happened=False, retry_after=1.5)
        if request.city == "Odd":
            violations = (FieldViolation("city", "is odd"), FieldViolation("guest.name", "is missing"))
            raise CallError(Code.INVALID_ARGUMENT, "odd", violations=violations)
        return Booking(booking_id=f"b{request.hotel_id}", guest=request.city)

    async def cancel(self, _request: Any) -> None:
        return None

    async def receipt(self, request: Any) -> bytes:
        return b"%PDF-1.7 " + request.booking_id.encode()

    async def mine(self, _request: Any) -> list[Booking]:
        return []

    async def echo(self, request: Everything) -> Everything:
        return request

    async def describe(self, _request: Any) -> dict[str, str]:
        context = self.contexts[-1]
        user = context.user.subject if context.user else ""
        return {"caller": context.caller or "", "user": user, "key": context.key or ""}

    async def count(self, request: Any) -> AsyncIterator[int]:
        return self._numbers(request.until)

    async def _numbers(self, until: int) -> AsyncIterator[int]:
        self.started.set()
        try:
            for number in range(abs(until)):
                yield number
            if until < 0:
                raise RoomTaken(hotel_id=until)
        except (GeneratorExit, asyncio.CancelledError):
            self.cancelled.set()
            raise

    async def copies(self, request: Any) -> AsyncIterator[Everything]:
        return self._copies(request)

    async def _copies(self, value: Everything) -> AsyncIterator[Everything]:
        yield value
        yield value

    async def blob(self, request: Any) -> bytes:
        return request.data

    async def wait(self, _request: Any) -> None:
        self.started.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise

    def endpoints(self) -> dict[str, ServedOperation]:
        return {each.path: ServedOperation(each, self._handler(name)) for name, each in operations(Rooms).items()}

    def _handler(self, name: str) -> Any:
        method = getattr(self, name)

        async def handler(call: Call) -> Any:
            self.contexts.append(call.context)
            self.used.set()
            return await method(call.request)

        return handler


class Proof(msgspec.Struct):
    service: str
    user: Identity | None


def verify(token: str) -> Proof | None:
    service, _, user = token.partition("/")
    return Proof(service, Identity(user) if user else None) if service in ("web", "search") else None


async def authenticate(token: str) -> Identity | None:
    return Identity(token.removeprefix("user-")) if token.startswith("user-") else None


def everything() -> dict[str, Any]:
    """A value for every field."""
    return {
        "flag": True,
        "count": 2**62,
        "ratio": 0.1,
        "price": Decimal("12.30"),
        "raw": b"\x00\xff",
        "day": date(2030, 1, 2),
        "moment": datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
        "length": timedelta(hours=1, microseconds=5),
        "key": UUID("12345678-1234-5678-1234-567812345678"),
        "board": Board.BREAKFAST,
        "means": Voucher(code="ü€😀"),
        "tags": ["a", "b"],
        "rates": {"x": 1},
        "stays": (Stay(hotel_id=1, city="Rome", arrival=date(2030, 1, 2)),),
    }
