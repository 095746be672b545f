"""Connections to one address: kept alive, bounded in number, handed out to the longest waiting call.

Beside those that carry one call at a time there is a channel for many where there are several, and both ends can: each
call then costs neither end a system call of its own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from meristem.descriptors import remedy
from meristem.errors import CallError, Code
from meristem.transports.http.client.birth import Birth
from meristem.transports.http.client.connection import ClientConnection, LostError
from meristem.transports.http.client.multiplexed import ClientChannel
from meristem.transports.http.client.tls import why_refused

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
        self._met = False  # something has accepted a connection there
        self._birth = Birth(address.path)
        self.channel: ClientChannel | None = None
        self._opening: asyncio.Task[None] | None = None
        self._shares = bool(address.path)  # whether the server takes many calls on one connection

    async def take(self, label: str, *, fresh: bool = False) -> ClientConnection:
        """A connection for the call `label`; raises CallError `unavailable` that certainly did not happen.

        A `fresh` one, if there is room for it, is not just about to be closed by a server for which it was idle.
        """
        while True:
            while self.idle and not (fresh and self._count < self.limits.connections):
                if not is_over(connection := self.idle.pop()):
                    return connection
            if self._count < self.limits.connections:
                self._share()
                return await self._connect(label)
            if (given := await self._turn()) is not None and not is_over(given):
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
        if self._closed or connection.spent or connection.transport.is_closing():
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
            why = why_refused(error) if self._tls is not None else None
            why = why or f"{error.strerror or error}{remedy(error)}"
            failure = _unavailable(f"{label}: cannot connect to {address}: {why}")
            if isinstance(error, FileNotFoundError) and not self._met:
                failure.unborn = self._birth.within
            raise failure from None
        self._met = True
        if is_over(connection):  # closed again before anything was sent
            raise _unavailable(f"{label}: {address} closed the connection at once")
        return connection

    @property
    def _count(self) -> int:
        shared = self.channel is not None or self._opening is not None
        return len(self._open) + self._connecting + shared

    def _share(self) -> None:
        """Open a channel beside the next connection, where there are several calls at a time and room for both."""
        if not self._shares or self.channel is not None or self._opening is not None or self._closed:
            return
        if self._is_busy() and self._count + 2 <= self.limits.connections:
            self._opening = asyncio.get_running_loop().create_task(self._open_channel(), name="channel")

    def _is_busy(self) -> bool:
        return self._connecting > 0 or any(not each.spent for each in self._open)

    async def _open_channel(self) -> None:
        loop, limits = asyncio.get_running_loop(), self.limits

        def made() -> ClientChannel:
            return ClientChannel(loop, self._channel_lost, limits.connections, limits.reply_bytes)

        channel = None
        try:
            async with asyncio.timeout(limits.connect_seconds):
                _, channel = await loop.create_unix_connection(made, self.address.path, ssl=self._tls)
                self._shares = await channel.opened
            if self._shares and channel.is_open:
                self.channel, channel = channel, None
        except (OSError, TimeoutError, LostError):
            pass  # calls go by themselves, and find out what is wrong
        finally:
            self._opening = None
            if channel is not None:
                channel.close()
            elif self.channel is None:  # its place is free
                self._wake(None)

    def _channel_lost(self) -> None:
        self.channel = None
        self._wake(None)

    def _lost(self, connection: ClientConnection) -> None:
        self._open.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)
        if not self._open:  # the next server there may be another
            self._shares = bool(self.address.path)
        self._wake(None)

    def close(self) -> None:
        """Close every connection; calls in flight fail."""
        self._closed = True
        self._birth.close()
        self.idle.clear()
        for connection in list(self._open):
            connection.close()
        if self._opening is not None:
            self._opening.cancel()
        if self.channel is not None:
            self.channel.close()


def is_over(connection: ClientConnection) -> bool:
    """Whether a connection may carry no further request."""
    return connection.spent or connection.transport.is_closing()


def _unavailable(message: str) -> CallError:
    return CallError(Code.UNAVAILABLE, message, may_have_happened=False)
