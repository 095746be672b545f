"""What the tests of the services share: databases that vanish, what a guest books, and a server that does as told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest

from hotels.contracts.money import Money
from hotels.contracts.reservations import Booking, Status
from hotels.contracts.rooms import Hotel, HotelListed, Place, Room
from meristem import Service, System
from meristem.testing import running

NAMES = UUID("0b0c5f0e-5b1e-4a44-8d1a-9a2f3c4d5e6f")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Any]:
    """`async with run(SomeService, ...) as app:` runs services with databases that vanish with the test."""

    def start(*services: type[Service], **options: Any) -> Any:
        database = f"sqlite:///{tmp_path}/{{service}}.db"
        return running(System("hotels", services=services), database=database, **options)

    return start


@pytest.fixture
def listing() -> Callable[..., HotelListed]:
    """`listing("Casa do Rio", city="Lisbon", rooms=[("Double room", 2, 1, "80.00")])`."""

    def make(
        name: str = "Casa do Rio",
        city: str = "Lisbon",
        country: str = "Portugal",
        rooms: list[tuple[str, int, int, str]] | None = None,
    ) -> HotelListed:
        hotel_id = uuid5(NAMES, name)
        place = Place(name=city, country=country, country_code="PT", latitude=38.7, longitude=-9.1)
        hotel = Hotel(
            hotel_id=hotel_id, name=name, stars=3, address="Rua das Flores 12", place=place, latitude=38.7,
            longitude=-9.1, email="desk@hotel.example", description="A quiet house.", amenities=["breakfast"],
        )  # fmt: skip
        made = [
            Room(
                room_id=uuid5(hotel_id, kind),
                name=kind,
                capacity=capacity,
                count=count,
                nightly=Money(amount=Decimal(price)),
            )
            for kind, capacity, count, price in rooms or [("Double room", 2, 1, "80.00")]
        ]
        return HotelListed(hotel_id=hotel_id, hotel=hotel, rooms=made)

    return make


@pytest.fixture
def booking() -> Booking:
    """A confirmed booking of two nights."""
    return Booking(
        booking_id=UUID("5a0f5b0e-0000-4000-8000-00000000b00c"),
        status=Status.CONFIRMED,
        hotel="Casa do Rio",
        hotel_address="Rua das Flores 12",
        hotel_email="desk@hotel.example",
        city="Lisbon",
        room="Double room",
        room_id=uuid5(NAMES, "a room"),
        arrival=date(2030, 6, 7),
        nights=2,
        guests=2,
        price=Money(amount=Decimal("1160.00")),
        guest_name="Zoë Łuczak",
        guest_email="zoe@guest.example",
        card_last4="4242",
    )


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Line:
    """A TCP server that does what it is told with every connection."""

    def __init__(self) -> None:
        self.url = ""
        self.requests = 0
        self.body: bytes | None = b"{}"  # None: accept, and never answer
        self.status = "200 OK"
        self._over = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                if self.body is None:
                    await self._over.wait()
                    return
                head = f"HTTP/1.1 {self.status}\r\nContent-Length: {len(self.body)}\r\n\r\n"
                writer.write(head.encode() + self.body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield
        self._over.set()
        server.close()
        await server.wait_closed()


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    """The other end of an HTTP connection, as well or badly behaved as a test wants it."""
    made = Line()
    async with made.open():
        yield made
