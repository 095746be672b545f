"""Where operators read: a Unix socket of the system, and TCP where that is wanted."""

from __future__ import annotations

import ipaddress
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from meristem.asgi import respond
from meristem.errors import ConfigurationError
from meristem.operators.application import OperatorApp
from meristem.resilience.limits import Limits
from meristem.transports.http.address import Address
from meristem.transports.http.server.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from meristem.asgi import ASGIApp
    from meristem.operators.health import Overview

HOST: Final = "127.0.0.1"
PORT: Final = 8001
SOCKET: Final = "operator.sock"  # in the folder of the system's sockets
HOST_FIELD: Final = re.compile(r"(?:\[([^]]+)\]|([^:\[\]]+))(?::\d*)?")  # RFC 9110, section 7.2
LIMITS: Final = Limits(body_bytes=1024, connections=256)


class OperatorAddresses(NamedTuple):
    """Where to listen: at `demanded` addresses without fail, and where `preferred` at 127.0.0.1:8001, if that goes.

    It does not go either where 8001 is one of the `others`, which the system needs for something else.
    """

    demanded: tuple[str, ...] = ()
    preferred: bool = False
    others: frozenset[int] = frozenset()

    @classmethod
    def of(cls, listen: Sequence[str] | None, host: str, others: Iterable[int] = ()) -> OperatorAddresses:
        """What a placement says, or else what becomes a system that serves the public at `host`."""
        if listen is not None:
            return cls(tuple(listen))
        return cls(preferred=is_loopback(host), others=frozenset(others))

    def and_socket(self, run: Path) -> OperatorAddresses:
        """The same, and the socket in the system's own folder, where there are such sockets."""
        if not hasattr(socket, "AF_UNIX"):  # Windows
            return self
        return self._replace(demanded=(f"unix:{run / SOCKET}", *self.demanded))


class OperatorServer:
    """A component that serves an overview at the operators' addresses, apart from what it tells of.

    It has connections of its own: operators get in when the public has used up theirs.
    """

    def __init__(self, overview: Overview, wanted: OperatorAddresses) -> None:
        self.remark = ""
        self._wanted = wanted
        self._guarded: set[int] = set()
        self._server = HttpServer({}, HostGuard(OperatorApp(overview), self._guarded), limits=LIMITS)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it listens: `http://127.0.0.1:8001`, `unix:/…/operator.sock`."""
        return tuple(each.replace("tcp://", "http://") for each in self._server.addresses)

    @property
    def address(self) -> str | None:
        """The one to show to people: of TCP, where there is one."""
        addresses = self.addresses
        return next((each for each in addresses if each.startswith("http:")), next(iter(addresses), None))

    async def start(self) -> None:
        """Listen; raises ConfigurationError when a demanded address cannot be had."""
        for address in self._wanted.demanded:
            await self._listen(address)
        if self._wanted.preferred:
            await self._listen_where_possible()

    async def drain(self) -> None:
        """Operators may read to the end."""

    async def stop(self) -> None:
        await self._server.stop()

    async def _listen(self, address: str) -> None:
        await self._server.start(address, public=True)
        if is_loopback(Address.parse(address).host):
            self._guarded.add(Address.parse(self._server.addresses[-1]).port)

    async def _listen_where_possible(self) -> None:
        """At 8001, else at a free port: another system that runs here must not keep this one from running."""
        if await self._could_listen(PORT):
            return
        self.remark = f"port {PORT} is taken"
        # Not the next port: a third system's reader would take this one for it.
        if not await self._could_listen(0):
            self.remark += ", and so is every other one"

    async def _could_listen(self, port: int) -> bool:
        if port in self._wanted.others:
            return False
        try:
            await self._listen(f"tcp://{HOST}:{port}")
        except ConfigurationError:
            return False
        return True


class HostGuard:
    """Lets in only requests that name this machine, at ports that only this machine reaches.

    Else a page of a foreign site, whose name is made to lead to 127.0.0.1 after it was loaded, could read what its
    visitor's operators read (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, guarded: set[int]) -> None:
        self._app = app
        self._guarded = guarded

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # A Unix socket has no port, and no page of a browser reaches it.
        _, port = scope.get("server") or (None, None)
        if port in self._guarded and not _names_this_machine(scope["headers"]):
            if scope["type"] == "http":
                text = b"this address answers to localhost and 127.0.0.1 alone; listen at another one for other names\n"
                await respond(send, 403, b"text/plain; charset=utf-8", text, method=scope["method"])
            else:
                await send({"type": "websocket.close", "code": 1000})
            return
        await self._app(scope, receive, send)


def _names_this_machine(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    hosts = [value.decode("latin-1") for name, value in headers if name == b"host"]
    found = HOST_FIELD.fullmatch(hosts[0]) if len(hosts) == 1 else None
    return found is not None and is_loopback(found[1] or found[2])


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host: `localhost`, 127.0.0.0/8 and ::1."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
