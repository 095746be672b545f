"""A request that an ASGI app answers: its scope, what it receives, what it sends (ASGI 3.0, HTTP 2.3)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import unquote

from meristem.asgi import BrokenOffError
from meristem.security.forwarding import GATEWAY_ROUTE
from meristem.security.identity_fields import STATE as USER
from meristem.transports.http.server.head import CONTINUE, expects_continue
from meristem.transports.http.server.pace import Pace
from meristem.transports.http.server.response_writer import Answered, ResponseWriter

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from meristem.asgi import ASGIApp, Scope
    from meristem.resilience.limits import Limits
    from meristem.transports.http.request import Request
    from meristem.transports.http.server.body import IncomingBody
    from meristem.transports.http.server.reaper import Reaper

logger = logging.getLogger(__name__)
GRACE: Final = 0.1  # seconds
MOST_UNREAD: Final = 64 * 1024  # of a body wait for the app; then the connection is read no further
FAILED: Final = (500, ((b"content-type", b"text/plain; charset=utf-8"),), b"Internal Server Error")


class DisconnectedError(ConnectionError):
    """An app sends a part that is not its last to a client that has left.

    ASGI asks for it from HTTP 2.4 on. That version is not promised: Starlette takes it for a reason not to listen for
    the disconnect, and a stream that has nothing to send would never end.
    """


class Owner(Answered, Protocol):
    """The connection of a hosted request."""

    held: bool

    @property
    def inbox(self) -> bytearray: ...

    def bound(self) -> None:
        """Read no further if much has arrived of what comes after."""
        ...

    def read_on(self) -> None:
        """Read further unless much has arrived of what comes after."""
        ...


class HostedRequest:
    """One request and the app's answer to it; the app goes on when its client has gone, but is told."""

    __slots__ = (
        "_connection", "_cut_short", "_expects", "_gone", "_handed", "_held", "_limits", "_news", "_pace", "_reaper",
        "_scope", "_unread", "body", "request", "writer",
    )  # fmt: skip

    def __init__(
        self, connection: Owner, request: Request, body: IncomingBody, scope: Scope, limits: Limits, reaper: Reaper
    ) -> None:
        self.writer = ResponseWriter(connection, request)
        self.request = request
        self.body = body
        self._connection = connection
        self._scope = scope
        self._limits = limits
        self._reaper = reaper
        self._unread = bytearray()
        self._pace = Pace(reaper.now)
        self._held: float | None = None  # since when the app holds the client up
        self._handed = False  # the app has all of the body
        self._gone = self._cut_short = False  # the app was told that the rest of the body does not come
        self._news = asyncio.Event()
        self._expects = expects_continue(request)

    def feed(self) -> None:
        """Take what has arrived of the body; raises UnsoundError."""
        connection, body = self._connection, self.body
        if body.done:
            connection.bound()
            return
        part = body.take(connection.inbox)
        now = self._reaper.now
        self._pace.move(len(part), now)
        if part:
            self._expects = False
            self._unread += part
            if len(self._unread) > MOST_UNREAD and not body.done:
                self._held, connection.held = now, True
                connection.transport.pause_reading()
        if body.done:
            connection.bound()
        self._news.set()

    @property
    def must_abort(self) -> bool:
        """Whether the answer has begun, a part of which must not be taken for the whole."""
        return self.writer.started

    def waited(self, now: float) -> float:
        """For how long the client has been slow with the body: without a byte, or below the least rate."""
        if self.body.done or self._held is not None:
            return 0.0
        return self._pace.slow(now, self._limits.body_rate)

    def lost(self) -> None:
        """The client has gone, or gets no more answer."""
        self._gone = self.writer.dropped = True
        self.wake_up()

    def wake_up(self) -> None:
        """Something has changed that the app may wait for."""
        self._news.set()

    async def run(self, app: ASGIApp) -> None:
        """Let the app answer; one that fails is logged, and its client told as far as that is possible."""
        writer, label = self.writer, self.request.path.decode("latin-1")
        try:
            await app(self._scope, self._receive, self._send)
        except DisconnectedError:
            logger.debug("the app at %s ended, for its client had left", label)
        except BrokenOffError as error:
            logger.debug("the answer at %s broke off: %s", label, error)
        except Exception as error:
            if self._gone and (self._cut_short or _told_of_leaving(error)):  # many raise an error of their own for it
                logger.info("the app at %s ended, for its client had left: %r", label, error)
            else:
                logger.exception("the app at %s failed", label)
        else:
            if writer.complete or self._gone:
                return
            logger.error("the app at %s returned without completing its response", label)
        if self._gone or writer.complete:
            return
        if writer.started:
            self._connection.transport.abort()  # the client must not take a part for the whole
        else:
            status, fields, body = FAILED
            writer.begin(status, fields)
            await writer.write(body, more=False)

    async def _receive(self) -> dict[str, Any]:
        if not self.body.done and not self._unread and not self._gone:
            self._want()
        while not self._ready():
            self._news.clear()
            await self._news.wait()
        if self._gone or self.writer.complete:
            self._cut_short = not self.body.done
            await self._connection.turns.give_way()  # it may ask again and again
            return {"type": "http.disconnect"}
        body = bytes(self._unread)
        self._unread.clear()
        self._handed = self.body.done
        return {"type": "http.request", "body": body, "more_body": not self._handed}

    def _want(self) -> None:
        """Have the client send."""
        if self._expects and not self.writer.started:
            self._expects = False
            self._connection.transport.write(CONTINUE)
        if self._held is not None:
            self._pace.excuse(self._held, self._reaper.now)
            self._held, self._connection.held = None, False
            self._connection.read_on()

    def _ready(self) -> bool:
        if self._gone or self.writer.complete or self._unread:
            return True
        return self.body.done and not self._handed

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        writer, kind = self.writer, message["type"]
        if self._gone:
            if message.get("more_body"):
                await asyncio.sleep(GRACE)  # who listens for the disconnect ends by that, and cleans up as it means to
                raise DisconnectedError("the client has left; nobody reads the rest of this answer")
            return
        if kind == "http.response.start" and not writer.started:
            writer.begin(message["status"], message.get("headers", ()))
            asyncio.get_running_loop().call_soon(writer.flush)  # alone, if no body comes in this turn of the loop
        elif kind == "http.response.body" and writer.started and not writer.complete:
            await writer.write(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"the app sends {kind!r} out of turn")


