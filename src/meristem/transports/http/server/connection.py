"""The server's connection: what arrives becomes requests, each of which is answered before the next one begins."""

from __future__ import annotations

from asyncio import Task
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from meristem.transports.errors import shield, written
from meristem.transports.http.connect.codec import is_own
from meristem.transports.http.connect.interface import Route
from meristem.transports.http.responses import COALESCED, Response, refused
from meristem.transports.http.server.body import SizedBody
from meristem.transports.http.server.client_address import peer_user, sender_of
from meristem.transports.http.server.eager import EAGER
from meristem.transports.http.server.head import MOST_REMEMBERED, UnsoundError, expects_continue, is_websocket, persists
from meristem.transports.http.server.hosted import HostedRequest
from meristem.transports.http.server.intake import MOST_DROPPED, Intake
from meristem.transports.http.server.multiplexing import ServerChannel, is_channel
from meristem.transports.http.server.pacing import MUCH, PacedConnection
from meristem.transports.http.server.phases import BODY, BUSY, HEAD, HOSTED, HOSTED_BODY, IDLE, LINGER, SOCKET, UNREAD
from meristem.transports.http.server.request_stream import RequestStream, UploadStream
from meristem.transports.http.server.response_writer import ResponseWriter
from meristem.transports.http.server.timeouts import Ending, overdue
from meristem.transports.unary import Codec, RequestT, answer

if TYPE_CHECKING:
    from meristem.asgi import Field
    from meristem.transports.http.request import Request, Resource, StreamedReply
    from meristem.transports.http.server.body import IncomingBody
    from meristem.transports.http.server.client_address import Sender
    from meristem.transports.http.server.listener import Listener


class KnownRequest(NamedTuple):
    """A request that was answered, and how long it was: a client that keeps its connection mostly sends the same head.

    Why this is safe: the parser has read that head, byte for byte, and what follows it is as long as it says.
    """

    request: Request
    found: Resource
    size: int


