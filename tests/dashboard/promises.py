"""A system with contracts of all that a form must hold, for the pages that read contracts and call operations."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Protocol

from msgspec import Meta

from meristem import Code, Contract, Database, Fault, Message, Service, System, Travelling, current, once, safe
from meristem.contracts.operation import Operation
from meristem.operators.asking import Asking
from meristem.operators.health import READY, InstanceHealth
from meristem.operators.system_catalogue import SystemCatalogue
from meristem.testing import running

CHAIN = Travelling[str]("chain")


class Board(Enum):
    """What is eaten."""

    NONE = "none"
    BREAKFAST = "breakfast"
    HALF = "half board"


class Guest(Message):
    """Somebody who sleeps here."""

    name: Annotated[str, Meta(min_length=1, max_length=80)]
    """As it stands in the passport."""
    age: Annotated[int, Meta(ge=0, le=150)] | None = None


class Card(Message, tag="card"):
    """By card, now."""

    number: str


class Invoice(Message, tag="invoice"):
    """By invoice, afterwards."""

    company: str
    days: Annotated[int, Meta(ge=0, le=90)] = 30


class Stay(Message):
    """What is booked."""

    room: str
    arrival: date
    nights: Annotated[int, Meta(ge=1, le=30)]
    price: Decimal
    guests: list[Guest] = []
    board: Board = Board.BREAKFAST
    pay: Card | Invoice | None = None
    """How it is paid; on arrival where nothing is said."""
    notes: dict[str, str] = {}
    late: bool = False


class Booked(Message):
    """A stay that is booked."""

    number: int
    for_whom: str
    total: Decimal
    at: datetime


class NoRoom(Fault, code=Code.RESOURCE_EXHAUSTED, status=409):
    """No room of that kind is free."""

    nights: int


class Reservations(Contract, Protocol, package="hotels.reservations.v1"):
    """Books rooms, and says which are free.

    A booking counts from the answer on. Prices are in euros, taxes included.
    """

    @once(http="POST /bookings", authenticated=True, raises=[NoRoom], timeout=10.0)
    async def book(self, stay: Stay) -> Booked:
        """Book a stay for who is signed in.

        The same key books once, however often it is sent.
        """
        ...

    @safe(public=True)
    async def free(self, arrival: date, nights: Annotated[int, Meta(ge=1)] = 1) -> int:
        """How many rooms are free."""
        ...

    @safe
    async def total(self, prices: AsyncIterator[Decimal]) -> Decimal:
        """What several stays cost together."""
        ...

    @safe
    def watch(self, room: str) -> AsyncIterator[int]:
        """How many of a kind are left, whenever that changes."""
        ...


class Search(Contract, Protocol, package="hotels.search.v1"):
    """Finds hotels by what guests wrote of them."""

    @safe
    async def rooms(self, text: str) -> list[str]: ...


class ReservationsService(Reservations, Service):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.booked: list[tuple[str, Stay]] = []

    async def book(self, stay: Stay) -> Booked:
        if stay.room == "suite":
            raise NoRoom(nights=stay.nights)
        user = current().user
        assert user is not None
        self.booked.append((user.subject, stay))
        at = datetime.fromisoformat("2031-01-31T12:00:00+00:00")
        return Booked(number=len(self.booked), for_whom=user.subject, total=stay.price * stay.nights, at=at)

    async def free(self, arrival: date, nights: int = 1) -> int:
        return 12 // nights

    async def total(self, prices: AsyncIterator[Decimal]) -> Decimal:
        return sum([each async for each in prices], Decimal())

    async def watch(self, room: str) -> AsyncIterator[int]:
        for left in range(1000):
            yield left


class SearchService(Search, Service):
    def __init__(self, reservations: Reservations) -> None:
        self.reservations = reservations

    async def rooms(self, text: str) -> list[str]:
        return [text]


class Promised:
    """That system, which runs from the first question on, as one process that operators ask."""

    address = "http://127.0.0.1:8000"
    restarts = 0

    def __init__(self) -> None:
        self.labels = {"process": "main", "replica": "0"}
        self.services = ("reservations", "search")
        self.catalogue = SystemCatalogue(self, Asking(self))  # type: ignore[arg-type]
        self.app: Any = None
        self._ending = asyncio.Event()
        self._run: asyncio.Task[None] | None = None
        self._is_there = asyncio.Event()

    def instances(self) -> list[Promised]:
        return [self]

    async def health(self) -> InstanceHealth:
        return InstanceHealth("main", 0, READY, None, 0, 0.0)

    async def ask(self, operation: Operation, request: Any) -> Any:
        if self._run is None:
            self._run = asyncio.create_task(self._live())
        await self._is_there.wait()
        return await self.app.desks.ask(operation, request)

    async def _live(self) -> None:
        async with running(System("hotels", services=[ReservationsService, SearchService])) as self.app:
            self._is_there.set()
            await self._ending.wait()

    async def stop(self) -> None:
        self._ending.set()
        if self._run is not None:
            await self._run
