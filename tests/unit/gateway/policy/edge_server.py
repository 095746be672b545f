"""A server with a `[gateway]` table before an app, to which bytes are sent as they are."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.resilience.limits import Limits
from meristem.transports.http.server.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meristem.gateway.policy.gateway_table import GatewayTable


class Answer(NamedTuple):
    """An answer; `fields` has the last line of each name, `lines` all of them."""

    status: int
    lines: list[tuple[str, str]]
    body: bytes

    @property
    def fields(self) -> dict[str, str]:
        return dict(self.lines)


class EdgeClient:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def answer(self, method: str = "GET") -> Answer:
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 30)
        first, *rest = head.decode("latin-1").strip().split("\r\n")
        lines = [(name.lower(), value) for name, _, value in (each.partition(": ") for each in rest)]
        fields, status = dict(lines), int(first.split(" ")[1])
        body = b""
        if method != "HEAD" and status not in (204, 304):
            body = await asyncio.wait_for(self._body(fields), 30)
        return Answer(status, lines, body)

    async def _body(self, fields: dict[str, str]) -> bytes:
        if "chunked" not in fields.get("transfer-encoding", ""):
            return await self._reader.readexactly(int(fields.get("content-length", "0")))
        body = b""
        while piece := await self.piece():
            body += piece
        return body

    async def head(self) -> bytes:
        """The head of an answer whose body is read by pieces."""
        return await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 30)

    async def piece(self) -> bytes:
        """The next chunk of a body; empty for the last one."""
        size = int((await asyncio.wait_for(self._reader.readline(), 30)).strip(), 16)
        return (await self._reader.readexactly(size + 2))[:-2]

    async def ask(self, method: str = "GET", path: str = "/", body: bytes = b"", **fields: str) -> Answer:
        named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        length = f"content-length: {len(body)}\r\n" if body else ""
        self.send(f"{method} {path} HTTP/1.1\r\nhost: shop.example\r\n{named}{length}\r\n".encode() + body)
        return await self.answer(method)

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class Edge(NamedTuple):
    """What is served; its clients are closed with it."""

    gatekeeper: Gatekeeper
    port: int
    clients: list[EdgeClient]

    async def connect(self) -> EdgeClient:
        client = EdgeClient(*await asyncio.open_connection("127.0.0.1", self.port))
        self.clients.append(client)
        return client

    async def ask(self, method: str = "GET", path: str = "/", body: bytes = b"", **fields: str) -> Answer:
        return await (await self.connect()).ask(method, path, body, **fields)


@asynccontextmanager
async def edge(
    table: GatewayTable, app: Any, routes: dict[str, Any] | None = None, interfaces: Any = (), **limits: Any
) -> AsyncIterator[Edge]:
    """A server at a free port; `limits` are those of `[server]`."""
    assert table.problem() is None, table.problem()
    gatekeeper = Gatekeeper(table)
    server = HttpServer(routes or {}, app, interfaces=interfaces, policy=gatekeeper, limits=Limits(**limits))
    await server.start("tcp://127.0.0.1:0", public=True)
    clients: list[EdgeClient] = []
    try:
        yield Edge(gatekeeper, int(server.addresses[0].rpartition(":")[2]), clients)
    finally:
        for each in clients:
            await each.close()
        await server.stop()
