"""What the connections of a listener share, and how all of them end."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from meristem.lifecycle import end
from meristem.security.crowds import crowd_of
from meristem.security.forwarding import APP, TrustedProxies
from meristem.transports.http.fast_path import BEGUN, RETRIES
from meristem.transports.http.responses import Response, refused
from meristem.transports.http.server.headcache import HeadCache
from meristem.transports.http.server.hosted import HostedRequest, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meristem.asgi import ASGIApp
    from meristem.resilience.limits import Limits
    from meristem.transports.authorize import Authorizer
    from meristem.transports.http.fast_path import FastPath
    from meristem.transports.http.request import Interface, Request, Resource
    from meristem.transports.http.server.body import IncomingBody
    from meristem.transports.http.server.hosted import Owner
    from meristem.transports.http.server.reaper import Reaper
    from meristem.transports.http.server.turns import Turns
    from meristem.transports.http.server.websocket import SocketHost

GRACE: Final = 1.0
GIVES_WAY: Final = (
    2.0  # seconds without a request after which a connection is given up for a new one, where all are used
)
NO_SOCKET: Final = refused(403, "no WebSocket is served here")
LEAVING: Final = refused(503, "this server ends; open the WebSocket again")


class Accepted(Protocol):
    """A connection as its listener sees it."""

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def tasks(self) -> list[asyncio.Task[None]]:
        """The answers that are worked on."""
        ...

    def drain(self) -> None:
        """Close soon: the answer under way is the last one."""
        ...

    def idle(self, now: float) -> float:
        """For how long nothing is asked on it, at `now` of the reaper's clock; 0 while something is."""
        ...

    def let_go(self) -> None:
        """Close it while it is idle."""
        ...

    def check(self, now: float) -> None:
        """Close when the peer takes too long."""
        ...


Factory: TypeAlias = "Callable[[Listener], asyncio.Protocol]"


