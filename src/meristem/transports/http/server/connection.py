"""The server's connection: what arrives becomes requests, each of which is answered before the next one begins."""

from __future__ import annotations

import sys
from asyncio import Task
from typing import TYPE_CHECKING, Any, Final

from meristem.transports.errors import shield
from meristem.transports.http.connect.codec import is_own
from meristem.transports.http.responses import COALESCED, Response, refused
from meristem.transports.http.server.body import SizedBody
from meristem.transports.http.server.head import UnsoundError, is_websocket, persists
from meristem.transports.http.server.hosted import CONTINUE, HostedRequest
from meristem.transports.http.server.intake import MOST_DROPPED, Intake
from meristem.transports.http.server.pacing import MUCH, PacedConnection
from meristem.transports.http.server.phases import BODY, BUSY, HEAD, HOSTED, HOSTED_BODY, IDLE, SOCKET, UNREAD
from meristem.transports.http.server.response_writer import ResponseWriter
from meristem.transports.http.server.timeouts import Ending, overdue
from meristem.transports.unary import Codec, RequestT, answer

if TYPE_CHECKING:
    from meristem.transports.http.request import Request, StreamedReply
    from meristem.transports.http.server.body import Body
    from meristem.transports.http.server.listener import Listener

# Where Python can: a handler that never waits answers in this very turn of the loop.
EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class ServerConnection(PacedConnection):
    """One connection of a server."""

    __slots__ = ("hosted", "intake", "request")

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self.request: Request | None = None  # that is answered, unless its head was recognized
        self.intake: Intake | None = None
        self.hosted: HostedRequest | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.listener.forget(self)
        self.taking = None
        if self.drained is not None:
            self.drained.set()
        if self.task is not None:
            self.task.cancel()
        if self.hosted is not None:
            self.hosted.lost()
        if self.socket is not None:
            self.socket.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        phase, inbox = self.phase, self.inbox
        if phase == IDLE:
            if not inbox:
                listener = self.listener
                known = listener.own_heads.recognize(data, listener.limits.body_bytes)
                if known is not None:
                    self.own = True
                    self._serve(known[0], known[1])
                    return
                inbox += data
                self.begin()
            else:  # its turn comes by `resume`
                inbox += data
                self.bound()
        elif phase == HEAD:
            inbox += data
            self.begin()
        elif phase == BODY:
            inbox += data
            self._collect()
            if len(data) >= MUCH:
                self.give_way()
        elif phase == BUSY:
            inbox += data
            self.bound()
        elif phase == HOSTED:
            inbox += data
            self._feed()
        elif phase == SOCKET:
            self.socket.data_received(data)

    # Requests

    def begin(self) -> None:
        """At a request boundary: find the whole head, then who answers it."""
        listener = self.listener
        try:
            request = self.framer.request()
            if request is None:
                self._await_head()
                return
            body = self.framer.body(request)
        except UnsoundError as error:
            self.refuse(error.status, error.detail)
            return
        self.own = is_own(request.head)
        self.used = True
        self.request = request
        self.mark = listener.reaper.now
        socket = is_websocket(request)
        found = listener.find(request, socket=socket)
        if found is not None:
            if self.own:
                listener.own_heads.learn(request, found)
            if not isinstance(found, Response) and (data := self._whole(body)) is not None:
                self._serve(*found.received(request, data if found.takes_body else b""))
                return
            self.phase = BODY
            self.intake = Intake(request, body, found, listener.limits.body_bytes)
            self._collect()
            if b"expect" in request.head:
                self._expected()
        elif socket:
            self._open(request)
        else:
            self.phase = HOSTED
            self.hosted = listener.host(self, request, body)
            self._feed()

    def _whole(self, body: Body) -> bytes | None:
        """A body that has arrived whole and alone, as most do; None for one that must be collected."""
        missing = body.missing if type(body) is SizedBody else -1
        if missing != len(self.inbox) or missing > self.listener.limits.body_bytes:
            return None
        data = bytes(self.inbox)
        self.inbox.clear()
        return data

    def _await_head(self) -> None:
        if self.phase == IDLE and self.inbox:
            self.phase = HEAD
            self.mark = self.listener.reaper.now

    def _collect(self) -> None:
        """Take in more of a body that Meristem serves itself."""
        if (intake := self.intake) is None:
            return
        try:
            whole = intake.take(self.inbox)
        except UnsoundError as error:
            self._cut_off(intake, refused(error.status, error.detail))
            return
        found, request = intake.found, intake.request
        if intake.too_large:  # nobody reads the rest, so no further request can be told from it
            self._cut_off(intake, intake.refusal())
        elif whole:
            self.intake = None
            if found is None:
                self.rest()
            elif isinstance(found, Response):
                self.finish(found)
            else:
                self._serve(*found.received(request, intake.data))

    def _expected(self) -> None:
        """Answer a client that asks before it sends (RFC 9110, 10.1.1)."""
        if (intake := self.intake) is None or intake.size:
            return
        if isinstance(intake.found, Response):  # what it would send is not wanted
            self._cut_off(intake, intake.found)
        elif intake.request.version == "1.1":
            self.transport.write(CONTINUE)

    def _cut_off(self, intake: Intake, response: Response | None) -> None:
        """End a request in the middle of its body, with a response if it was not answered."""
        self.intake = None
        if response is None or intake.found is None:
            self.linger()
        else:
            self.finish(response, close=True)

    def _feed(self) -> None:
        """Take in more of a body that an app reads, and of what comes after."""
        if (hosted := self.hosted) is None:
            return
        try:
            hosted.feed()
        except UnsoundError as error:
            self.refuse(error.status, error.detail)

    def _open(self, request: Request) -> None:
        self.phase = SOCKET
        self.socket = self.listener.socket(self, request)
        if self.inbox:
            self.socket.data_received(bytes(self.inbox))
            self.inbox.clear()

    # Answers

    @property
    def ending(self) -> bool:
        """Whether the answer under way is the connection's last."""
        return self.listener.draining or (self.request is not None and not persists(self.request))

    def _serve(self, codec: Codec[RequestT, Response | StreamedReply], request: RequestT) -> None:
        self.phase = BUSY
        self.used = True
        task = Task(self._answer(codec, request), loop=self.loop, name=codec.operation.path, **EAGER)
        # Begun eagerly it may be over: then `_answer` has cleared `self.task`, which nobody would do once more.
        if not task.done():
            self.task = task

    async def _answer(self, codec: Codec[RequestT, Response | StreamedReply], request: RequestT) -> None:
        try:
            response = await answer(codec, request, self.listener.authorizer)
            if not isinstance(response, Response):
                failure = await self._stream(codec, request, response)
                if failure is None:
                    return
                response = failure
        except BaseException:
            self.task = None
            self.transport.abort()  # the caller must not take silence for an answer
            raise
        self.task = None
        self.finish(response, close=self.listener.draining)

    async def _stream(
        self, codec: Codec[RequestT, Response | StreamedReply], request: RequestT, replies: StreamedReply
    ) -> Response | None:
        """Send the replies of a stream; the response instead where it fails before the first of them."""
        writer = ResponseWriter(self, self.request)  # type: ignore[arg-type]  # a recognized head names no stream
        try:
            await replies.send(writer)
        except Exception as error:  # a boundary: nothing was sent yet
            if writer.started:
                raise
            return codec.failure(request, shield(codec.operation, error))  # type: ignore[return-value]
        return None

    def finish(self, response: Response, *, close: bool = False) -> None:
        """Write the response and be ready for the next request."""
        if self.transport.is_closing():  # the client has gone: uvloop would raise
            return
        request = self.request
        if request is not None and not persists(request):
            close = True
        if request is not None and request.method == "HEAD":
            self.transport.write(response.head(close=close))
        elif len(response.body) < COALESCED:
            self.transport.write(response.http1(close=close))
        else:
            self.transport.write(response.head(close=close))
            self.transport.write(response.body)
        self.request = None
        if close:
            self.linger()
        else:
            self.rest()

    def answered(self, *, close: bool) -> None:
        """A response is out that was written bit by bit."""
        hosted, self.hosted = self.hosted, None
        self.task = self.request = None
        self.held = False
        if hosted is not None:
            hosted.wake_up()
        if close or self.listener.draining:
            self.linger()
        elif hosted is not None and not hosted.body.done:
            self.phase = BODY
            self.intake = Intake(hosted.request, hosted.body, None, MOST_DROPPED)
            self.read_on()
            self._collect()
        else:
            self.rest()

    def refuse(self, status: int, detail: str) -> None:
        """Answer what is no sound request, and close."""
        hosted, self.hosted = self.hosted, None
        self.intake = None
        if hosted is not None:
            hosted.lost()
            if hosted.writer.started:
                self.transport.abort()  # the client must not take a part for the whole
                return
        self.finish(refused(status, detail), close=True)

    def check(self, now: float) -> None:
        """Close when the peer took longer than its limit allows, at `now` of the reaper's clock."""
        phase, waited, listener = self.phase, now - self.mark, self.listener
        if self.taking is not None:
            self.taking.look(now)
            phase, waited = UNREAD, self.taking.slow(now, listener.limits.write_rate)
        elif self.hosted is not None:
            phase, waited = HOSTED_BODY, self.hosted.waited(now)
        found = overdue(phase, waited, listener.limits, draining=listener.draining)
        if found is None:
            return
        if found.ending is Ending.RELEASE:
            self.let_go()
        elif found.ending is Ending.ABORT:
            self.transport.abort()
        elif self.intake is not None and self.intake.found is None:
            self.linger()
        else:
            self.refuse(408, found.reason)
