"""The Connect protocol as an ASGI app: streams, GET, and the unary requests that the fast path leaves aside."""

from __future__ import annotations

import base64
import binascii
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl

from meristem.contracts.call import Call
from meristem.contracts.operation import Semantics
from meristem.errors import CallError, Code
from meristem.transports.http.connect.codec import OWN_AGENT, compressed, too_large
from meristem.transports.http.connect.errors import HTTP_STATUS, encode_wire_error, fields_of, shield, wire_error
from meristem.transports.http.connect.framing import COMPRESSED, END, EnvelopeReader, envelope
from meristem.transports.http.server.asgi_io import ClientGoneError, attended, fairly, received
from meristem.transports.metadata import context_from, signed_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.errors import Fault
    from meristem.resilience.limits import Limits
    from meristem.transports.http.connect.codec import Route
    from meristem.transports.metadata import Authenticate, Head, Verify

UNARY_MEDIA: Final = (b"application/json", b"application/proto")
STREAM_MEDIA: Final = (b"application/connect+json", b"application/connect+proto")


class ConnectApp:
    """Answers the operations of `routes`; every other request goes to `app`."""

    def __init__(
        self,
        routes: Mapping[bytes, Route],
        app: Any,
        *,
        verify: Verify | None,
        authenticate: Authenticate | None,
        limits: Limits,
    ) -> None:
        self._routes = routes
        self._app = app
        self._verify = verify
        self._authenticate = authenticate
        self._limits = limits

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI 3."""
        route = self._routes.get(scope["path"].encode()) if scope["type"] == "http" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        exchange = Exchange(route, scope, receive, send, self._limits)
        trusted = not scope.get("state", {}).get("public", True)
        if (refusal := exchange.refusal()) is not None:
            await refusal
        elif route.operation.stream:
            await self._stream(exchange, trusted=trusted)
        else:
            await self._unary(exchange, trusted=trusted)

    async def _unary(self, exchange: Exchange, *, trusted: bool) -> None:
        route, head = exchange.route, exchange.head
        try:
            call = await self._call(exchange, await exchange.body(), trusted=trusted)
            reply = await attended(exchange.receive, route.handler(call))
            media, out = route.written(head, reply)
        except ClientGoneError:
            return
        except Exception as error:  # a boundary: whatever fails is logged by `shield` and answered
            await exchange.fail(shield(route.operation, error))
        else:
            await exchange.reply(media, out)

    async def _stream(self, exchange: Exchange, *, trusted: bool) -> None:
        route, head = exchange.route, exchange.head
        await exchange.start(200, head[b"content-type"].partition(b";")[0])
        try:
            body = first_message(route, head, await exchange.body())
            call = await self._call(exchange, body, trusted=trusted)
            await attended(exchange.receive, _send_replies(exchange, call))
        except ClientGoneError:
            return
        except Exception as error:  # a boundary: whatever fails is logged by `shield` and answered
            failure = wire_error(route.operation, shield(route.operation, error), own=exchange.own)
            last = b'{"error":' + encode_wire_error(failure) + b"}"
        else:
            last = b"{}"
        await exchange.send({"type": "http.response.body", "body": envelope(last, END)})

    async def _call(self, exchange: Exchange, body: bytes, *, trusted: bool) -> Call:
        """The call of a request; who is no part of the system may be a user who shows a bearer token."""
        route, head = exchange.route, exchange.head
        caller = route.caller_of(head, self._verify, trusted=trusted)
        context = context_from(head, caller, head.get(b"connect-timeout-ms"))
        if caller is None:
            context.user = await signed_in(head, self._authenticate)
        return Call(route.operation, route.read(head, body), context)


async def _send_replies(exchange: Exchange, call: Call) -> None:
    route, head = exchange.route, exchange.head
    async with aclosing(fairly(await route.handler(call))) as replies:
        async for reply in replies:
            _, message = route.written(head, reply)
            await exchange.send({"type": "http.response.body", "body": envelope(message), "more_body": True})


def first_message(route: Route, head: Head, body: bytes) -> bytes:
    """The request of a server stream: the only envelope of its body."""
    try:
        envelopes = list(EnvelopeReader(route.body_limit).feed(body))
    except ValueError:
        raise too_large(route.body_limit) from None
    if len(envelopes) != 1:
        message = f"a server stream takes one enveloped message, not {len(envelopes)}"
        raise CallError(Code.INVALID_ARGUMENT, message, may_have_happened=False)
    flags, message_bytes = envelopes[0]
    encoding = head.get(b"connect-content-encoding", b"identity") if flags & COMPRESSED else b"identity"
    return route.decompressed({b"content-encoding": encoding}, message_bytes)


class Exchange:
    """One request of the ASGI app and the answer to it."""

    def __init__(self, route: Route, scope: Any, receive: Any, send: Any, limits: Limits) -> None:
        self.route = route
        self.head: Head = dict(scope["headers"])
        self.own = self.head.get(b"user-agent") == OWN_AGENT
        self.method: str = scope["method"]
        self.query: bytes = scope["query_string"]
        self.receive = receive
        self.send = send
        self._limits = limits
        self._unread = False  # the rest of the body: nobody wants it

    def refusal(self) -> Any:
        """The answer to a request that is none of the protocol's; None for a sound one."""
        operation = self.route.operation
        gettable = operation.semantics is Semantics.SAFE and not operation.stream
        if self.method == "GET" and gettable:
            return None
        if self.method != "POST":
            return self.answer(405, b"", b"", (b"allow", b"GET, POST" if gettable else b"POST"))
        media = self.head.get(b"content-type", b"").partition(b";")[0].strip()
        accepted = STREAM_MEDIA if operation.stream else UNARY_MEDIA
        if media not in accepted or (media.endswith(b"proto") and not self.route.speaks_proto):
            return self.answer(415, b"", b"", (b"accept-post", b", ".join(accepted)))
        return None

    async def body(self) -> bytes:
        """The request's message; a GET carries it in its query (Connect protocol, "Unary-Get-Request")."""
        if self.method == "GET":
            return self._from_query()
        body = await received(self.receive, self._limits.body_bytes)
        if body is None:
            self._unread = True
            raise too_large(self._limits.body_bytes)
        return body

    def _from_query(self) -> bytes:
        query = dict(parse_qsl(self.query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape"))
        self.head[b"content-type"] = b"application/" + query.get("encoding", "json").encode("utf-8", "replace")
        self.head[b"content-encoding"] = query.get("compression", "identity").encode("utf-8", "replace")
        message = query.get("message", "")
        if query.get("base64") != "1":
            return message.encode("utf-8", "surrogateescape")
        try:
            return base64.urlsafe_b64decode(message.rstrip("=") + "=" * (-len(message.rstrip("=")) % 4))
        except (binascii.Error, ValueError):
            raise CallError(Code.INVALID_ARGUMENT, "`message` is no base64", may_have_happened=False) from None

    async def reply(self, media: str, out: bytes) -> None:
        """Answer with a reply."""
        extra: list[tuple[bytes, bytes]] = []
        if (packed := compressed(self.head.get(b"accept-encoding", b""), out)) is not None:
            out, extra = packed, [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
        await self.answer(200, media.encode(), out, *extra)

    async def fail(self, error: Fault | CallError) -> None:
        """Answer with an error."""
        extra = fields_of(error)
        status = HTTP_STATUS[error.code]
        if self._unread:
            status, extra = 413, [(b"connection", b"close")]
        body = encode_wire_error(wire_error(self.route.operation, error, own=self.own))
        await self.answer(status, b"application/json", body, *extra)

    async def answer(self, status: int, media: bytes, body: bytes, *extra: tuple[bytes, bytes]) -> None:
        """Send a whole response."""
        headers = [(b"content-length", str(len(body)).encode()), *extra]
        await self.start(status, media, *headers)
        await self.send({"type": "http.response.body", "body": body})

    async def start(self, status: int, media: bytes, *extra: tuple[bytes, bytes]) -> None:
        """Send the head of a response."""
        headers = [(b"content-type", media), *extra] if media else list(extra)
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
