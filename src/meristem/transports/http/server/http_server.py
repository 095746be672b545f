"""The HTTP server of a process: RPC, REST and hosted apps on every address it listens on."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib
import os
import socket
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.descriptors import remedy
from meristem.errors import ConfigurationError
from meristem.resilience.limits import Limits
from meristem.transports.authorize import Authorizer
from meristem.transports.errors import has_protobuf
from meristem.transports.http.address import Address
from meristem.transports.http.connect.interface import ConnectInterface, Route
from meristem.transports.http.server.connection import ServerConnection
from meristem.transports.http.server.forwarding_connection import ForwardingConnection
from meristem.transports.http.server.listener import Factory, Listener
from meristem.transports.http.server.policed_connection import PolicedConnection
from meristem.transports.http.server.reaper import Reaper
from meristem.transports.http.server.told_connection import OnAnswer, ToldConnection
from meristem.transports.http.server.turns import Turns

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence

    from meristem.asgi import ASGIApp
    from meristem.contracts.call import ServedOperation
    from meristem.contracts.operation import Operation
    from meristem.transports.authorize import Authenticate, Verify
    from meristem.transports.http.connect.codec import Binary
    from meristem.transports.http.edge_policy import EdgePolicy
    from meristem.transports.http.fast_path import FastPath
    from meristem.transports.http.request import Interface
    from meristem.transports.http.server.listener import Accepted

BACKLOG: Final = 1024
BACKLOG_TURNS: Final = 10
HANDOVER_TURNS: Final = 3
HANDSHAKE: Final = 10.0  # seconds for a client to prove that it speaks TLS


class BoundListener(msgspec.Struct):
    """An address that is open."""

    address: Address
    listener: Listener
    server: asyncio.Server
    tls: ssl.SSLContext | None

    def hide(self) -> None:
        """Take the name of a Unix socket away, so that nobody connects to it any more."""
        if self.address.path:
            with contextlib.suppress(FileNotFoundError):
                Path(self.address.path).unlink()

    async def finish(self) -> None:
        """Accept no more, but take in who has connected: closing cuts them off, perhaps with a request on its way."""
        queues = [socket.socket(fileno=os.dup(each.fileno())) for each in self.server.sockets]
        await self.close()
        for _ in range(HANDOVER_TURNS):  # uvloop lets go of its own descriptor later
            await asyncio.sleep(0)
        await asyncio.gather(*(self._take(each) for queue in queues for each in _waiting(queue)))

    async def _take(self, late: socket.socket) -> None:
        with contextlib.suppress(OSError):  # it has gone again, or fails the handshake
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(self.listener.connection, late, ssl=self.tls)

    async def close(self) -> None:
        """Accept no more; what asyncio has accepted is handed over first, for it would lose that (gh-109564)."""
        self.hide()
        loop = asyncio.get_running_loop()
        for each in self.server.sockets:
            with contextlib.suppress(NotImplementedError):  # Windows' loop does not poll
                loop.remove_reader(each)
        for _ in range(HANDOVER_TURNS):
            await asyncio.sleep(0)
        self.server.close()


class Beside(msgspec.Struct):
    """What an address serves beside RPC: a path that no interface knows is the app's; within `limits` of its own."""

    interfaces: Sequence[Interface] = ()
    app: ASGIApp | None = None
    limits: Limits | None = None


