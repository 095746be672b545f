"""What the connections of a listener share, and how all of them end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from meristem.lifecycle import end
from meristem.transports.http.server.headcache import HeadCache

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.asgi import ASGIApp
    from meristem.resilience.limits import Limits
    from meristem.transports.authorize import Authorizer
    from meristem.transports.http.connect.codec import Route
    from meristem.transports.http.responses import Response
    from meristem.transports.http.server.delegation import AsgiHost, Delegate, Owner
    from meristem.transports.http.server.reaper import Reaper

GRACE: Final = 1.0


class Accepted(Protocol):
    """A connection as its listener sees it."""

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The answer that is worked on."""
        ...

    def drain(self) -> None:
        """Close soon: the answer under way is the last one."""
        ...

    def check(self, now: float) -> None:
        """Close when the peer takes too long."""
        ...


class Probe(Protocol):
    """Answers what is asked of the process itself by path, at a public address or not; None for what is the app's."""

    def __call__(self, path: bytes, *, public: bool) -> Response | None: ...


Factory: TypeAlias = "Callable[[Listener], asyncio.Protocol]"


class Listener:
    """One listener's side of the server; its connections look here for everything they share.

    `probe` answers a GET of what is asked of the process itself.
    `factory` makes the protocol of a new connection, which calls `admit` when it is made and `forget` when it is lost.
    """

    def __init__(
        self,
        routes: Mapping[bytes, Route],
        app: ASGIApp,
        *,
        factory: Factory,
        limits: Limits,
        authorizer: Authorizer,
        reaper: Reaper,
        probe: Probe,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.routes = routes
        self.limits = limits
        self.authorizer = authorizer
        self.reaper = reaper
        self.own_heads = HeadCache()
        self.draining = self.stopped = False
        self.empty = asyncio.Event()
        self.empty.set()
        self._probe = probe
        self._app = app
        self._host: AsgiHost | None = None
        self._factory = factory
        self._connections: set[Accepted] = set()
        self._leaving: set[Accepted] = set()
        self._left = asyncio.Event()

    def probed(self, path: bytes) -> Response | None:
        """The answer for the process itself, None for what is the app's."""
        return self._probe(path, public=not self.authorizer.trusted)

    def connection(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return self._factory(self)

    def delegate(self, owner: Owner) -> Delegate:
        """Who runs the app for a connection from now on."""
        from meristem.transports.http.server.delegation import AsgiHost, Delegate  # noqa: PLC0415 - 5 MB

        if self._host is None:
            state = {"public": not self.authorizer.trusted}
            self._host = AsgiHost(self._app, self.limits, state, loop=self.loop)
        return Delegate(owner, self._host)

    def admit(self, connection: Accepted) -> bool:
        """Take a connection in; False when there are too many."""
        if len(self.reaper.connections) >= self.limits.connections:
            return False
        self._connections.add(connection)
        self.reaper.connections.add(connection)
        self.empty.clear()
        return True

    def forget(self, connection: Accepted) -> None:
        """A connection has ended."""
        self.reaper.connections.discard(connection)
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
        own = [connection.task for connection in self._connections if connection.task is not None]
        hosted: list[asyncio.Task[Any]] = [] if self._host is None else list(self._host.state.tasks)
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
