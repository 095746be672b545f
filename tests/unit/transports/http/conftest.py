"""The small shop on a real server, and clients of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any, TypeVar

import pytest
import uvloop

from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.contract import operations
from meristem.resilience.limits import ClientLimits, Limits
from meristem.transports.http.client.http_client import HttpClient
from meristem.transports.http.frames import AGREED, ASKED
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer
from tests.suites.shop import (
    Board,
    Booking,
    Card,
    CardDeclined,
    Everything,
    Rooms,
    RoomsHandlers,
    RoomTaken,
    Stay,
    Voucher,
    authenticate,
    everything,
    verify,
)

T = TypeVar("T")
PATIENCE = 30  # seconds


class Wire:
    """Servers and clients of one test."""

    Rooms, Stay, Everything, Booking, Board = Rooms, Stay, Everything, Booking, Board
    Card, Voucher, RoomTaken, CardDeclined = Card, Voucher, RoomTaken, CardDeclined
    everything = staticmethod(everything)

    def __init__(self, path: Any) -> None:
        self.handlers = RoomsHandlers()
        self.operations = operations(Rooms)
        self._path = path
        self._open: list[Any] = []

    async def server(self, address: str = "", *, app: Any = None, secured: bool = False, **limits: Any) -> HttpServer:
        routes = self.handlers.endpoints()
        known, proofs = Limits(**limits), verify if secured else None
        rest = RestInterface(routes.values(), limits=known)
        server = HttpServer(routes, app, interfaces=[rest], limits=known, verify=proofs, authenticate=authenticate)
        self._open.append(server)
        await server.start(address or f"unix:{self._path}/{len(self._open)}.sock")
        return server

    def client(self, server: HttpServer, **options: Any) -> HttpClient:
        client = HttpClient(server.addresses[0], **options)
        self._open.append(client)
        return client

    async def pair(self, address: str = "", **limits: Any) -> tuple[HttpServer, HttpClient]:
        server = await self.server(address, **limits)
        return server, self.client(server)

    async def shared(self, server: HttpServer, **limits: Any) -> HttpClient:
        """A client that has a channel, as one gets it which makes several calls at a time."""
        client = self.client(server, limits=ClientLimits(**limits))
        for _ in range(100):
            await asyncio.gather(*(client.call(self.call("describe")) for _ in range(3)))
            if client._pool.channel is not None:
                return client
        raise AssertionError("no channel was opened")

    async def channel(self, server: HttpServer) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A raw channel, after the server's agreement."""
        reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
        writer.write(ASKED)
        assert await self.within(reader.readexactly(len(AGREED))) == AGREED
        return reader, writer

    def call(self, name: str, context: Context | None = None, **values: Any) -> Call:
        found = self.operations[name]
        return Call(found, found.request(**values), context or Context())

    async def within(self, work: Awaitable[T]) -> T:
        """Await what may take long on a machine that stalls, and not for ever."""
        return await asyncio.wait_for(work, PATIENCE)

    async def emptied(self, server: HttpServer) -> None:
        """Wait until no connection is left."""
        async with asyncio.timeout(PATIENCE):
            for bound in server._listeners:
                await bound.listener.empty.wait()

    async def stop(self) -> None:
        for each in reversed(self._open):
            await each.stop()


def pytest_asyncio_loop_factories() -> dict[str, Any]:
    """Every test runs on both event loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def wire(tmp_path: Any) -> AsyncIterator[Wire]:
    opened = Wire(tmp_path)
    yield opened
    await opened.stop()