class HttpServer:
    """Serves `routes` (path `/pkg.Service/Method` to endpoint) by the Connect protocol, then `interfaces`, then `app`.

    `verify` tells who stands behind a `meristem-token`, `authenticate` whose a bearer token from outside is. An
    operation without `http=` answers only callers with a valid token; without a `verify` it answers on addresses
    that are not public. Those have `internal` instead of `interfaces` and `app`, where that is given. At a public
    address `policy` decides who may come in, `guards` are asked before all others, what the app forwards may go the
    `fast` way, and `on_answer` is told of each answer, but not of those of `app`.
    """

    def __init__(
        self,
        routes: Mapping[str, ServedOperation],
        app: ASGIApp | None = None,
        *,
        interfaces: Sequence[Interface] = (),
        internal: Beside | None = None,
        guards: Sequence[Interface] = (),
        limits: Limits | None = None,
        verify: Verify | None = None,
        authenticate: Authenticate | None = None,
        on_answer: OnAnswer | None = None,
        policy: EdgePolicy | None = None,
        fast: FastPath | None = None,
    ) -> None:
        self.limits = limits or Limits()
        self._verify = verify
        self._authenticate = authenticate
        self._on_answer = on_answer
        self._policy = policy
        self._fast = fast
        connect = ConnectInterface(routes_of(routes, self.limits))
        self._public = Beside([*guards, connect, *interfaces], app)
        self._internal = (
            self._public if internal is None else Beside([connect, *internal.interfaces], internal.app, internal.limits)
        )
        self._reaper = Reaper(self.limits.tick())
        self._turns = Turns()
        # Counted apart: the public, which can use up all that it may have, keeps neither callers nor operators out.
        self._open: dict[bool, set[Accepted]] = {public: set() for public in (True, False)}
        self._listeners: list[BoundListener] = []

    async def start(
        self, address: str, *, public: bool = False, tls: ssl.SSLContext | None = None, shared: bool = False
    ) -> None:
        """Listen on one more address; port 0 takes a free one. Raises ConfigurationError when it is taken.

        One of TCP that is `shared` may be taken by processes of this user that say the same.
        """
        wanted = Address.parse(address)
        if wanted.secure and tls is None:
            raise ConfigurationError(f"cannot listen on {wanted}: it serves no TLS by itself; let a proxy do that")
        self._reaper.start()
        beside = self._public if public else self._internal
        factory: Factory = ForwardingConnection if public else ServerConnection
        if public and self._policy is not None:
            factory = partial(PolicedConnection, on_answer=self._on_answer, policy=self._policy)
        elif public and self._on_answer is not None:
            factory = partial(ToldConnection, on_answer=self._on_answer)
        listener = Listener(
            beside.interfaces,
            beside.app,
            factory=factory,
            limits=beside.limits or self.limits,
            authorizer=Authorizer(self._verify, self._authenticate, trusted=not public),
            reaper=self._reaper,
            turns=self._turns,
            beside=self._open[public],
            fast=self._fast if public else None,
        )
        try:
            self._listeners.append(await _listen(wanted, listener, tls, shared=shared))
        except OSError as error:
            what = remedy(error) or "; choose another address"
            raise ConfigurationError(f"cannot listen on {wanted}: {error}{what}") from error

    @property
    def addresses(self) -> list[str]:
        """Where the server listens, with the ports it was given."""
        return [str(bound.address) for bound in self._listeners]

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._reaper.connections)

    async def drain(self) -> None:
        """Answer what is in flight, close what is idle, accept no more; returns when no connection is left.

        What is in flight may need an app that this very server hosts, so its ports stay open until that is answered.
        """
        for bound in self._listeners:
            bound.hide()
        for _ in range(BACKLOG_TURNS):  # who has connected already is taken in before the socket closes
            await asyncio.sleep(0)
        await asyncio.gather(*(bound.listener.finish() for bound in self._listeners))
        await asyncio.gather(*(bound.finish() for bound in self._listeners))
        await asyncio.gather(*(bound.listener.drain() for bound in self._listeners))

    async def stop(self) -> None:
        """Cut every connection, cancel what runs for it and free the addresses."""
        listeners, self._listeners = self._listeners, []
        for bound in listeners:
            await bound.close()
        for bound in listeners:
            await bound.listener.stop()
        self._reaper.stop()


def routes_of(endpoints: Mapping[str, ServedOperation], limits: Limits) -> dict[bytes, Route]:
    """The routes of endpoints; they speak binary protobuf where that is installed, loaded when it is first used."""
    contracts: dict[str, list[Operation]] = {}
    for endpoint in endpoints.values():
        contracts.setdefault(endpoint.operation.contract, []).append(endpoint.operation)
    binaries = {name: _binary(known) for name, known in contracts.items()} if has_protobuf() else {}
    return {
        path.encode(): Route(endpoint.by_rpc(), limits, binary=binaries.get(endpoint.operation.contract))
        for path, endpoint in endpoints.items()
    }


def _binary(operations: list[Operation]) -> Callable[[], Binary]:
    @cache
    def load() -> Binary:
        codec: Binary = importlib.import_module("meristem.contracts.protobuf.binary").ProtoCodec(operations)
        return codec

    return load


def _waiting(queue: socket.socket) -> list[socket.socket]:
    """Who has connected and was not accepted; at once the queue is closed, so that nobody comes after them."""
    found = []
    with queue, contextlib.suppress(BlockingIOError):
        queue.setblocking(False)
        while True:
            found.append(queue.accept()[0])
    return found


async def _listen(address: Address, listener: Listener, tls: ssl.SSLContext | None, *, shared: bool) -> BoundListener:
    loop = asyncio.get_running_loop()
    patience = None if tls is None else HANDSHAKE
    if address.path:
        server = await loop.create_unix_server(listener.connection, address.path, ssl=tls, backlog=BACKLOG)
        # The folder is its user's alone already (`prepare_run_directory`); this holds for sockets in other places.
        os.chmod(address.path, 0o600)  # noqa: PTH101 - quick; who may open it is the user that runs the system
        return BoundListener(address, listener, server, tls)
    if address.descriptor >= 0:
        inherited = socket.socket(fileno=address.descriptor)
        create = loop.create_unix_server if inherited.family is socket.AF_UNIX else loop.create_server
        server = await create(
            listener.connection, sock=inherited, ssl=tls, ssl_handshake_timeout=patience, backlog=BACKLOG
        )
        return BoundListener(address, listener, server, tls)
    server = await loop.create_server(
        listener.connection,
        address.host,
        address.port,
        ssl=tls,
        ssl_handshake_timeout=patience,
        backlog=BACKLOG,
        reuse_port=shared or None,
    )
    if None in server.sockets:
        # Another listens since this one was bound: uvloop closes such a socket, and says nothing.
        server.close()
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    port = server.sockets[0].getsockname()[1]
    return BoundListener(Address(host=address.host, port=port, secure=tls is not None), listener, server, tls)