class ServerConnection(PacedConnection):
    """One connection of a server."""

    __slots__ = ("entrusted", "hosted", "intake", "known_sender", "last", "request")

    learns_heads: ClassVar = True  # of Meristem's own client, to be recognized the next time

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self.request: Request | None = None  # that is answered, unless its head was recognized
        self.last: KnownRequest | None = None
        self.intake: Intake | None = None
        self.hosted: HostedRequest | RequestStream[Any] | None = None  # what takes a body while it is answered
        self.known_sender: tuple[list[Field], Sender, int | None] | None = None  # who sent these fields
        self.entrusted = False  # the edge speaks here for its clients, and holds them to their times itself

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
                if not self.recognizes(data):
                    inbox += data
                    self.begin()
            else:  # its turn comes by `resume`
                inbox += data
                self.bound()
        elif phase == HEAD:
            inbox += data
            self.begin()
        elif phase in (BODY, HOSTED):
            inbox += data
            if not self.behind:
                self.take_in()
            if len(data) >= MUCH:
                self.give_way()
        elif phase == BUSY:
            inbox += data
            self.bound()
        elif phase == SOCKET:
            self.socket.data_received(data)

    # Requests

    def recognizes(self, data: bytes) -> bool:
        """Answer a request whose head was read before: the connection's last one, or that of Meristem's own client."""
        last, listener = self.last, self.listener
        if last is not None:
            request = self.repeated(data)
            if request is None:
                return False
            self.request = request
            self.mark = listener.reaper.now
            self.serve(*last.found.received(request, data[len(request.raw) :]))
            return True
        known = listener.own_heads.recognize(data, listener.limits.body_bytes) if self.learns_heads else None
        if known is None:
            return False
        self.own = True
        self.serve(*known)
        return True

    def repeated(self, data: bytes) -> Request | None:
        """The last request, where it has arrived once more and nothing else has."""
        last = self.last
        if last is None or len(data) != last.size or not data.startswith(last.request.raw):
            return None
        return last.request

    def begin(self) -> None:
        """At a request boundary: find the whole head, then who answers it."""
        listener = self.listener
        self.last = None
        try:
            request = self.framer.request()
            if request is None:
                self._await_head()
                return
            body = self.framer.body(request)
        except UnsoundError as error:
            self.refuse(error.status, error.detail)
            return
        self.entrusted = listener.is_entrusted(request)
        self.own = self.entrusted or is_own(request.head)
        self.used = True
        self.request = request
        self.mark = listener.reaper.now
        self.route(request, body)

    def route(self, request: Request, body: IncomingBody) -> None:
        """Find who answers a sound request."""
        listener = self.listener
        if is_channel(request) and listener.authorizer.trusted:
            self._open(ServerChannel(self))
            if listener.draining:  # nobody else would end it
                self.socket.shutdown()
            return
        socket = is_websocket(request)
        found = listener.find(request, socket=socket)
        if found is not None:
            if not isinstance(found, Response) and found.asks_client and not self.knows_client(request):
                return
            self.take(found, request, body)
        elif socket:
            self._open(listener.socket(self, request))
        else:
            self.host(request, body)

    def host(self, request: Request, body: IncomingBody, begun: Any = None) -> None:
        """Have the app answer a request, for which something may have `begun` on the short way."""
        self.phase = HOSTED
        self.hosted = self.listener.host(self, request, body, begun)
        self._feed()

    def take(self, found: Resource | Response, request: Request, body: IncomingBody) -> None:
        """Have Meristem's own answer a request, as soon as that has what it needs of it."""
        if self.own and self.learns_heads:
            self.listener.own_heads.learn(request, found)
        if not isinstance(found, Response) and found.takes_stream:
            self._serve_stream(found, request, body)
        elif not isinstance(found, Response) and (data := self._whole(body)) is not None:
            if not self.own and len(request.raw) <= MOST_REMEMBERED and (found.takes_body or not data):
                self.last = KnownRequest(request, found, len(request.raw) + len(data))
            self.serve(*found.received(request, data if found.takes_body else b""))
        else:
            self.phase = BODY
            self.intake = intake = Intake(self, request, body, found, self.listener.limits.body_bytes)
            intake.collect()
            if expects_continue(request):
                intake.invite()

    def knows_client(self, request: Request) -> bool:
        """Find out who sends a request; one that tells it in two ways is refused."""
        known = self.known_sender
        if known is None or known[0] != request.fields:  # most requests of a client tell the same of it
            try:
                sender = sender_of(request, self.transport, self.listener.proxies)
            except UnsoundError as error:
                self.refuse(error.status, error.detail)
                return False
            self.known_sender = known = (request.fields.copy(), sender, peer_user(self.transport))
        request.client, request.scheme, request.host = known[1]
        request.user_id = known[2]
        return True

    def _whole(self, body: IncomingBody) -> bytes | None:
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

    def take_in(self) -> None:
        if self.phase == BODY:
            if self.intake is not None:
                self.intake.collect()
        elif self.phase == HOSTED:
            self._feed()

    def _feed(self) -> None:
        """Take in more of a body that an app reads, and of what comes after."""
        if (hosted := self.hosted) is None:
            return
        try:
            hosted.feed()
        except UnsoundError as error:
            self.refuse(error.status, error.detail)
            return
        if hosted.body.behind:
            self.give_way()

    def _open(self, socket: Any) -> None:
        self.phase = SOCKET
        self.socket = socket
        if self.inbox:
            self.socket.data_received(bytes(self.inbox))
            self.inbox.clear()

    # Answers

    @property
    def tasks(self) -> list[Task[None]]:
        """The answers that are worked on."""
        if isinstance(self.socket, ServerChannel):
            return list(self.socket.tasks.values())
        return [] if self.task is None else [self.task]

    @property
    def ending(self) -> bool:
        """Whether the answer under way is the connection's last."""
        return self.listener.draining or (self.request is not None and not persists(self.request))

    def _serve_stream(self, found: Resource, request: Request, body: IncomingBody) -> None:
        """Have a call answered whose items are still to come."""
        listener, reader = self.listener, found.reader()
        stream: RequestStream[Any]
        if isinstance(found, Route):
            stream = RequestStream(self, request, body, reader)
        else:
            stream = UploadStream(self, request, body, reader, listener.limits, listener.reaper)
        self.hosted = stream
        self.serve(*found.streamed(request, stream, inside=not listener.authorizer.is_outside(None)), phase=HOSTED)
        self._feed()

    def serve(self, codec: Codec[RequestT, Response | StreamedReply], request: RequestT, phase: int = BUSY) -> None:
        """Answer a request that has arrived whole, or whose items are taken meanwhile in another `phase`."""
        self.phase = phase
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
            told = shield(codec.operation, error)
            return written(codec.operation, told, lambda each: codec.failure(request, each))  # type: ignore[return-value]
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
        if self.hosted is not None:  # what has not arrived of its body is dropped
            self.answered(close=close)
            return
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
            self.unread = hosted is not None and not hosted.body.done
            self.linger()
        elif hosted is not None and not hosted.body.done:
            self.phase = BODY
            self.mark = self.listener.reaper.now
            self.intake = intake = Intake(self, hosted.request, hosted.body, None, MOST_DROPPED)
            self.read_on()
            intake.collect()
        else:
            self.rest()

    def refuse(self, status: int, detail: str) -> None:
        """Answer what is no sound request, and close."""
        self.unread = True
        hosted, self.hosted = self.hosted, None
        self.intake = None
        if hosted is not None:
            hosted.lost()
            if hosted.must_abort:
                self.transport.abort()
                return
        self.finish(refused(status, detail), close=True)

    def check(self, now: float) -> None:
        """Close when the peer took longer than its limit allows, at `now` of the reaper's clock."""
        if self.phase == LINGER:
            self.see_last_taken(now)
        phase, waited, listener = self.phase, now - self.mark, self.listener
        if self.taking is not None:
            self.taking.look(now)
            phase, waited = UNREAD, self.taking.slow(now, listener.limits.write_rate)
        elif self.hosted is not None:
            phase, waited = HOSTED_BODY, self.hosted.waited(now)
        found = overdue(phase, waited, listener.limits, draining=listener.draining)
        if found is None or (self.entrusted and phase in (UNREAD, HOSTED_BODY)):
            return
        if found.ending is Ending.RELEASE:
            self.let_go()
        elif found.ending is Ending.ABORT:
            self.transport.abort()
        elif self.intake is not None and self.intake.found is None:
            self.linger()
        else:
            self.refuse(408, found.reason)
