"""WebSockets of hosted apps: uvicorn speaks the protocol on a connection whose handshake was framed here."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from uvicorn.config import Config
from uvicorn.server import ServerState

from meristem.transports.http.date import date_line
from meristem.transports.http.server.hosted import state_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.asgi import ASGIApp
    from meristem.resilience.limits import Limits
    from meristem.transports.http.request import Request
    from meristem.transports.http.server.turns import Turns

FRAMES: Final = 64  # that are handed on in one turn of the event loop
MOST_UNREAD: Final = 512 * 1024  # bytes for a client, beyond which it is given no answer to more pings
LONG: Final = {126: 2, 127: 8}  # bytes of a length that has no room in seven bits


class Lender(Protocol):
    """The connection that lends its transport."""

    @property
    def transport(self) -> asyncio.Transport: ...


class SocketHost:
    """The uvicorn configuration that every WebSocket of a listener shares."""

    def __init__(self, app: Any, limits: Limits, state: dict[str, Any], turns: Turns) -> None:
        self._config = Config(
            Turning(app, turns),
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            ws="wsproto",  # whatever else is installed
            ws_max_size=limits.body_bytes,
            # A client could have a thousand times as much unpacked as it sends, on the loop, before its size is known.
            ws_per_message_deflate=False,
        )
        self._config.load()
        self.state = ServerState()
        self._app_state = state
        # uvicorn tells of each handshake with its query, which may have a token in it; the access log has a line of it.
        self._logger = logging.getLogger(__name__)
        self._logger.setLevel(logging.WARNING)

    def open(self, lender: Lender, request: Request) -> Any:
        """uvicorn's protocol for one WebSocket, which has its handshake and awaits the bytes that follow."""
        make: Any = self._config.ws_protocol_class
        protocol = make(config=self._config, server_state=self.state, app_state=state_of(request, self._app_state))
        protocol.logger = self._logger
        lent = Lent(lender, request)
        protocol.connection_made(lent)
        target = request.path + (b"?" + request.query if request.query else b"")
        lines = [b"GET %b HTTP/1.1" % target, *(b"%b: %b" % field for field in request.fields)]
        protocol.data_received(b"\r\n".join([*lines, b"", b""]))
        return Socket(protocol, lent)


class Turning:
    """An app whose messages, those that it takes and those that it sends, let others run: uvicorn's may never wait."""

    def __init__(self, app: ASGIApp, turns: Turns) -> None:
        self._app = app
        self._turns = turns

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def received() -> Any:
            await self._turns.give_way()
            return await receive()

        async def sent(message: Any) -> None:
            await send(message)
            await self._turns.give_way()

        await self._app(scope, received, sent)


class Socket:
    """uvicorn's protocol, which gets no byte before the handshake is answered: it would fail (RFC 6455, 4.1).

    In one turn of the loop it gets a few frames only: a read holds forty thousand empty ones, which took two seconds.
    While its app does not take them it gets none, for it keeps each as an object of its own. Nor does it for a client
    that does not read: it answers each ping, whatever waits to be sent already.
    """

    def __init__(self, protocol: Any, lent: Lent) -> None:
        self._protocol = protocol
        self._lent = lent
        self._frames = Frames()
        self._due = False  # the next turn hands on
        lent.wanted = self._wanted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def data_received(self, data: bytes) -> None:
        """Hand the bytes on; a client that sends before it may is cut off."""
        if not self._lent.accepted:
            self._lent.abort()
            return
        self._frames.inbox += data
        if not self._due:
            self._hand_on()

    def _hand_on(self) -> None:
        lent, frames = self._lent, self._frames
        self._due = False
        if lent.is_closing() or lent.paused:
            return
        if lent.get_write_buffer_size() > MOST_UNREAD:
            lent.hold()  # until `resume_writing`
            return
        part = frames.take(FRAMES)
        if part:
            self._protocol.data_received(part)
        if lent.is_closing():
            return
        if frames.more:
            lent.hold()
            self._wanted()
        elif not lent.paused:
            lent.go_on()

    def resume_writing(self) -> None:
        """The client has read what was sent."""
        self._protocol.resume_writing()
        self._wanted()

    def _wanted(self) -> None:
        """Hand on in the next turn of the loop, if uvicorn wants more by then."""
        if not self._due and not self._lent.paused:
            self._due = True
            asyncio.get_running_loop().call_soon(self._hand_on)


class Frames:
    """What has arrived of a WebSocket, cut at the beginnings of frames (RFC 6455, 5.2); `more` when some are left."""

    def __init__(self) -> None:
        self.inbox = bytearray()
        self.more = False
        self._left = 0  # bytes of the payload that is under way

    def take(self, most: int) -> bytes:
        """Cut out so many beginnings of frames and what is there of their payloads; half a beginning stays."""
        inbox, at, count = self.inbox, 0, 0
        while True:
            step = min(self._left, len(inbox) - at)
            at += step
            self._left -= step
            size = _beginning(inbox, at)
            if size == 0 or count == most:
                break
            self._left = _payload(inbox, at)
            at += size
            count += 1
        self.more = size > 0
        part = bytes(memoryview(inbox)[:at])
        del inbox[:at]
        return part


def _beginning(data: bytearray, at: int) -> int:
    """The size of a frame's beginning, 0 where it has not arrived whole."""
    if len(data) - at < 2:
        return 0
    second = data[at + 1]
    size = 2 + LONG.get(second & 127, 0) + (4 if second & 128 else 0)
    return size if len(data) - at >= size else 0


def _payload(data: bytearray, at: int) -> int:
    short = data[at + 1] & 127
    return int.from_bytes(data[at + 2 : at + 2 + LONG[short]], "big") if short in LONG else short


def _dated(answer: bytes) -> bytes:
    """The answer to a handshake with a date, if its app gives none."""
    if b"\r\ndate:" in answer[: answer.find(b"\r\n\r\n")].lower():
        return answer
    first, end, rest = answer.partition(b"\r\n")
    return first + end + date_line() + rest


class Lent:
    """The transport as uvicorn sees it; `accepted` when it has answered that the WebSocket is open."""

    def __init__(self, lender: Lender, request: Request) -> None:
        self._lender = lender
        self._request = request
        self.accepted = self._answered = False
        self.paused = False  # uvicorn wants no more for now
        self.wanted: Callable[[], None]  # set by who hands on what has arrived

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lender.transport, name)

    def write(self, data: bytes) -> None:
        """Write, unless the client has gone: uvloop would raise, and nobody is to blame."""
        if not self._answered:
            self._answered = True
            self.accepted = data.startswith(b"HTTP/1.1 101")
            if (status := data[len(b"HTTP/1.1 ") :][:3]).isdigit():
                self._request.count(int(status))
            data = _dated(data)
        if not self._lender.transport.is_closing():
            self._lender.transport.write(data)

    def pause_reading(self) -> None:
        """Read no further until uvicorn wants more."""
        self.paused = True
        self.hold()

    def resume_reading(self) -> None:
        """Hand on what has arrived, then read further."""
        self.paused = False
        self.wanted()

    def hold(self) -> None:
        """Read no further for now."""
        if not self.is_closing():
            self._lender.transport.pause_reading()

    def go_on(self) -> None:
        """Read further."""
        transport = self._lender.transport
        if not transport.is_closing() and not transport.is_reading():
            transport.resume_reading()
