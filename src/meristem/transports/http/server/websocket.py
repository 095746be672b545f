"""WebSockets of hosted apps: uvicorn speaks the protocol on a connection whose handshake was framed here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from uvicorn.config import Config
from uvicorn.server import ServerState

if TYPE_CHECKING:
    import asyncio

    from meristem.resilience.limits import Limits
    from meristem.transports.http.request import Request


class Lender(Protocol):
    """The connection that lends its transport."""

    @property
    def transport(self) -> asyncio.Transport: ...


class SocketHost:
    """The uvicorn configuration that every WebSocket of a listener shares."""

    def __init__(self, app: Any, limits: Limits, state: dict[str, Any]) -> None:
        self._config = Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            ws_max_size=limits.body_bytes,
        )
        self._config.load()
        self.state = ServerState()
        self._app_state = state

    def open(self, lender: Lender, request: Request) -> Any:
        """uvicorn's protocol for one WebSocket, which has its handshake and awaits the bytes that follow."""
        make: Any = self._config.ws_protocol_class
        protocol = make(config=self._config, server_state=self.state, app_state=self._app_state)
        lent = Lent(lender)
        protocol.connection_made(lent)
        target = request.path + (b"?" + request.query if request.query else b"")
        lines = [b"GET %b HTTP/1.1" % target, *(b"%b: %b" % field for field in request.fields)]
        protocol.data_received(b"\r\n".join([*lines, b"", b""]))
        return Socket(protocol, lent)


class Socket:
    """uvicorn's protocol, which gets no byte before the handshake is answered: it would fail (RFC 6455, 4.1)."""

    def __init__(self, protocol: Any, lent: Lent) -> None:
        self._protocol = protocol
        self._lent = lent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._protocol, name)

    def data_received(self, data: bytes) -> None:
        """Hand the bytes on; a client that sends before it may is cut off."""
        if self._lent.accepted:
            self._protocol.data_received(data)
        else:
            self._lent.abort()


class Lent:
    """The transport as uvicorn sees it; `accepted` when it has answered that the WebSocket is open."""

    def __init__(self, lender: Lender) -> None:
        self._lender = lender
        self.accepted = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lender.transport, name)

    def write(self, data: bytes) -> None:
        """Write, unless the client has gone: uvloop would raise, and nobody is to blame."""
        if not self.accepted:
            self.accepted = data.startswith(b"HTTP/1.1 101")
        if not self._lender.transport.is_closing():
            self._lender.transport.write(data)
