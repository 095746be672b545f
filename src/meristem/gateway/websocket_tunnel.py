"""Forwards a WebSocket: a handshake of our own to the upstream, then message for message in both directions."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from typing import TYPE_CHECKING, Any, Final

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, generate_accept_token

from meristem.gateway.answer import UnsoundAnswerError
from meristem.gateway.connection import SWITCHING, UpstreamLostError
from meristem.gateway.upstream import AwayError
from meristem.hosting.asgi.exchange import disclaim
from meristem.lifecycle import first_of
from meristem.resilience.limits import MIB

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Sequence

    from meristem.asgi import Receive, Scope, Send
    from meristem.gateway.answer import UpstreamAnswer
    from meristem.gateway.connection import UpstreamConnection
    from meristem.gateway.request_head import UpstreamHead
    from meristem.gateway.upstream import Upstream

logger = logging.getLogger(__name__)
AWAY: Final = 1012  # the code of a close for a service that restarts: a client may open it again
UNSOUND: Final = 1011  # for an upstream that breaks the protocol: 1002 would tell the client that it did
LONGEST: Final = 64 * MIB  # bytes of a message from an upstream
MOST_OF_REFUSAL: Final = 64 * 1024  # bytes of the body with which an upstream refuses


async def forward_websocket(
    upstream: Upstream, heads: UpstreamHead, scope: Scope, receive: Receive, send: Send
) -> None:
    """Open the WebSocket at the upstream, and answer as that does; then carry messages until either side closes."""
    await receive()  # websocket.connect
    try:
        taken = await upstream.take(repeatable=False, fresh=True)
    except AwayError as error:
        logger.warning("%s; the WebSocket %s is refused", error, scope["path"])
        await _refuse(scope, send, 503)
        return
    connection = taken.connection
    subprotocols = scope.get("subprotocols", ())
    key = base64.b64encode(os.urandom(16))
    try:
        connection.ask(heads.head(scope, _handshake(key, subprotocols)), "GET", upgrades=True)
        answered = await _unless_left(_answer(connection, key, subprotocols), receive)
        if answered is None:
            return
        answer, body = answered
        answer.fields = heads.returned(answer.fields)
        if answer.status != SWITCHING:
            await _refuse(scope, send, answer.status, answer, body)
        else:
            await _accept(answer, send)
            await Tunnel(connection).run(receive, send)
    except (UpstreamLostError, UnsoundAnswerError) as error:
        logger.warning("%s did not open the WebSocket %s: %s", upstream.name, scope["path"], error)
        await _refuse(scope, send, 502)
    finally:
        connection.end()
        taken.release()


def _handshake(key: bytes, subprotocols: Sequence[str]) -> list[bytes]:
    """The lines that ask for a WebSocket (RFC 6455, 4.1); extensions are between the client and the edge."""
    asked = [b"connection: upgrade", b"upgrade: websocket", b"sec-websocket-version: 13"]
    wanted = [b"sec-websocket-protocol: %b" % ", ".join(subprotocols).encode("latin-1")] if subprotocols else []
    return [*asked, b"sec-websocket-key: %b" % key, *wanted]


async def _unless_left(
    answering: Coroutine[Any, Any, tuple[UpstreamAnswer, bytes]], receive: Receive
) -> tuple[UpstreamAnswer, bytes] | None:
    """The answer; None when the client leaves before, for which an upstream that says nothing must not be held."""
    answered = asyncio.ensure_future(answering)
    left = asyncio.ensure_future(receive())  # before it is accepted nothing else can come
    await first_of(answered, left)
    return answered.result() if left.cancelled() else None


async def _answer(
    connection: UpstreamConnection, key: bytes, subprotocols: Sequence[str]
) -> tuple[UpstreamAnswer, bytes]:
    """The answer to the handshake and its body: what is no WebSocket must never be taken for an open tunnel."""
    answer = await connection.answer()
    if answer.status != SWITCHING:
        return answer, await _body(connection)
    if answer.head.get(b"sec-websocket-accept") != generate_accept_token(key):
        raise UnsoundAnswerError("it accepts another WebSocket than was asked for")
    chosen = answer.head.get(b"sec-websocket-protocol")
    if chosen is not None and chosen.decode("latin-1") not in subprotocols:
        raise UnsoundAnswerError("it chooses a subprotocol that nobody asked for")
    return answer, b""


async def _accept(answer: UpstreamAnswer, send: Send) -> None:
    dropped = (b"sec-websocket-accept", b"sec-websocket-protocol", b"sec-websocket-extensions", b"date")
    chosen = answer.head.get(b"sec-websocket-protocol")
    await send(
        {
            "type": "websocket.accept",
            "subprotocol": None if chosen is None else chosen.decode("latin-1"),
            "headers": [each for each in answer.fields if each[0] not in dropped],
        }
    )


async def _body(connection: UpstreamConnection) -> bytes:
    """The body of a refusal, or as much of it as is taken."""
    body, more = b"", True
    while more and len(body) < MOST_OF_REFUSAL:
        part, more = await connection.part()
        body += part
    return body


async def _refuse(
    scope: Scope, send: Send, status: int, answer: UpstreamAnswer | None = None, body: bytes = b""
) -> None:
    """Refuse the handshake as the upstream did, where the server can say that."""
    if answer is None:
        disclaim(scope)
    if "websocket.http.response" not in scope.get("extensions", {}):
        await send({"type": "websocket.close", "code": 1000})
        return
    fields = [] if answer is None else [each for each in answer.fields if each[0] != b"content-length"]
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "websocket.http.response.start", "status": status, "headers": [*fields, length]})
    await send({"type": "websocket.http.response.body", "body": body})


class Tunnel:
    """An open WebSocket: what the client sends goes to the upstream, and what that sends to the client."""

    def __init__(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        self._frames = Connection(ConnectionType.CLIENT)
        self._closed = CloseConnection(1005)

    async def run(self, receive: Receive, send: Send) -> None:
        """Carry messages until either side closes, of which the other is told."""
        ways = [asyncio.ensure_future(each) for each in (self._outward(receive), self._homeward(send))]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in ways:
                each.cancel()
            await asyncio.wait(ways)
        for each in done:
            each.result()

    async def _outward(self, receive: Receive) -> None:
        """To the upstream, as fast as that takes it."""
        while (message := await receive())["type"] != "websocket.disconnect":
            text, data = message.get("text"), message.get("bytes")
            self._send(TextMessage(text) if text is not None else BytesMessage(data or b""))
            await self._connection.writable()
        self._send(CloseConnection(_told(message.get("code", 1005), 1001), message.get("reason") or None))

    async def _homeward(self, send: Send) -> None:
        """To the client, as fast as that takes it."""
        try:
            async for kind, content in self._messages():
                await send({"type": "websocket.send", kind: content})
        except UpstreamLostError:
            self._closed = CloseConnection(AWAY)
        code, reason = _told(self._closed.code, 1000), self._closed.reason or ""
        await send({"type": "websocket.close", "code": code, "reason": reason})

    async def _messages(self) -> AsyncIterator[tuple[str, Any]]:
        """Whole messages until the upstream closes; raises UpstreamLostError."""
        parts: list[Any] = []
        size = 0
        while True:
            self._frames.receive_data(await self._connection.received())
            for event in self._frames.events():
                if isinstance(event, (TextMessage, BytesMessage)):
                    parts.append(event.data)
                    size += len(event.data)
                    if size > LONGEST:
                        self._closed = CloseConnection(1009, f"a message is longer than {LONGEST} bytes")
                        self._send(self._closed)
                        return
                    if event.message_finished:
                        whole = parts[0][:0].join(parts)
                        parts.clear()
                        size = 0
                        yield ("text" if isinstance(event, TextMessage) else "bytes"), whole
                elif isinstance(event, Ping):
                    self._send(event.response())
                    await self._connection.writable()  # who asks and does not read must not fill this process
                elif isinstance(event, CloseConnection):
                    self._close_by(event)
                    return

    def _close_by(self, event: CloseConnection) -> None:
        """Close as the upstream does, or because it has broken the protocol: the parser tells both by this event."""
        if self._frames.state is ConnectionState.OPEN:  # no close has come, nor was one sent
            logger.warning("the WebSocket of an upstream broke the protocol: %s", event.reason)
            self._closed = CloseConnection(UNSOUND, "the upstream speaks no sound WebSocket")
            self._send(event)
        else:
            self._closed = event
            self._send(event.response())

    def _send(self, event: Any) -> None:
        if self._frames.state is ConnectionState.OPEN or isinstance(event, CloseConnection):
            try:
                self._connection.write(self._frames.send(event))
            except LocalProtocolError:  # it has closed meanwhile
                logger.debug("a message came after the WebSocket was closed")


def _told(code: int, otherwise: int) -> int:
    """The code of a close that may be sent: two are only noted where none was told, or nothing came (RFC 6455, 7.4)."""
    return otherwise if code in (1005, 1006) else code
