"""Writes a response whose body comes bit by bit, framed by its length, in chunks, or by the end of the connection."""

from __future__ import annotations

import asyncio
import re
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from meristem.transports.http.date import date_line
from meristem.transports.http.responses import COALESCED, phrase
from meristem.transports.http.server.head import LENGTH
from meristem.transports.unary import READER

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meristem.asgi import Field
    from meristem.transports.http.request import BodyCoder, Request
    from meristem.transports.http.server.turns import Turns

NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
UNSOUND: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
OF_THE_CONNECTION: Final = (b"connection", b"transfer-encoding", b"keep-alive", b"upgrade")
"""Fields that are the server's to decide (RFC 9110, 7.6.1)."""


class AnswerLines(NamedTuple):
    """The lines of a head, up to how its body is framed unless it has `length`; whether it says date and `close`."""

    lines: list[bytes]
    length: int | None
    closes: bool
    is_dated: bool


def answer_lines(status: int, fields: Iterable[Field]) -> AnswerLines:
    """The lines for the fields that an app or an upstream gives; raises ValueError for what no head can hold."""
    lines = [_status_line(status)]
    is_dated = closes = False
    length: int | None = None
    for given, value in fields:
        name = given.lower()
        if NAME.fullmatch(name) is None or UNSOUND.search(value) is not None:
            raise ValueError(f"a response has no header field {given!r}: {value!r}")
        if name == b"connection":
            closes = closes or b"close" in value.lower()
        elif name == b"content-length":
            if LENGTH.fullmatch(value) is None or length is not None:
                raise ValueError(f"content-length is a number and given once, not {value!r}")
            if status != 204:
                length = int(value)
                lines.append(b"content-length: %b\r\n" % value)
        elif name not in OF_THE_CONNECTION:
            is_dated = is_dated or name == b"date"
            lines.append(b"%b: %b\r\n" % (name, value))
    return AnswerLines(lines, length, closes, is_dated)


class Answered(Protocol):
    """A connection whose request is answered."""

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def paused(self) -> bool:
        """Whether the peer has yet to read what was sent."""
        ...

    @property
    def ending(self) -> bool:
        """Whether the answer under way is the connection's last."""
        ...

    @property
    def turns(self) -> Turns: ...

    async def writable(self) -> None:
        """Wait until the peer has read enough, or has gone."""
        ...

    def answered(self, *, close: bool) -> None:
        """The response is out."""
        ...


class ResponseWriter:
    """One response. Its head waits for the first part of the body, so that a short one goes out in one piece.

    What is written by `write` after a client has gone goes nowhere, without an error.
    """

    __slots__ = (
        "_chunked", "_close", "_coder", "_connection", "_head", "_left", "_request", "complete", "dropped", "started",
    )  # fmt: skip

    def __init__(self, connection: Answered, request: Request) -> None:
        self.started = self.complete = False
        self.dropped = False  # nobody waits for the rest of it
        self._coder: BodyCoder | None = None
        self._connection = connection
        self._request = request
        self._head = b""
        self._left: int | None = None  # bytes of a promised length that are still to come
        self._chunked = False
        self._close = False

    @property
    def bodiless(self) -> bool:
        """Whether nothing follows the head, as in an answer to HEAD."""
        return self._request.method == "HEAD"

    def start(self, status: int, media: bytes, fields: Sequence[Field] = ()) -> None:
        """The head, sent at once."""
        self.begin(status, [(b"content-type", media), *fields])
        self.flush()

    def begin(self, status: int, fields: Iterable[Field]) -> None:
        """The head, sent with what comes next; raises ValueError for what no head of an answer can hold."""
        found = answer_lines(status, self._with_terms(status, fields))
        self._left = found.length  # not that of one before, which was refused
        self._close = self._close or found.closes
        lines = found.lines
        if not found.is_dated:
            lines.append(date_line())
        self.started = True
        self._request.count(status)
        # RFC 9112, section 6.3: these have no body, whatever their head says of one.
        if self.bodiless or status in (204, 304):
            self._left = -1  # no body, whatever is given
        self._head = b"".join(lines)

    def flush(self) -> None:
        """Send the head if it waits still."""
        if self._head:
            self._send(self._take_head(None))

    async def write(self, body: bytes, *, more: bool = True) -> None:
        """A part of the body; raises ValueError for more or less of it than was promised."""
        if self._coder is not None and not self.bodiless:
            body = await self._coded(self._coder, body, more=more)
            if self.dropped:
                return
        head = self._take_head(None if more else len(body)) if self._head else b""
        framed = self._framed(body, more=more)
        if len(body) < COALESCED:
            self._send(head + framed)
        else:
            self._send(head)
            self._send(framed)
        if not more:
            self.complete = True
            self._connection.answered(close=self._close)
            return
        if self._connection.paused:
            await self._connection.writable()
        await self._connection.turns.give_way()

    def abort(self) -> None:
        """Cut the connection, so that nobody takes what was sent for the whole."""
        self._connection.transport.abort()

    def _with_terms(self, status: int, fields: Iterable[Field]) -> Iterable[Field]:
        """The fields, and what the policy of a public address makes of them."""
        request, terms = self._request, self._request.answer_terms
        if terms is None:
            return (*fields, *request.answer_fields)
        shaped = terms.shape(request, fields)
        self._coder = terms.coder(request, status, shaped)
        return (*shaped, *request.answer_fields)

    async def _coded(self, coder: BodyCoder, body: bytes, *, more: bool) -> bytes:
        if len(body) < COALESCED:
            return coder.feed(body, more=more)
        coding = asyncio.get_running_loop().run_in_executor(READER, partial(coder.feed, body, more=more))
        return await coding  # others must not wait for that

    def _take_head(self, length: int | None) -> bytes:
        """The head with how its body is framed, the whole of which has `length` if that is known."""
        head, self._head = self._head, b""
        if self._left is None:
            if length is not None:
                self._left = length
                head += b"content-length: %d\r\n" % length
            # HTTP/1.0 knows no chunks: there the end of the connection is the end of the body (RFC 9112, 6.3).
            elif self._request.version == "1.1":
                self._chunked = True
                head += b"transfer-encoding: chunked\r\n"
            else:
                self._close = True
        self._close = self._close or self._connection.ending
        return head + (b"connection: close\r\n\r\n" if self._close else b"\r\n")

    def _framed(self, body: bytes, *, more: bool) -> bytes:
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk if more else chunk + b"0\r\n\r\n"
        if self._left is None:
            return body
        if self._left < 0:
            return b""
        self._left -= len(body)
        # The client counts by what was promised: a byte more would be read as the next response.
        if self._left < 0 or (self._left and not more):
            raise ValueError("the body of a response is as long as its content-length, not longer, not shorter")
        return body

    def _send(self, data: bytes) -> None:
        transport = self._connection.transport
        if data and not transport.is_closing():
            transport.write(data)


def _status_line(status: int) -> bytes:
    if not 200 <= status <= 599:  # below it is no answer yet: the client would take the next one for this one's
        raise ValueError(f"the status of an answer is from 200 to 599, not {status}")
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase(status).encode())