class Listener:
    """One listener's side of the server; its connections look here for everything they share.

    A request is for the first of the `interfaces` that knows its path, else for the `app` if there is one.
    `factory` makes the protocol of a new connection, which calls `admit` when it is made and `forget` when it is lost.
    What is forwarded may go the `fast` way instead of the app's. `beside` are the connections that count for the limit:
    its own, and those of the server's listeners for the same.
    """

    def __init__(
        self,
        interfaces: Sequence[Interface],
        app: ASGIApp | None,
        *,
        factory: Factory,
        limits: Limits,
        authorizer: Authorizer,
        reaper: Reaper,
        turns: Turns,
        beside: set[Accepted],
        fast: FastPath | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.limits = limits
        self.authorizer = authorizer
        self.reaper = reaper
        self.turns = turns
        self.fast = fast
        self.own_heads = HeadCache()
        self.proxies = TrustedProxies(limits.trusted_proxies)
        self.draining = self.stopped = False
        self.empty = asyncio.Event()
        self.empty.set()
        self.state = {"public": not authorizer.trusted}
        self._sockets: SocketHost | None = None
        self.hosted: set[asyncio.Task[None]] = set()
        self._interfaces = interfaces
        self._app = app
        self._factory = factory
        self._connections: set[Accepted] = set()
        self._beside = beside
        self._leaving: set[Accepted] = set()
        self._crowds: Counter[str] = Counter()
        self._counted: dict[Accepted, str] = {}
        self._left = asyncio.Event()
        self._spare: list[Accepted] = []
        self._looked = -1.0

    def connection(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return self._factory(self)

    def find(self, request: Request, *, socket: bool) -> Resource | Response | None:
        """What answers a request, None when that is the app; a WebSocket is for the app alone."""
        if not self.is_entrusted(request):
            for each in self._interfaces:
                if (found := each.find(request)) is not None:
                    return NO_SOCKET if socket else found
        if self._app is not None:
            # A request under way is the connection's last, but a WebSocket lasts: a drain would wait for it.
            return LEAVING if socket and self.draining else None
        return NO_SOCKET if socket else refused(404, f"nothing is served at {request.path.decode('latin-1')}")

    def is_entrusted(self, request: Request) -> bool:
        """Whether the edge of the system hands the request to an app, which has every path there."""
        return APP in request.head and self.authorizer.trusted

    def host(self, owner: Owner, request: Request, body: IncomingBody, begun: Any = None) -> HostedRequest:
        """Have the app answer a request, for which something may have begun on the short way."""
        scope = scope_of(request, owner.transport, self.state)
        if begun is not None:
            scope["state"][BEGUN] = begun
        if request.retries:
            scope["state"][RETRIES] = request.retries
        hosted = HostedRequest(owner, request, body, scope, limits=self.limits, reaper=self.reaper)
        task = self.loop.create_task(hosted.run(self._app), name=f"app at {request.path.decode('latin-1')}")  # type: ignore[arg-type]
        self.hosted.add(task)
        task.add_done_callback(self.hosted.discard)
        return hosted

    def socket(self, connection: Accepted, request: Request) -> Any:
        """Who speaks the WebSocket that a request begins."""
        from meristem.transports.http.server.websocket import SocketHost  # noqa: PLC0415 - 5 MB

        if self._sockets is None:
            self._sockets = SocketHost(self._app, self.limits, self.state, self.turns)
        return self._sockets.open(connection, request)

    def admit(self, connection: Accepted) -> bool:
        """Take a connection in; False when there are too many."""
        if len(self._beside) >= self.limits.connections and not self._make_room():
            return False
        if not self._has_room(connection):
            return False
        self._connections.add(connection)
        self._beside.add(connection)
        self.reaper.connections.add(connection)
        self.empty.clear()
        return True

    def _make_room(self) -> bool:
        """Let the one go that has been idle for longest, if any has been for a while; False where all are needed."""
        now = self.reaper.now
        if not self._spare and now > self._looked:  # all of them are looked at once a tick, whoever knocks meanwhile
            self._looked = now
            idle = sorted((each.idle(now), id(each), each) for each in self._beside)
            self._spare = [each for waited, _, each in idle if waited >= GIVES_WAY]
        while self._spare:
            longest = self._spare.pop()
            if longest in self._beside and longest.idle(now) >= GIVES_WAY:
                self._beside.discard(longest)  # it counts no more, though its peer may take a while to see the end
                longest.let_go()
                return True
        return False

    def _has_room(self, connection: Accepted) -> bool:
        """Whether one more may come from where this one does; counted only where that says more than the sum."""
        most = self.limits.connections_per_address
        if most >= self.limits.connections or (address := _address(connection)) is None:
            return True
        if self._crowds[address] >= most:
            return False
        self._crowds[address] += 1
        self._counted[connection] = address
        return True

    def forget(self, connection: Accepted) -> None:
        """A connection has ended."""
        if (address := self._counted.pop(connection, None)) is not None:
            self._crowds[address] -= 1
            # Removed at nought: addresses come without end, and each would stay.
            if not self._crowds[address]:
                del self._crowds[address]
        self.reaper.connections.discard(connection)
        self._beside.discard(connection)
        self._connections.discard(connection)
        self._leaving.discard(connection)
        if not self._leaving:
            self._left.set()
        if not self._connections:
            self.empty.set()

    async def finish(self) -> None:
        """Answer what is in flight and close what is idle; whoever comes meanwhile is served, once a connection.

        Waits for those connections alone that are open now: an answer in flight may need an app of this very server,
        which others may call for it over new connections.
        """
        self.draining = True
        self._leaving = set(self._connections)
        self._left.clear()
        for connection in list(self._leaving):
            connection.drain()
        if self._leaving:
            await self._left.wait()

    async def drain(self) -> None:
        """Answer what is in flight, close what is idle, and wait until no connection is left."""
        self.draining = True
        for connection in list(self._connections):
            connection.drain()
        await self.empty.wait()

    async def stop(self) -> None:
        """Cut every connection, also those that asyncio has accepted and not told of yet, and have their work end."""
        self.stopped = True
        own = [task for connection in self._connections for task in connection.tasks]
        hosted = [*self.hosted, *(() if self._sockets is None else self._sockets.state.tasks)]
        while self._connections:  # again for who was accepted before the socket closed and is made known only now
            for connection in list(self._connections):
                connection.transport.abort()
            await self.empty.wait()
        await end(own)
        if hosted:
            _, left = await asyncio.wait(hosted, timeout=GRACE)  # apps learn of the disconnect by themselves
            for task in left:
                task.cancel()
            await end(left)


def _address(connection: Accepted) -> str | None:
    """The address that a connection comes from, None for a Unix socket."""
    peer = connection.transport.get_extra_info("peername")
    return crowd_of(str(peer[0])) if isinstance(peer, tuple) else None
