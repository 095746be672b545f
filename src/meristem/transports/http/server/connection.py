"""The server's connection: unary calls are answered here, everything else by the ASGI app through uvicorn."""

from __future__ import annotations

import asyncio
import sys
from asyncio import Task
from typing import TYPE_CHECKING, Any, Final

import httptools

from meristem.transports.http.connect.codec import is_own
from meristem.transports.http.errors import too_large
from meristem.transports.http.responses import JSON, NOT_SERVED, Response, refused
from meristem.transports.http.server.phases import BODY, BUSY, DELEGATED, HEAD, IDLE, LINGER, UNREAD
from meristem.transports.http.server.timeouts import Ending, overdue
from meristem.transports.metadata import add_field
from meristem.transports.unary import Codec, RequestT, answer

if TYPE_CHECKING:
    from meristem.transports.http.connect.codec import Route
    from meristem.transports.http.server.delegation import Delegate
    from meristem.transports.http.server.listener import Listener

END_OF_HEAD: Final = b"\r\n\r\n"
FULL: Final = refused(503, "this server has as many connections as it accepts; try again").http1(close=True)
COALESCED: Final = 64 * 1024  # a larger body is written by itself rather than copied behind its head
EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}
BODIED: Final = (b"content-length", b"transfer-encoding", b"expect", b"upgrade")
UNCOMMON: Final = (b"transfer-encoding", b"expect", b"upgrade", b"connection", b"authorization")


