"""Connections to one address: kept alive, bounded in number, handed out to the longest waiting call."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from meristem.descriptors import remedy
from meristem.errors import CallError, Code
from meristem.transports.http.client.connection import ClientConnection

if TYPE_CHECKING:
    import ssl

    from meristem.resilience.limits import ClientLimits
    from meristem.transports.http.address import Address


class Pool:
    """Hands out connections, the most recently used first."""

    def __init__(self, address: Address, limits: ClientLimits, tls: ssl.SSLContext | None) -> None:
        self.address = address
        self.limits = limits
        self.idle: list[ClientConnection] = []
        self._open: set[ClientConnection] = set()
        self._connecting = 0
        self._waiting: deque[asyncio.Future[ClientConnection | None]] = deque()
        self._tls = tls
        self._closed = False

    async def take(self, label: str) -> ClientConnection:
        """A connection for the call `label`; raises CallError `unavailable` that certainly did not happen."""
        while True:
            if self.idle and (connection := self.idle.pop()).usable:
                return connection
            if self.idle:
                continue
            if len(self._open) + self._connecting < self.limits.connections:
                return await self._connect(label)
            if (given := await self._turn()) is not None and given.usable:
                return given

    async def _turn(self) -> ClientConnection | None:
        waiter: asyncio.Future[ClientConnection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            # Cancelled in the turn in which it was given something: that goes to the next one, or is lost to all.
            if waiter.done() and not waiter.cancelled() and (given := waiter.result()) is not None:
                self.give(given)
            elif waiter.done() and not waiter.cancelled():
                self._wake(None)
            raise

    def give(self, connection: ClientConnection) -> None:
        """Take a connection back after a call; one that is spent is closed."""
        if self._closed or not connection.usable:
            connection.close()
        # Used last, given first: those that are not needed stay idle, and their servers let them go.
        elif not (self._waiting and self._wake(connection)):
            self.idle.append(connection)

    def _wake(self, connection: ClientConnection | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    async def _connect(self, label: str) -> ClientConnection:
        self._connecting += 1
        try:
            connection = await self._opened(label)
        except BaseException:
            self._connecting -= 1
            # The place is free: who waits longest may try to connect.
            self._wake(None)
            raise
        self._connecting -= 1
        self._open.add(connection)
        return connection

    async def _opened(self, label: str) -> ClientConnection:
        if self._closed:
            raise _unavailable(f"{label}: the client of {self.address} was stopped")
        loop = asyncio.get_running_loop()
        address = self.address

        def made() -> ClientConnection:
            return ClientConnection(loop, self._lost, str(address), self.limits.reply_bytes)

        try:
            async with asyncio.timeout(self.limits.connect_seconds):
                if address.path:
                    _, connection = await loop.create_unix_connection(made, address.path, ssl=self._tls)
                else:
                    _, connection = await loop.create_connection(made, address.host, address.port, ssl=self._tls)
        except TimeoutError:
            limit = self.limits.connect_seconds
            raise _unavailable(f"{label}: {address} did not accept a connection within {limit:g} s") from None
        except OSError as error:
            raise _unavailable(
                f"{label}: cannot connect to {address}: {error.strerror or error}{remedy(error)}"
            ) from None
        return connection

    def _lost(self, connection: ClientConnection) -> None:
        self._open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        self._wake(None)

    def close(self) -> None:
        """Close every connection; calls in flight fail."""
        self._closed = True
        self.idle.clear()
        for connection in list(self._open):
            connection.close()


def _unavailable(message: str) -> CallError:
    return CallError(Code.UNAVAILABLE, message, may_have_happened=False)
