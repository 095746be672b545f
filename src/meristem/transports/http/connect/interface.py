"""The Connect protocol: which operation stands at a path, and what of a request to it is none of the protocol's."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final, TypedDict
from urllib.parse import parse_qsl

from meristem.contracts.operation import Semantics
from meristem.errors import CallError, Code
from meristem.transports.http.connect.codec import (
    TIMEOUT,
    ConnectCodec,
    ConnectRequest,
    OwnCodec,
    OwnRequest,
    is_own,
    is_timeout,
)
from meristem.transports.http.connect.framing import EnvelopeReader
from meristem.transports.http.connect.item_stream import ItemStreamCodec
from meristem.transports.http.connect.streaming import StreamCodec
from meristem.transports.http.errors import RefusedError
from meristem.transports.http.media import media_of
from meristem.transports.http.responses import JSON, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.contracts.call import ServedOperation
    from meristem.contracts.operation import Operation
    from meristem.resilience.limits import Limits
    from meristem.transports.http.connect.codec import Binary, MessageCodec
    from meristem.transports.http.request import PieceSource, Request, StreamedReply
    from meristem.transports.unary import Codec

UNARY_MEDIA: Final = (JSON, b"application/proto")
MOST_PARAMETERS: Final = 100  # the protocol has five
STREAM_MEDIA: Final = (b"application/connect+json", b"application/connect+proto")


class EnvelopeForm(TypedDict):
    """What `StreamCodec` is told of a request."""

    media: bytes
    encoding: bytes
    limit: int
    own: bool


class Route:
    """An operation at its path, with a codec for either kind of client."""

    __slots__ = ("_gettable", "_limit", "_media", "operation", "other", "own")

    takes_body = True
    asks_client = False

    def __init__(
        self,
        endpoint: ServedOperation,
        limits: Limits,
        *,
        binary: Callable[[], Binary] | None = None,
    ) -> None:
        self.operation: Operation = endpoint.operation
        self.own = OwnCodec(endpoint, limits.body_values)
        self.other = ConnectCodec(endpoint, limits, binary)
        self._limit = limits.body_bytes
        self._gettable = self.operation.semantics is Semantics.SAFE and not self.operation.lasts
        self._media: tuple[bytes, ...] = STREAM_MEDIA if self.operation.lasts else UNARY_MEDIA
        if not self.other.speaks_proto:
            self._media = self._media[:1]

    def is_plain(self, request: Request) -> bool:
        """Whether a request is a unary call in JSON."""
        return request.method == "POST" and request.head.get(b"content-type") == JSON and not self.operation.lasts

    def refusal(self, request: Request) -> Response | None:
        """The answer to a request that is none of the protocol's; None for a sound one."""
        if request.method == "POST":
            if request.head.get(b"content-type") == self._media[0] or media_of(request.head) in self._media:
                return None
            # `accept-post` names the known ones, as connect-go does it.
            return Response(415, b"", b"", [(b"accept-post", b", ".join(self._media))])
        if request.method == "GET" and self._gettable:
            return None
        return Response(405, b"", b"", [(b"allow", b"GET, POST" if self._gettable else b"POST")])

    def received(self, request: Request, body: bytes) -> tuple[Codec[Any, Any], Any]:
        """The codec for the client that sent a request, and what it reads."""
        if request.method == "GET":
            asked = _from_query(request)
            asked.user = request.user
            if asked.wrong is None and asked.media not in self._media:
                asked.wrong = RefusedError(Code.INVALID_ARGUMENT, 415, f"`encoding` is one of {self._encodings}")
            return self.other, asked
        codec, found = self._for(request, body)
        if not self.operation.stream:
            return codec, found
        return StreamCodec(codec, **self._envelopes(request, codec)), found

    @property
    def takes_stream(self) -> bool:
        """Whether the items of a request are taken one by one while it is answered."""
        return self.operation.takes_stream

    def reader(self) -> EnvelopeReader:
        """What cuts the body of a request into envelopes."""
        return EnvelopeReader(self._limit)

    def streamed(
        self, request: Request, source: PieceSource[tuple[int, bytes]], *, inside: bool
    ) -> tuple[Codec[Any, StreamedReply], Any]:
        """As `received`, for a request whose items come from `source`.

        `inside` says that a client without a token is of the system, too.
        """
        codec, found = self._for(request, b"")
        return ItemStreamCodec(codec, **self._envelopes(request, codec), source=source, inside=inside), found

    @property
    def _encodings(self) -> str:
        return ", ".join(each.rpartition(b"/")[2].decode() for each in self._media)

    def _envelopes(self, request: Request, codec: MessageCodec[Any]) -> EnvelopeForm:
        """What a request says of the envelopes in it."""
        encoding = request.head.get(b"connect-content-encoding", b"identity").lower()
        return {
            "media": media_of(request.head),
            "encoding": encoding,
            "limit": self._limit,
            "own": codec is self.own,
        }

    def _for(self, request: Request, body: bytes) -> tuple[MessageCodec[Any], OwnRequest | ConnectRequest]:
        """One that says it is Meristem's own client and does not write like it is answered as any other."""
        head, user = request.head, request.user
        if is_own(head) and is_timeout(head.get(TIMEOUT, b"0")):
            return self.own, OwnRequest.of(head, body, user)
        return self.other, ConnectRequest.of(head, body, user=user)


class ConnectInterface:
    """The operations of `routes` by their paths."""

    def __init__(self, routes: Mapping[bytes, Route]) -> None:
        self._routes = routes

    def find(self, request: Request) -> Route | Response | None:
        """The operation that a request calls, or why it can't; None for another path."""
        route = self._routes.get(request.path)
        return None if route is None else route.refusal(request) or route


def _from_query(request: Request) -> ConnectRequest:
    """The message of a GET, whose head then says what its query says (Connect protocol, "Unary-Get-Request")."""
    head, text = dict(request.head), request.query.decode("latin-1")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MOST_PARAMETERS)
    except ValueError as error:
        return ConnectRequest.of(head, b"", _unreadable(f"the query: {error}"))
    query = dict(pairs)
    if len(query) != len(pairs):
        return ConnectRequest.of(head, b"", _unreadable("the query: a parameter is given more than once"))
    if query.get("connect") == "v1":
        head[b"connect-protocol-version"] = b"1"
    head[b"content-type"] = b"application/" + query.get("encoding", "json").encode("utf-8", "replace")
    head[b"content-encoding"] = query.get("compression", "identity").encode("utf-8", "replace")
    message: str = query.get("message", "")
    if query.get("base64") != "1":
        # Bytes that are no UTF-8 go through as they were sent; the reader of the message refuses them.
        return ConnectRequest.of(head, message.encode("utf-8", "surrogateescape"))
    try:
        body = base64.urlsafe_b64decode(message.rstrip("=") + "=" * (-len(message.rstrip("=")) % 4))
    except (binascii.Error, ValueError):
        return ConnectRequest.of(head, b"", _unreadable("`message` is no base64"))
    return ConnectRequest.of(head, body)


def _unreadable(message: str) -> CallError:
    return CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)