class ServerConnection(asyncio.Protocol):
    """One connection; `listener` has what they all share."""

    __slots__ = (
        "asgi", "chunks", "head", "listener", "loop", "mark", "missing", "own", "parser", "paused", "pending", "phase",
        "route", "scanned", "task", "transport", "used",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.loop = listener.loop
        self.phase = IDLE
        self.mark = listener.reaper.now
        self.parser = httptools.HttpRequestParser(self)
        self.head: dict[bytes, bytes] = {}
        self.pending = b""
        self.scanned = 0
        self.chunks: list[bytes] = []
        self.missing = 0
        self.route: Route | None = None
        self.task: asyncio.Task[None] | None = None
        self.asgi: Delegate | None = None
        self.paused = False
        self.own = True  # until a request shows another client
        self.used = False

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        if self.listener.stopped:
            self.transport.abort()
        elif not self.listener.admit(self):
            self.transport.write(FULL)
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.forget(self)
        if self.task is not None:
            self.task.cancel()
        if self.asgi is not None:
            self.asgi.lost(exc)

    def data_received(self, data: bytes) -> None:
        phase = self.phase
        if phase == IDLE:
            if self.pending:
                data, self.pending = self.pending + data, b""
            listener = self.listener
            known = listener.own_heads.recognize(data, listener.limits.body_bytes)
            if known is None:
                self.begin(data)
            else:
                self.own = True
                self._serve(known[0], known[1])
        elif phase == DELEGATED:
            self._while_delegated(data)
        elif phase == BODY:
            self._more_body(data)
        elif phase == HEAD:
            data, self.pending = self.pending + data, b""
            self.begin(data)
        elif phase == BUSY:
            self._while_busy(data)

    def eof_received(self) -> bool:
        return False  # the peer is gone: close, which cancels what runs for it

    def pause_writing(self) -> None:
        self.paused = True
        self.mark = self.listener.reaper.now
        if self.asgi is not None:
            self.asgi.pause_writing()

    def resume_writing(self) -> None:
        self.paused = False
        self.mark = self.listener.reaper.now
        if self.asgi is not None:
            self.asgi.resume_writing()
        if self.phase == BUSY and self.task is None:  # answered: the peer has read enough of it to ask for more
            self.phase = IDLE
            self.loop.call_soon(self._resume)

    # The parser's side

    def on_header(self, name: bytes, value: bytes) -> None:
        add_field(self.head, name.lower(), value)

    # Requests

    def begin(self, data: bytes) -> None:
        """At a request boundary: find the whole head, then who answers it."""
        end = data.find(END_OF_HEAD, self.scanned)
        if end < 0 or end > self.listener.limits.head_bytes:
            self._await_head(data, end)
            return
        self.scanned = 0
        cut = data.find(b" ", 5, end)
        known = data[cut : cut + 11] == b" HTTP/1.1\r\n" and data.startswith(b"POST ")
        route = self.listener.routes.get(data[5:cut]) if known else None
        head: dict[bytes, bytes] = {}
        self.head = head
        try:
            self.parser.feed_data(data[: end + 4])  # no more: what follows may be another request
        except httptools.HttpParserUpgrade:
            route = None
        except httptools.HttpParserError as error:
            self.refuse(400, f"this is no sound HTTP/1.1 request: {error}")
            return
        if data.startswith(b"PRI * HTTP/2"):
            self.refuse(505, "this port speaks HTTP/1.1, not HTTP/2")
            return
        probed = route is None and data.startswith(b"GET /health") and data[cut : cut + 11] == b" HTTP/1.1\r\n"
        if probed and self._answer_probe(data[4:cut], data[end + 4 :]):
            return
        if route is None or head.get(b"content-type") != JSON or not head.keys().isdisjoint(UNCOMMON):
            self._delegate(data)
            return
        if is_own(head):
            self.listener.own_heads.learn(data, end + 4, route.own, head)
        self._receive(route, data, end + 4)

    def _answer_probe(self, path: bytes, rest: bytes) -> bool:
        """Answer what is asked of the process itself, without the app; False for what that must answer."""
        response = self.listener.probed(path) if self.head.keys().isdisjoint(BODIED) else None
        if response is None:
            return False
        self.own, self.used, self.pending = False, True, rest
        self.finish(response, close=self.listener.draining or self.head.get(b"connection") == b"close")
        return True

    def _receive(self, route: Route, data: bytes, start: int) -> None:
        length = int(self.head.get(b"content-length", b"0"))
        total = start + length
        if length > self.listener.limits.body_bytes:
            codec, request = route.received(self.head, b"")
            self.finish(codec.failure(request, too_large(self.listener.limits.body_bytes)), close=True)
        elif len(data) >= total:
            body, self.pending = data[start:total], data[total:]
            self.parser.feed_data(body)  # it must see the end of the message
            self._serve(*self._received(route, body))
        else:
            self.parser = httptools.HttpRequestParser(self)  # the old one is inside a message
            self.route, self.chunks, self.missing = route, [data[start:]], total - len(data)
            self.phase = BODY
            self.mark = self.listener.reaper.now

    def _received(self, route: Route, body: bytes) -> tuple[Codec[Any, Response], Any]:
        codec, request = route.received(self.head, body)
        self.own = codec is route.own
        return codec, request

    def _await_head(self, data: bytes, end: int) -> None:
        if end >= 0 or len(data) > self.listener.limits.head_bytes:
            self.refuse(431, f"the head of a request may have {self.listener.limits.head_bytes} bytes")
            return
        data = data.lstrip(b"\r\n") if data[:1] in b"\r\n" else data  # an empty line before a request is forgiven
        if self.phase == IDLE and data:
            self.phase = HEAD
            self.mark = self.listener.reaper.now
        self.pending = data
        self.scanned = max(0, len(data) - 3)

    def _more_body(self, data: bytes) -> None:
        if len(data) < self.missing:
            self.chunks.append(data)
            self.missing -= len(data)
            return
        self.pending = data[self.missing :]
        self.chunks.append(data[: self.missing])
        body, route = b"".join(self.chunks), self.route
        self.chunks, self.route = [], None
        if route is not None:
            self._serve(*self._received(route, body))

    def _while_busy(self, data: bytes) -> None:
        self.pending += data
        if len(self.pending) > self.listener.limits.pipelined_bytes:
            self.transport.pause_reading()

    # Answers

    def _serve(self, codec: Codec[RequestT, Response], request: RequestT) -> None:
        self.phase = BUSY
        self.used = True
        task = Task(self._answer(codec, request), loop=self.loop, name=codec.operation.path, **EAGER)
        if not task.done():
            self.task = task

    async def _answer(self, codec: Codec[RequestT, Response], request: RequestT) -> None:
        try:
            response = await answer(codec, request, self.listener.authorizer)
        except BaseException:
            self.task = None
            self.transport.abort()  # the caller must not take silence for an answer
            raise
        self.task = None
        self.finish(response, close=self.listener.draining)

    def finish(self, response: Response, *, close: bool = False) -> None:
        """Write the response and be ready for the next request."""
        if len(response.body) < COALESCED:
            self.transport.write(response.http1(close=close))
        else:
            self.transport.write(response.head(close=close))
            self.transport.write(response.body)
        if close:
            self._linger()
        elif not self.paused:  # else `resume_writing` goes on: who does not read is not served
            self.phase = IDLE
            self.mark = self.listener.reaper.now
            if self.pending:
                self.loop.call_soon(self._resume)

    def _resume(self) -> None:
        if not self.transport.is_reading():
            self.transport.resume_reading()
        if self.phase == IDLE and self.pending:
            data, self.pending = self.pending, b""
            self.begin(data)

    def refuse(self, status: int, detail: str) -> None:
        """Answer what is no sound request, and close."""
        self.finish(refused(status, detail), close=True)

    def _linger(self) -> None:
        """Say no more, but read on until the peer has seen the last answer: closing now might destroy it."""
        self.phase = LINGER
        self.mark = self.listener.reaper.now
        self.pending, self.chunks = b"", []
        if self.transport.can_write_eof():
            self.transport.write_eof()
            if not self.transport.is_reading():
                self.transport.resume_reading()
        else:
            self.transport.close()

    # The ASGI app's turns

    @property
    def delegated(self) -> bool:
        """Whether uvicorn is responsible for the connection."""
        return self.phase == DELEGATED

    def _delegate(self, data: bytes) -> None:
        self.own = is_own(self.head)
        self.used = True
        self.parser = httptools.HttpRequestParser(self)  # the old one is inside a message
        self.phase = DELEGATED
        self.mark = self.listener.reaper.now
        if self.asgi is None:
            self.asgi = self.listener.delegate(self)
        self.asgi.feed(data)
        if self.listener.draining:
            self.asgi.finish()

    def _while_delegated(self, data: bytes) -> None:
        self.mark = self.listener.reaper.now
        if self.asgi is not None and not self.asgi.at_boundary:
            self.asgi.feed(data)
        else:
            self.phase = IDLE
            self.begin(data)

    # The server's side

    def drain(self) -> None:
        """Let the answer under way be the last, or else the next one: `check` waits for that a little.

        Who was just about to send another request would lose it if an idle connection were closed now. Our own
        clients are told that it was not served, so they need not be waited for.
        """
        if self.phase == DELEGATED and self.asgi is not None and not self.asgi.at_boundary:
            self.asgi.finish()
        elif self.phase in (IDLE, DELEGATED) and not self.pending:
            if self.own and self.used:
                self.let_go()
            else:
                self.phase, self.mark = IDLE, self.listener.reaper.now

    def let_go(self) -> None:
        """Close an idle connection so that a request on its way is known to be unserved."""
        if self.own or not self.used:
            self.transport.write(NOT_SERVED)
            self._linger()
        else:
            self.transport.close()

    def check(self, now: float) -> None:
        """Close when the peer took longer than its limit allows, at `now` of the reaper's clock."""
        phase, listener = UNREAD if self.paused else self.phase, self.listener
        if phase == DELEGATED and self.asgi is not None and (phase := self.asgi.phase) == IDLE:
            self.phase, self.mark = IDLE, now  # the app has answered: the connection is idle from now on
            return
        found = overdue(phase, now - self.mark, listener.limits, draining=listener.draining)
        if found is None:
            return
        if found.ending is Ending.RELEASE:
            self.let_go()
        elif found.ending is Ending.REFUSE:
            self.refuse(408, found.reason)
        else:
            self.transport.abort()
