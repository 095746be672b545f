"""A WSGI app behind the real server, asked through a plain socket."""

import asyncio
import http.client
import io
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple
from wsgiref.validate import validator

import pytest

from meristem.hosting.asgi.lifespan import Lifespan
from meristem.hosting.asgi.mounts import Mounts
from meristem.hosting.wsgi.application import WSGIHost
from meristem.resilience.limits import Limits
from meristem.transports.http.server.http_server import HttpServer

PATIENCE = 60  # seconds
HOST = b"Host: shop.test\r\nConnection: close\r\n"


class Reply(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known.lower() == name]


class Read:
    """The bytes of a reply, as http.client wants them."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, *_: Any, **__: Any) -> io.BytesIO:
        return io.BytesIO(self._data)


class Client:
    """Sends bytes as they are."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def open(self, *segments: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection on which the segments were sent, each for itself."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.transport.set_write_buffer_limits(0)
        for each in segments:
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(0)
        return reader, writer

    async def send(self, *segments: bytes) -> bytes:
        """All that comes back until the server closes."""
        reader, writer = await self.open(*segments)
        async with asyncio.timeout(PATIENCE):
            data = await reader.read()
        writer.close()
        return data

    async def ask(self, line: str, headers: Iterable[bytes] = (), *body: bytes) -> Reply:
        """The reply to one request, `GET /page` or so."""
        head = f"{line} HTTP/1.1\r\n".encode() + HOST + b"".join(each + b"\r\n" for each in headers) + b"\r\n"
        data = await self.send(head, *body)
        response = http.client.HTTPResponse(Read(data), method=line.split(maxsplit=1)[0])  # type: ignore[arg-type]
        response.begin()
        return Reply(response.status, response.getheaders(), response.read())


class Entered:
    """An app whose requests find what `enter` sets in context variables."""

    def __init__(self, app: Any, enter: Callable[[], None]) -> None:
        self._app = app
        self._enter = enter

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self._enter()
        await self._app(scope, receive, send)


@pytest.fixture
def served():
    """`async with served(app) as client:` serves a WSGI app, under the eye of Python's own validator."""

    @asynccontextmanager
    async def serve(
        app: Any, *, mount: str = "", validated: bool = True, enter: Any = lambda: None, **limits: Any
    ) -> AsyncIterator[Client]:
        limited = Limits(**limits)
        life = Lifespan("web", WSGIHost("web", validator(app) if validated else app, limited))
        server = HttpServer({}, Entered(Mounts({mount or "/": life}), enter), limits=limited)
        await life.start()
        try:
            await server.start("tcp://127.0.0.1:0", public=True)
            yield Client(int(server.addresses[0].rsplit(":", 1)[1]))
        finally:
            await server.stop()
            await life.stop()

    return serve