def _told_of_leaving(error: BaseException | None) -> bool:
    """Whether an app raised an error because it was told that its client had left."""
    while error is not None:
        if isinstance(error, DisconnectedError):
            return True
        if isinstance(error, BaseExceptionGroup):
            return any(map(_told_of_leaving, error.exceptions))
        error = error.__cause__ or error.__context__
    return False


def state_of(request: Request, state: dict[str, Any]) -> dict[str, Any]:
    """What the scope of a request has as its state: who sends it and on which route, too, where that is known."""
    found = state.copy()
    if request.user is not None:
        found[USER] = request.user
    if request.route:
        found[GATEWAY_ROUTE] = request.route
    return found


def scope_of(request: Request, transport: asyncio.Transport, state: dict[str, Any]) -> Scope:
    """The scope of a request by the ASGI specification, "HTTP Connection Scope"."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.version,
        "server": _end(transport, "sockname"),
        "client": _end(transport, "peername"),
        "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
        "method": request.method,
        "root_path": "",
        "path": unquote(request.path.decode("latin-1")),
        "raw_path": request.path,
        "query_string": request.query,
        "headers": request.fields,
        "state": state_of(request, state),
    }


def _end(transport: asyncio.Transport, name: str) -> tuple[str, int | None] | None:
    """One end of a connection: host and port, or the path of a Unix socket, whose client has none."""
    found = transport.get_extra_info(name)
    if isinstance(found, tuple):
        return str(found[0]), int(found[1])
    return (found, None) if found and isinstance(found, str) else None
