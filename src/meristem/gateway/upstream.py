"""The replicas of what lives in other processes: which of them takes a request, over which connection."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meristem.discovery.resolver import follow
from meristem.gateway.connection import connect
from meristem.transports.http.address import Address

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.discovery.resolver import Resolver
    from meristem.gateway.connection import UpstreamConnection

CONNECTING: Final = 5.0  # seconds for a replica to accept a connection
LOOK: Final = 0.05  # seconds between two looks whether one is there
MOST_IDLE: Final = 256  # connections that are kept open to each replica
FRESH: Final = 1.0  # seconds after which an upstream that tells of no end may be just about to close what is idle
SHUN: Final = 0.5  # seconds for which a replica that accepts nothing is asked last


class AwayError(Exception):
    """No replica accepts a connection."""


class UpstreamReplica:
    """One address of an upstream, and the connections that are open to it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.in_flight = 0
        self.away_until = 0.0
        self._where = Address.parse(address)
        self._idle: list[UpstreamConnection] = []
        self._is_left = False

    def kept(self, since: float) -> UpstreamConnection | None:
        """A connection that is open already and was in use after `since`: the one that was used last."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_free and connection.idle_since >= since:
                return connection
            connection.close()
        return None

    async def connect(self) -> UpstreamConnection:
        """A new connection; raises OSError, TimeoutError among them."""
        async with asyncio.timeout(CONNECTING):
            return await connect(self._where)

    def give(self, connection: UpstreamConnection) -> None:
        """Take a connection back."""
        if connection.transport.is_closing():  # it may still have something to say
            return
        if self._is_left or not connection.is_free or len(self._idle) >= MOST_IDLE:
            connection.close()
        else:
            connection.idle_since = connection.loop.time()
            self._idle.append(connection)

    def close(self) -> None:
        """Close what is idle; what is in use is closed when it comes back."""
        self._is_left = True
        while self._idle:
            self._idle.pop().close()


class Taken:
    """A connection for one request, and the replica that it goes to."""

    __slots__ = ("connection", "is_new", "replica")

    def __init__(self, replica: UpstreamReplica, connection: UpstreamConnection, *, is_new: bool) -> None:
        self.replica = replica
        self.connection = connection
        self.is_new = is_new  # so nobody was about to close it for having been idle
        replica.in_flight += 1

    def release(self) -> None:
        """The request is over: its connection carries the next one, or is closed."""
        self.replica.in_flight -= 1
        self.replica.give(self.connection)


class Upstream:
    """An app or program that lives in other processes, as the edge reaches it between `start` and `stop`.

    Its addresses are what the `resolver` knows of `name`; a request waits `patience` seconds for one to be there, as
    calls of services do. One that `tells` says so where it did not serve a request; of another a connection that was
    idle for long carries only what may be sent twice.
    """

    def __init__(self, name: str, resolver: Resolver, *, tells: bool, patience: float = 5.0) -> None:
        self.name = name
        self.tells = tells
        self._resolver = resolver
        self._replicas: dict[str, UpstreamReplica] = {}
        self._patience = patience
        self._turn = 0
        self._end_watch: Callable[[], None] | None = None
        self._looking: asyncio.Task[bool] | None = None

    async def start(self) -> None:
        """Follow its addresses from now on."""
        self._end_watch = follow(self._resolver, self.name, self._update)

    async def drain(self) -> None:
        """Requests in flight are the server's to wait for."""

    async def stop(self) -> None:
        if self._end_watch is not None:
            self._end_watch()
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        self._update(())

    @property
    def replicas(self) -> list[UpstreamReplica]:
        """Those that are known now."""
        return list(self._replicas.values())

    async def take(self, *, repeatable: bool, fresh: bool = False) -> Taken:
        """A connection to the replica with the least in flight; raises AwayError when none is there for a while.

        What is not `repeatable` needs one that nobody is about to close; a `fresh` one is new.
        """
        found = await self._try(repeatable=repeatable, fresh=fresh)
        if found is None and await self._wait():
            found = await self._try(repeatable=repeatable, fresh=fresh)
        if found is None:
            raise AwayError(f"{self.name} is not there")
        return found

    def take_kept(self) -> Taken | None:
        """As `take` for what is repeatable, if there is a connection that is open already."""
        for replica in self._in_order():
            kept = replica.kept(0.0)
            return None if kept is None else Taken(replica, kept, is_new=False)
        return None

    async def _try(self, *, repeatable: bool, fresh: bool) -> Taken | None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        since = 0.0 if repeatable or self.tells else now - FRESH
        for replica in self._in_order():
            if not fresh and (kept := replica.kept(since)) is not None:
                return Taken(replica, kept, is_new=False)
            try:
                made = await replica.connect()
            except OSError:
                replica.away_until = loop.time() + SHUN
                continue
            replica.away_until = 0.0
            return Taken(replica, made, is_new=True)
        return None

    def _in_order(self) -> list[UpstreamReplica]:
        """Those that are there first, of them the one with the least in flight; equal ones take turns."""
        replicas = list(self._replicas.values())
        if len(replicas) > 1:
            self._turn = turn = (self._turn + 1) % len(replicas)
            replicas = replicas[turn:] + replicas[:turn]
            now = asyncio.get_running_loop().time()
            replicas.sort(key=lambda each: (each.away_until > now, each.in_flight))
        return replicas

    async def _wait(self) -> bool:
        """Wait until a replica accepts connections, a while at most; one task looks for all who wait."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look(), name=f"look for {self.name}")
        return await asyncio.shield(self._looking)

    async def _look(self) -> bool:
        loop = asyncio.get_running_loop()
        latest = loop.time() + self._patience
        while loop.time() < latest:
            await asyncio.sleep(LOOK)
            for replica in self.replicas:
                try:
                    made = await replica.connect()
                except OSError:
                    continue
                replica.away_until = 0.0
                replica.give(made)
                return True
        return False

    def _update(self, addresses: tuple[str, ...]) -> None:
        for address in addresses:
            if address not in self._replicas:
                self._replicas[address] = UpstreamReplica(address)
        for address in [each for each in self._replicas if each not in addresses]:
            self._replicas.pop(address).close()
