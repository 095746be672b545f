"""A connection of outsiders, each of whose answers is told, refusals included; apps tell of theirs themselves."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

from meristem.transports.http.server.client_address import client_address
from meristem.transports.http.server.forwarding_connection import ForwardingConnection
from meristem.transports.http.server.head import UnsoundError
from meristem.transports.http.server.phases import BUSY, IDLE

if TYPE_CHECKING:
    from meristem.context import Context
    from meristem.transports.http.request import Request, StreamedReply
    from meristem.transports.http.responses import Response
    from meristem.transports.http.server.listener import Listener
    from meristem.transports.unary import Codec, RequestT

CLIENT_LEFT: Final = 499


class AnsweredRequest(NamedTuple):
    """A request and its answer; `method` and `path` are empty for what is no sound request.

    `path` is as it was sent, without its query, which may hold what is secret. `client` is the address of who sent it,
    as the trusted proxies tell it. `status` is 499 for a client that has left before its answer. `context` is that of
    its call, if it came so far. Where a policy decides who may come in, `route` is that of its table, and `refused` by
    what and why it said no.
    """

    method: str
    path: str
    client: str
    status: int
    seconds: float
    context: Context | None
    route: str = ""
    refused: str = ""


OnAnswer: TypeAlias = Callable[[AnsweredRequest], None]


class ToldConnection(ForwardingConnection):
    """One connection of a server for outsiders; `on_answer` is told when an answer is out."""

    __slots__ = ("_asked", "_began", "_on_answer")

    learns_heads = False  # a head that is recognized without its request could not be told of

    def __init__(self, listener: Listener, on_answer: OnAnswer) -> None:
        super().__init__(listener)
        self._on_answer = on_answer
        self._began = 0.0
        self._asked: Any = None  # what its codec makes of the request that is answered

    def recognizes(self, data: bytes) -> bool:
        self._began = perf_counter()
        return super().recognizes(data)

    def begin(self) -> None:
        if self.phase == IDLE:  # else more of a head has come
            self._began = perf_counter()
        super().begin()

    def serve(self, codec: Codec[RequestT, Response | StreamedReply], request: RequestT, phase: int = BUSY) -> None:
        self._asked = request
        super().serve(codec, request, phase)

    def finish(self, response: Response, *, close: bool = False) -> None:
        # Before: the next request may wait behind this one, and begins at once.
        self._tell(self.request, self._asked, self._began, response.status)
        super().finish(response, close=close)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.task is not None:
            self._tell(self.request, self._asked, self._began, CLIENT_LEFT)
        super().connection_lost(exc)

    async def _stream(
        self, codec: Codec[RequestT, Response | StreamedReply], request: RequestT, replies: StreamedReply
    ) -> Response | None:
        head, began = self.request, self._began  # those of the next request by the time that this is out
        failure = await super()._stream(codec, request, replies)
        if failure is None:
            self._tell(head, request, began, 200)
        return failure

    def _tell(self, request: Request | None, asked: Any, began: float, status: int) -> None:
        method, path = ("", b"") if request is None else (request.method, request.path)
        route, refused = ("", "") if request is None else (request.route, request.refused)
        seconds, context = perf_counter() - began, getattr(asked, "context", None)
        found = AnsweredRequest(
            method, path.decode("latin-1"), self._client(request), status, seconds, context, route, refused
        )
        self._asked = None
        self._on_answer(found)

    def _client(self, request: Request | None) -> str:
        try:
            return client_address(request, self.transport, self.listener.proxies)
        except UnsoundError:  # told in two ways; where the address matters the request is refused for it
            return client_address(None, self.transport, self.listener.proxies)
