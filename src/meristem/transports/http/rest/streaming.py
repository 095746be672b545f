"""Streams over REST: server-sent events for who asks for them, JSON lines for everyone else."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Protocol

from meristem.contracts.codec import encode
from meristem.transports.http.connect.errors import shield
from meristem.transports.http.rest.errors import problem_of
from meristem.transports.http.server.asgi_io import fairly

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from meristem.contracts.operation import Operation


class StreamFormat(Protocol):
    """Where a stream is written."""

    path: str

    async def start(self, status: int, media: bytes, *extra: tuple[bytes, bytes]) -> None: ...

    async def write(self, body: bytes, *, more: bool) -> None: ...


class JsonLines:
    """One JSON value a line; an error is a last line `{"problem": …}`."""

    media = b"application/jsonl"

    def __init__(self, operation: Operation, docs: str) -> None:
        self._operation = operation
        self._docs = docs

    def item(self, value: bytes) -> bytes:
        return value + b"\n"

    def problem(self, value: bytes) -> bytes:
        return b'{"problem":' + value + b"}\n"

    async def send(self, output: StreamFormat, replies: AsyncIterator[Any]) -> None:
        """Send every reply; an error before the first one is raised, so that it has a status of its own."""
        async with aclosing(fairly(replies)) as items:
            nothing = object()
            first = await anext(items, nothing)
            await output.start(200, self.media, (b"cache-control", b"no-store"))
            try:
                if first is not nothing:
                    await output.write(self.item(encode(first)), more=True)
                async for reply in items:
                    await output.write(self.item(encode(reply)), more=True)
            except Exception as error:  # a boundary: the status is sent, so the stream itself tells of the error
                problem = problem_of(shield(self._operation, error), self._docs)
                await output.write(self.problem(problem.body(output.path)), more=True)
        await output.write(b"", more=False)


class ServerSentEvents(JsonLines):
    """One event a reply (HTML standard, 9.2); an error is an event named `problem`."""

    media = b"text/event-stream"

    def item(self, value: bytes) -> bytes:
        return b"data: " + value + b"\n\n"

    def problem(self, value: bytes) -> bytes:
        return b"event: problem\ndata: " + value + b"\n\n"


def format_of(accept: bytes, operation: Operation, docs: str) -> JsonLines:
    """The form of a stream that the `accept` header asks for."""
    wanted = ServerSentEvents if b"text/event-stream" in accept else JsonLines
    return wanted(operation, docs)
