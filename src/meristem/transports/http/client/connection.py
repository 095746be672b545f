"""The client's connection: one request at a time, its answer read with as little work as its form allows."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any, Final, Protocol

import httptools
import msgspec

from meristem.head_fields import POSITIONS
from meristem.transports.http.client.tls import ALERT, is_alert, why_refused
from meristem.transports.http.date import DATE_LENGTH
from meristem.transports.http.responses import OK_JSON
from meristem.transports.http.writing import WritingProtocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

PREFIX: Final = len(OK_JSON)
REST: Final = (
    2 + DATE_LENGTH + 2
)  # of the head behind the number of its length: an end of a line, the date, the empty line


class LostError(Exception):
    """The answer will not come; `happened` is False when the request was certainly not served.

    `broken` says that the connection ended by itself, as when its server dies.
    """

    def __init__(self, reason: str, *, happened: bool = True, broken: bool = False) -> None:
        super().__init__(reason)
        self.happened = happened
        self.broken = broken


class LargeReplyError(LostError):
    """The answer is larger than the client takes; it would be as large another time."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the reply is larger than {limit} bytes; raise `reply_bytes` of [client]")


class RawResponse(msgspec.Struct):
    """An answer other than a plain 200, or one that tells what was written."""

    status: int
    head: dict[bytes, bytes]
    body: bytes


class ResponseSink(Protocol):
    """Takes the body of a stream as it arrives."""

    def feed(self, data: bytes) -> None: ...

    def finish(self) -> None: ...

    def fail(self, error: LostError) -> None: ...


class ClientConnection(WritingProtocol):
    """A connection of a pool; one that is `spent`, or whose transport closes, may carry no further request."""

    __slots__ = (
        "_address", "_chunks", "_head", "_lost", "_parser", "_reply_limit", "_size", "_whole", "sink", "spent",
        "waiter",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        lost: Callable[[ClientConnection], None],
        address: str,
        reply_limit: int,
    ) -> None:
        super().__init__(loop)
        self.waiter: asyncio.Future[bytes | RawResponse] | None = None
        self.sink: ResponseSink | None = None
        self._lost = lost
        self._address = address
        self._reply_limit = reply_limit
        self.spent = False
        self._whole = True  # no part of an answer has arrived
        self._parser: Any = None
        self._head: dict[bytes, bytes] = {}
        self._chunks: list[bytes] = []
        self._size = 0

    def send(self, request: bytes, sink: ResponseSink | None = None) -> asyncio.Future[bytes | RawResponse]:
        """Write a request; the future gives the body of a 200, another answer whole, or raises LostError.

        With a `sink` the body of a 200 goes there and the future is done when its head has arrived.
        """
        self.sink = sink
        waiter = self.waiter = self.loop.create_future()
        self.transport.write(request)
        return waiter

    def close(self) -> None:
        """End the connection and whatever it waits for."""
        self.spent = True
        # Not `close`, which would first write what is left: nobody waits for an answer to that.
        self.transport.abort()

    # The transport's side

    def connection_lost(self, exc: Exception | None) -> None:
        self.spent = True
        super().connection_lost(exc)
        if isinstance(exc, ssl.SSLError) and is_alert(exc):
            self._fail(LostError(why_refused(exc), happened=False))
        else:
            reason = f"the connection broke: {exc}" if exc is not None else "the connection was closed"
            self._fail(LostError(f"{reason} before the answer was complete", broken=True))
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        waiter = self.waiter
        if waiter is not None and self._whole and data.startswith(OK_JSON):
            end = data.find(b"\r\ndate: ", PREFIX)
            length, start = data[PREFIX:end], end + REST
            # Whole and alone in one piece, as nearly all are; a part of an answer, or more than one, is for the parser.
            if (
                end > 0
                and length.isdigit()
                and start + int(length) == len(data) <= self._reply_limit
                and data.find(b"\r\n\r\n", end) == start - 4
            ):
                self.waiter = None
                if not waiter.done():
                    waiter.set_result(data[start:])
                return
        if waiter is None and self.sink is None:
            self.close()  # nothing was asked: the server says farewell, or talks nonsense
            return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        if self._whole:
            self._whole = False
            # A new one for each answer: nothing of the last one's state can be taken for this one's.
            self._parser = httptools.HttpResponseParser(self)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            hint = "; it speaks TLS: write https://" if data.startswith(ALERT) else ""
            self._fail(LostError(f"the answer is no sound HTTP/1.1: {error}{hint}"))
            self.close()

    # The parser's side

    def on_message_begin(self) -> None:
        self._head = {}
        self._chunks = []
        self._size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head[name.lower()] = value

    def on_headers_complete(self) -> None:
        length = self._head.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._reply_limit:
            self._too_large()
        elif self.sink is not None and self._parser.get_status_code() == 200:
            self._resolve(b"")

    def on_body(self, body: bytes) -> None:
        if self.sink is not None and self.waiter is None:
            self.sink.feed(body)
            return
        self._size += len(body)
        if self._size > self._reply_limit:
            self._too_large()
        else:
            self._chunks.append(body)

    def on_message_complete(self) -> None:
        self._whole = True
        self.spent = self.spent or not self._parser.should_keep_alive()
        sink, self.sink = self.sink, None
        if sink is not None and self.waiter is None:
            sink.finish()
            return
        status, body = self._parser.get_status_code(), b"".join(self._chunks)
        self._chunks = []
        # The server's farewell (`not_served`): it closed while this request was on its way, which so was not served.
        if status == 408 and self.spent and not body:
            self._fail(LostError("the server closes idle connections and did not take the request", happened=False))
        else:
            is_plain = status == 200 and POSITIONS not in self._head
            self._resolve(body if is_plain else RawResponse(status, self._head, body))

    # Outcomes

    def _resolve(self, result: bytes | RawResponse) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(result)

    def _fail(self, error: LostError) -> None:
        waiter, self.waiter = self.waiter, None
        sink, self.sink = self.sink, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(error)
        elif sink is not None:
            sink.fail(error)

    def _too_large(self) -> None:
        self._fail(LargeReplyError(self._reply_limit))
        self.close()
