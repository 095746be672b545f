"""A proxy between a client and a server of the wire that does to their bytes what networks do."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

Spoil: TypeAlias = "Callable[[Flow], Awaitable[None]]"
CHUNK = 65536


class Flow:
    """The bytes of one connection in one direction; `spoil` decides what becomes of them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, both: Callable[[], None]) -> None:
        self.reader = reader
        self.writer = writer
        self.cut = both  # end the connection in both directions, as a reset does

    async def passes(self) -> None:
        """Everything arrives as it was sent."""
        while data := await self.reader.read(CHUNK):
            self.writer.write(data)
            await self.writer.drain()


class Proxy:
    """Listens on a Unix socket in front of another; `requests` and `answers` say what becomes of the bytes.

    They are taken when a connection is opened; `connections` counts those.
    """

    def __init__(self, address: str, target: str) -> None:
        self.address = f"unix:{address}"
        self.requests: Spoil = Flow.passes
        self.answers: Spoil = Flow.passes
        self.connections = 0
        self._path = address
        self._target = target.removeprefix("unix:")
        self._works: set[asyncio.Task[None]] = set()
        self._open = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_unix_server(self._accept, self._path)
        self._open = True
        try:
            yield self
        finally:
            self._open = False
            for _ in range(3):  # what has been accepted is handed over first: asyncio would lose it (gh-109564)
                await asyncio.sleep(0)
            server.close()
            await self.cut()

    async def cut(self) -> None:
        """End every connection."""
        for work in self._works:
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        self.connections += 1
        work = asyncio.ensure_future(self._join(reader, writer))
        self._works.add(work)
        work.add_done_callback(self._works.discard)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_unix_connection(self._target)

        def cut() -> None:
            writer.transport.abort()
            ahead.transport.abort()

        flows = self.requests(Flow(reader, ahead, cut)), self.answers(Flow(behind, writer, cut))
        pumping = [asyncio.ensure_future(each) for each in flows]
        with contextlib.suppress(OSError):
            try:
                await asyncio.wait(pumping, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for each in pumping:
                    each.cancel()
                await asyncio.gather(*pumping, return_exceptions=True)
                cut()


def late(seconds: float, jitter: float = 0.0) -> Spoil:
    """Every piece comes late, by up to `jitter` more."""

    async def spoil(flow: Flow) -> None:
        while data := await flow.reader.read(CHUNK):
            await asyncio.sleep(seconds + random.uniform(0.0, jitter))
            flow.writer.write(data)

    return spoil


def cut_after(size: int) -> Spoil:
    """The connection breaks when so many bytes have passed."""

    async def spoil(flow: Flow) -> None:
        left = size
        while left > 0 and (data := await flow.reader.read(left)):
            flow.writer.write(data)
            await flow.writer.drain()
            left -= len(data)
        if size:
            await asyncio.sleep(0.02)  # what has passed arrives before the end does
        flow.cut()

    return spoil


def trickle(pause: float) -> Spoil:
    """One byte at a time."""

    async def spoil(flow: Flow) -> None:
        while data := await flow.reader.read(CHUNK):
            for byte in data:
                flow.writer.write(bytes([byte]))
                await flow.writer.drain()
                await asyncio.sleep(pause)

    return spoil


async def swallowed(flow: Flow) -> None:
    """Nothing arrives, and nobody says so: the connection is half open."""
    while await flow.reader.read(CHUNK):
        pass
    await asyncio.Event().wait()


def garbage(data: bytes) -> Spoil:
    """Something else arrives."""

    async def spoil(flow: Flow) -> None:
        while await flow.reader.read(CHUNK):
            flow.writer.write(data)
            await flow.writer.drain()

    return spoil


def in_turn(*spoils: Spoil) -> Spoil:
    """The first connection meets the first of these, the next one the next; the last one stays."""
    left = list(spoils)

    async def spoil(flow: Flow) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(flow)

    return spoil
