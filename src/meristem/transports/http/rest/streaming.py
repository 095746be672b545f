"""Streams over REST: server-sent events for who asks for them, JSON lines for everyone else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.codec import encoder
from meristem.transports.errors import shield, written
from meristem.transports.http.closing import closing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from meristem.contracts.operation import Operation
    from meristem.errors import CallError, Fault
    from meristem.transports.http.request import ReplyWriter

FIELDS: Final = ((b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store"))
NOTHING: Final = object()


class JsonLines:
    """One JSON value a line; an error is a last line `{"problem": …}`."""

    media = b"application/jsonl"

    def item(self, value: bytes) -> bytes:
        return value + b"\n"

    def problem(self, value: bytes) -> bytes:
        return b'{"problem":' + value + b"}\n"


class ServerSentEvents(JsonLines):
    """One event a reply (HTML standard, 9.2); an error is an event named `problem`."""

    media = b"text/event-stream"

    def item(self, value: bytes) -> bytes:
        # One line, for JSON is written without line breaks: with one, each line would need its own `data:`.
        return b"data: " + value + b"\n\n"

    def problem(self, value: bytes) -> bytes:
        return b"event: problem\ndata: " + value + b"\n\n"


def format_of(accept: bytes) -> JsonLines:
    """The form of a stream that the `accept` header asks for."""
    return ServerSentEvents() if b"text/event-stream" in accept else JsonLines()


class ReplyStream:
    """The replies of a stream, ready to be sent; `problem` writes what tells of an error."""

    def __init__(
        self,
        operation: Operation,
        style: JsonLines,
        replies: AsyncIterator[Any],
        problem: Callable[[Fault | CallError], bytes],
    ) -> None:
        self._operation = operation
        self._style = style
        self._replies = replies
        self._problem = problem

    async def send(self, writer: ReplyWriter) -> None:
        """Send every reply; an error before the first one is raised, so that it has a status of its own."""
        style, write = self._style, encoder(self._operation.reply)
        async with closing(self._replies) as items:
            first = await anext(items, NOTHING)
            writer.start(200, style.media, FIELDS)
            try:
                if first is not NOTHING and not writer.bodiless:  # else nobody reads on, and a stream may have no end
                    await writer.write(style.item(write(first)))
                    async for reply in items:
                        await writer.write(style.item(write(reply)))
            except Exception as error:  # a boundary: the status is sent, so the stream itself tells of the error
                problem = written(self._operation, shield(self._operation, error), self._problem)
                await writer.write(style.problem(problem))
        await writer.write(b"", more=False)
