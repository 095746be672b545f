"""Hands a connection's bytes to uvicorn, which runs the ASGI app, and knows when a request is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from meristem.transports.http.server.phases import DELEGATED, HOSTED_BODY, HOSTED_HEAD, IDLE

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection

    from meristem.resilience.limits import Limits


class Owner(Protocol):
    """The connection that lends its transport."""

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def delegated(self) -> bool: ...


class PacedFlow(FlowControl):
    """Reads no further while requests wait for their turn, though the app that is at work asks for more."""

    def __init__(self, transport: Any, waiting: Collection[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class Paced(HttpToolsProtocol):
    """uvicorn's protocol, whose memory a client cannot fill by sending requests without end."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.flow = PacedFlow(transport, self.pipeline)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self.flow.resume_reading()


class AsgiHost:
    """The uvicorn configuration that every delegated connection of a listener shares."""

    def __init__(self, app: Any, limits: Limits, state: dict[str, Any], *, loop: asyncio.AbstractEventLoop) -> None:
        self._config = Config(
            app,
            http="httptools",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=max(1, round(limits.idle_seconds)),
            ws_max_size=limits.body_bytes,
        )
        self.state = ServerState()
        self._app_state = state
        self._loop = loop

    def protocol(self) -> Any:
        """uvicorn's protocol for one connection; it accepts whatever acts like a transport."""
        return Paced(self._config, self.state, self._app_state, self._loop)


class Delegate:
    """uvicorn's protocol behind one connection."""

    def __init__(self, owner: Owner, host: AsgiHost) -> None:
        self.upgraded = False
        self._owner = owner
        self._protocol: Any = host.protocol()  # uvicorn's, and after an upgrade the WebSocket's
        self._protocol.connection_made(Lent(owner, self))
        self.feed = self._protocol.data_received
        self.pause_writing = self._protocol.pause_writing
        self.resume_writing = self._protocol.resume_writing
        self.lost = self._protocol.connection_lost

    def upgrade(self, protocol: Any) -> None:
        """From now on the bytes belong to a WebSocket."""
        self.upgraded = True
        self._protocol = protocol
        self.feed = protocol.data_received
        self.pause_writing = protocol.pause_writing
        self.resume_writing = protocol.resume_writing
        self.lost = protocol.connection_lost

    @property
    def at_boundary(self) -> bool:
        """Whether every request was read and answered in full, so that the next byte begins a new one."""
        if self.upgraded:
            return False
        protocol, cycle = self._protocol, self._protocol.cycle
        if cycle is None or not cycle.response_complete or cycle.more_body or protocol.pipeline:
            return False
        return protocol.scope is cycle.scope  # uvicorn makes a new scope at the first byte of a request

    @property
    def phase(self) -> int:
        """What the connection is at: IDLE once the app has answered, else what the app waits for, if for anything."""
        if self.at_boundary:
            return IDLE
        if self.upgraded or not self._owner.transport.is_reading():  # held back by the app: the peer is not to blame
            return DELEGATED
        cycle = self._protocol.cycle
        if cycle is None or self._protocol.scope is not cycle.scope:
            return HOSTED_HEAD
        return HOSTED_BODY if cycle.more_body else DELEGATED

    def finish(self) -> None:
        """Answer what is under way and close."""
        self._protocol.shutdown()


class Lent:
    """The transport as uvicorn sees it: it may close the connection only while it is responsible for it."""

    def __init__(self, owner: Owner, delegate: Delegate) -> None:
        self._owner = owner
        self._delegate = delegate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._owner.transport, name)

    def write(self, data: bytes) -> None:
        """Write, unless the client has gone: uvloop would raise, and nobody is to blame."""
        if not self._owner.transport.is_closing():
            self._owner.transport.write(data)

    def close(self) -> None:
        """Close, unless it is uvicorn's idle timer that fires while other requests are served."""
        if self._owner.delegated:
            self._owner.transport.close()

    def set_protocol(self, protocol: Any) -> None:
        """Called for a WebSocket; the connection stays the transport's protocol and passes the bytes on."""
        self._delegate.upgrade(protocol)
