"""A head that comes again on its connection is not read again; what is answered is what its first coming would be."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from meristem.resilience.limits import Limits
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer
from tests.suites.shop import RoomsHandlers, authenticate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PATIENCE = 30  # seconds
STAY = {"hotel_id": 7, "city": "Rome", "arrival": "2030-01-02"}


def request(line: str, body: Any = None, *fields: str) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    length = [] if body is None else ["content-type: application/json", f"content-length: {len(data)}"]
    return "\r\n".join([f"{line} HTTP/1.1", "host: x", *length, *fields, "", ""]).encode() + data


REQUESTS = {
    "a booking": request("POST /api/bookings", STAY, "authorization: Bearer user-anna"),
    "another city": request("POST /api/bookings", STAY | {"city": "Bern"}, "authorization: Bearer user-anna"),
    "a longer city": request("POST /api/bookings", STAY | {"city": "Ljubljana"}, "authorization: Bearer user-anna"),
    "somebody else's": request("POST /api/bookings", STAY, "authorization: Bearer user-otto"),
    "a stranger's": request("POST /api/bookings", STAY, "authorization: Bearer nobody"),
    "a wrong body": request("POST /api/bookings", STAY | {"hotel_id": "x"}),
    "a search": request("GET /api/hotels/7/stays?tags=a&board=breakfast"),
    "its head": request("HEAD /api/hotels/7/stays?tags=a&board=breakfast"),
    "a body that nobody reads": request("GET /api/hotels/7/stays?tags=a&board=breakfast", {"x": 1}),
    "a call": request("POST /shop.rooms.v1.Rooms/Blob", {"data": "eA=="}),
    "a path that is not known": request("GET /nowhere"),
    "one that waits": request("POST /api/bookings", STAY, "expect: 100-continue"),
}


class Client:
    """Sends requests and reads their answers, without the date and what is new in each."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, *pieces: bytes) -> tuple[str, bytes]:
        for each in pieces:
            self.writer.write(each)
            await self.writer.drain()
            await asyncio.sleep(0.002 if len(pieces) > 1 else 0)
        return await self.answer(bodiless=pieces[0].startswith(b"HEAD"))

    async def answer(self, *, bodiless: bool = False) -> tuple[str, bytes]:
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().lower()
            lines = [line for line in head.splitlines() if not line.startswith("date:")]
            length = next((int(line.split()[1]) for line in lines if line.startswith("content-length")), 0)
            return "\n".join(lines), b"" if bodiless else await self.reader.readexactly(length)


@asynccontextmanager
async def clients(told: list[Any] | None = None) -> AsyncIterator[Any]:
    handlers = RoomsHandlers()
    routes = handlers.endpoints()
    on_answer = None if told is None else told.append
    server = HttpServer(
        routes, interfaces=[RestInterface(routes.values())], authenticate=authenticate, on_answer=on_answer
    )
    await server.start("tcp://127.0.0.1:0", public=True)
    opened: list[Client] = []

    async def connect() -> Client:
        opened.append(
            Client(*await asyncio.open_connection(*server.addresses[0].removeprefix("tcp://").rsplit(":", 1)))
        )
        return opened[-1]

    try:
        yield connect
    finally:
        for each in opened:
            each.writer.close()
        await server.stop()


async def test_whatever_came_before_a_request_is_answered_as_the_first_of_its_connection():
    async with clients() as connect:
        alone = {name: await (await connect()).ask(data) for name, data in REQUESTS.items()}
        for first, second in product(REQUESTS, repeat=2):
            client = await connect()
            for name in (first, first, second, first, first):
                assert await client.ask(REQUESTS[name]) == alone[name], f"{name} after {first} and {second}"


async def test_one_that_comes_again_in_pieces_or_with_the_next_one_behind_it_is_cut_where_it_ends():
    booking, search = REQUESTS["a booking"], REQUESTS["a search"]
    async with clients() as connect:
        client = await connect()
        expected, found = await client.ask(booking), await client.ask(search)
        for cut in (1, booking.index(b"\r\n\r\n") + 4, len(booking) - 1):
            assert await client.ask(booking) == expected
            assert await client.ask(booking[:cut], booking[cut:]) == expected
            assert await client.ask(booking) == expected
            assert await client.ask(booking + search + booking) == expected
            assert await client.answer() == found
            assert await client.answer() == expected


async def test_a_head_that_comes_again_is_not_read_again(monkeypatch):
    async with clients() as connect:
        client = await connect()
        expected = await client.ask(REQUESTS["a booking"])
        monkeypatch.setattr("meristem.transports.http.server.framer.Framer.request", None)
        assert await client.ask(REQUESTS["a booking"]) == expected
        assert await client.ask(REQUESTS["another city"]) != expected


async def test_each_is_told_and_a_long_head_is_not_kept(monkeypatch):
    told: list[Any] = []
    long = request("GET /api/hotels/7/stays?tags=a&board=breakfast", None, f"cookie: {'x' * 3000}")
    async with clients(told) as connect:
        client = await connect()
        for data in (REQUESTS["a booking"], REQUESTS["a booking"], long, long, REQUESTS["another city"]):
            await client.ask(data)
    assert [(each.method, each.status) for each in told] == [("POST", 201)] * 2 + [("GET", 200)] * 2 + [("POST", 201)]
    assert all(0 < each.seconds < PATIENCE for each in told)
    assert Limits().head_bytes > len(long)


@pytest.mark.parametrize("last", ["connection: close", "Connection: keep-alive, Close"])
async def test_a_connection_that_its_client_ends_ends(last):
    data = request("POST /api/bookings", STAY, last)
    async with clients() as connect:
        client = await connect()
        head, _ = await client.ask(data)
        assert "connection: close" in head
        assert await asyncio.wait_for(client.reader.read(), PATIENCE) == b""
