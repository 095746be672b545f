"""A request that comes by ASGI: its body is received, and work for its client ends when the client goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from meristem.asgi import respond, start
from meristem.transports.metadata import add_field

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable

    from meristem.asgi import Field, Receive, Scope, Send
    from meristem.transports.http.responses import Response

T = TypeVar("T")
BURST: Final = 32


class ClientGoneError(Exception):
    """The client has disconnected; nobody reads an answer."""


class Exchange:
    """One request and the response to it."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.head: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            add_field(self.head, name, value)
        self.method: str = scope["method"]
        self._receive = receive
        self._send = send

    async def body(self, limit: int) -> bytes | None:
        """The body of the request, None for one of more than `limit` bytes; raises ClientGoneError."""
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            event = await self._receive()
            if event["type"] == "http.disconnect":
                raise ClientGoneError
            chunks.append(event["body"])
            size, more = size + len(event["body"]), event["more_body"]
            if size > limit:
                return None
        return b"".join(chunks)

    async def attended(self, work: Awaitable[T]) -> T:
        """Await `work`, and cancel it when the client disconnects; raises ClientGoneError then.

        The body of the request must have been received: what still comes of it is dropped.
        """
        working = asyncio.ensure_future(work)
        watching = asyncio.ensure_future(self._disconnect())
        try:
            await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise ClientGoneError
        finally:
            watching.cancel()
            if not working.done():
                working.cancel()
                await asyncio.wait((working,))

    async def respond(self, response: Response, *fields: Field) -> None:
        """Send a whole response, with further `fields` in its head."""
        status, media, body = response.status, response.media, response.body
        await respond(self._send, status, media, body, [*response.fields, *fields], method=self.method)

    async def start(self, status: int, media: bytes, fields: Iterable[Field] = ()) -> None:
        """Send the head of a response whose body is written bit by bit."""
        await start(self._send, status, media, fields)

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """Send a part of the body; the last one is without `more`."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def _disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def fairly(replies: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """The replies of a stream; one that never waits still lets others run, and its end is seen to.

    Use with `contextlib.aclosing`.
    """
    count = 0
    try:
        async for reply in replies:
            yield reply
            count += 1
            if count % BURST == 0:
                await asyncio.sleep(0)
    finally:
        if (close := getattr(replies, "aclose", None)) is not None:
            await close()
