"""What the connections of a listener share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from meristem.lifecycle import end
from meristem.transports.http.server.asgi import AsgiHost
from meristem.transports.http.server.connection import ServerConnection
from meristem.transports.http.server.headcache import HeadCache

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.resilience.limits import Limits
    from meristem.transports.http.connect.codec import Route
    from meristem.transports.http.server.reaper import Reaper
    from meristem.transports.metadata import Verify

GRACE = 1.0


class Listener:
    """One listener's side of the server; its connections look here for everything they share.

    `trusted` says that who reaches this address belongs to the system, as on a Unix socket that only its own user
    can open; it matters only where no `verify` is given.
    """

    def __init__(
        self,
        routes: Mapping[bytes, Route],
        app: Any,
        *,
        limits: Limits,
        verify: Verify | None,
        reaper: Reaper,
        public: bool,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.routes = routes
        self.limits = limits
        self.verify = verify
        self.trusted = not public
        self.reaper = reaper
        self.own_heads = HeadCache()
        self.draining = self.stopped = False
        self.empty = asyncio.Event()
        self.empty.set()
        self.connections: set[ServerConnection] = set()
        self.leaving: set[ServerConnection] = set()
        self.left = asyncio.Event()
        self.host = AsgiHost(app, limits, {"public": public}, loop=self.loop)

    def connection(self) -> ServerConnection:
        """The protocol of a new connection."""
        return ServerConnection(self)

    def admit(self, connection: ServerConnection) -> bool:
        """Take a connection in; False when there are too many."""
        if len(self.reaper.connections) >= self.limits.connections:
            return False
        self.connections.add(connection)
        self.reaper.connections.add(connection)
        self.empty.clear()
        return True

    def forget(self, connection: ServerConnection) -> None:
        """A connection has ended."""
        self.reaper.connections.discard(connection)
        self.connections.discard(connection)
        self.leaving.discard(connection)
        if not self.leaving:
            self.left.set()
        if not self.connections:
            self.empty.set()

    async def finish(self) -> None:
        """Answer what is in flight and close what is idle; whoever comes meanwhile is served, once a connection."""
        self.draining = True
        self.leaving = set(self.connections)
        self.left.clear()
        for connection in list(self.leaving):
            connection.drain()
        if self.leaving:
            await self.left.wait()

    async def drain(self) -> None:
        """Answer what is in flight, close what is idle, and wait until no connection is left."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()
        await self.empty.wait()

    async def stop(self) -> None:
        """Cut every connection, also those that asyncio has accepted and not told of yet, and have their work end."""
        self.stopped = True
        own = [connection.task for connection in self.connections if connection.task is not None]
        hosted = list(self.host.state.tasks)
        while self.connections:  # again for who was accepted before the socket closed and is made known only now
            for connection in list(self.connections):
                connection.transport.abort()
            await self.empty.wait()
        await end(own)
        if hosted:
            _, left = await asyncio.wait(hosted, timeout=GRACE)  # apps learn of the disconnect by themselves
            for task in left:
                task.cancel()
            await end(left)
