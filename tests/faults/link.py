"""A way to a server that can be cut while both ends think that it is there."""

import asyncio
import contextlib


class Link:
    """A way to a server that can be cut: what is sent then arrives once it is mended, and nobody is told."""

    def __init__(self, server: str) -> None:
        self._host, _, self._port = server.rpartition(":")
        self._whole = asyncio.Event()
        self._whole.set()
        self._ends: list[asyncio.StreamWriter] = []

    async def start(self) -> str:
        """Its address, in place of the server's."""
        self._listening = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        return f"127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Close both ends of all that is open, so that the server gives up what it holds for them."""
        self._listening.close()
        for each in self._ends:
            each.transport.abort()
        for each in self._ends:
            with contextlib.suppress(ConnectionError):
                await each.wait_closed()

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._whole.wait()
        there, back = await asyncio.open_connection(self._host, int(self._port))
        self._ends += [writer, back]
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._whole.wait()
                writer.write(data)
            writer.close()
