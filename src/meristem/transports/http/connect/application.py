"""The Connect protocol as an ASGI app: streams, GET, and the unary requests that the fast path leaves aside."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from meristem.contracts.operation import Semantics
from meristem.errors import CallError, Code
from meristem.transports.authorize import Authorizer
from meristem.transports.http.asgi_io import ClientGoneError, Exchange
from meristem.transports.http.connect.streaming import StreamCodec
from meristem.transports.http.errors import too_large
from meristem.transports.http.responses import Response
from meristem.transports.unary import answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from meristem.asgi import ASGIApp, Receive, Scope, Send
    from meristem.resilience.limits import Limits
    from meristem.transports.authorize import Authenticate, Verify
    from meristem.transports.http.connect.codec import Route
    from meristem.transports.http.connect.streaming import Envelopes
    from meristem.transports.unary import Codec

UNARY_MEDIA: Final = (b"application/json", b"application/proto")
STREAM_MEDIA: Final = (b"application/connect+json", b"application/connect+proto")
CLOSING: Final = (b"connection", b"close")
MOST_PARAMETERS: Final = 100  # the protocol has five


class ConnectApp:
    """Answers the operations of `routes`; every other request goes to `app`."""

    def __init__(
        self,
        routes: Mapping[bytes, Route],
        app: ASGIApp,
        *,
        verify: Verify | None,
        authenticate: Authenticate | None,
        limits: Limits,
    ) -> None:
        self._routes = routes
        self._app = app
        self._limits = limits
        self._inside = Authorizer(verify, authenticate, trusted=True)
        self._outside = Authorizer(verify, authenticate, trusted=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI 3."""
        route = self._routes.get(scope["path"].encode()) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send)
        try:
            await self._answer(exchange, route)
        except ClientGoneError:
            return

    async def _answer(self, exchange: Exchange, route: Route) -> None:
        if (refusal := refusal_of(route, exchange)) is not None:
            await exchange.respond(refusal)
            return
        limit = self._limits.body_bytes
        wrong: CallError | None = None
        try:
            body = from_query(exchange) if exchange.method == "GET" else await exchange.body(limit)
            if body is None:
                wrong = too_large(limit)
        except CallError as error:
            body, wrong = b"", error
        codec, request = self._received(exchange, route, body or b"")
        if wrong is not None:
            # of a body that is too large nobody reads the rest, so no further request can be told from it
            await exchange.respond(codec.failure(request, wrong), *([CLOSING] if body is None else []))
            return
        public = exchange.scope.get("state", {}).get("public", True)
        answered = answer(codec, request, self._outside if public else self._inside)
        if isinstance(codec, StreamCodec):
            await exchange.attended(send_stream(exchange, codec.media, answered))
        else:
            await exchange.respond(await exchange.attended(answered))

    def _received(self, exchange: Exchange, route: Route, body: bytes) -> tuple[Codec[Any, Any], Any]:
        codec, request = route.received(exchange.head, body)
        if not route.operation.stream:
            return codec, request
        encoding = exchange.head.get(b"connect-content-encoding", b"identity")
        limit, own = self._limits.body_bytes, codec is route.own
        return StreamCodec(codec, media=media_of(exchange), encoding=encoding, limit=limit, own=own), request


async def send_stream(exchange: Exchange, media: bytes, answered: Awaitable[Response | Envelopes]) -> None:
    """Send the head, which says nothing of the outcome, then the replies, or the error that stands for all of them."""
    await exchange.start(200, media)
    response = await answered
    if isinstance(response, Response):
        await exchange.write(response.body, more=False)
    else:
        await response.send(exchange)


def media_of(exchange: Exchange) -> bytes:
    """The media type of a request, without parameters."""
    return exchange.head.get(b"content-type", b"").partition(b";")[0].strip()


def refusal_of(route: Route, exchange: Exchange) -> Response | None:
    """The answer to a request that is none of the protocol's; None for a sound one."""
    operation = route.operation
    gettable = operation.semantics is Semantics.SAFE and not operation.stream
    if exchange.method == "GET" and gettable:
        return None
    if exchange.method != "POST":
        return Response(405, b"", b"", [(b"allow", b"GET, POST" if gettable else b"POST")])
    media = media_of(exchange)
    accepted = STREAM_MEDIA if operation.stream else UNARY_MEDIA
    if media not in accepted or (media.endswith(b"proto") and not route.other.speaks_proto):
        return Response(415, b"", b"", [(b"accept-post", b", ".join(accepted))])
    return None


def from_query(exchange: Exchange) -> bytes:
    """The message of a GET, whose head then says what its query says (Connect protocol, "Unary-Get-Request").

    Raises CallError `invalid_argument` for one that is no base64, and for a query of many parameters.
    """
    text: str = exchange.scope["query_string"].decode("latin-1")
    try:
        query = dict(parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=MOST_PARAMETERS))
    except ValueError as error:
        raise CallError(Code.INVALID_ARGUMENT, f"the query: {error}", may_have_happened=False) from None
    exchange.head[b"content-type"] = b"application/" + query.get("encoding", "json").encode("utf-8", "replace")
    exchange.head[b"content-encoding"] = query.get("compression", "identity").encode("utf-8", "replace")
    message: str = query.get("message", "")
    if query.get("base64") != "1":
        return message.encode("utf-8", "surrogateescape")
    try:
        return base64.urlsafe_b64decode(message.rstrip("=") + "=" * (-len(message.rstrip("=")) % 4))
    except (binascii.Error, ValueError):
        raise CallError(Code.INVALID_ARGUMENT, "`message` is no base64", may_have_happened=False) from None
