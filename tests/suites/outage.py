"""Ways to take a broker away for a while: a proxy that is cut, a server that is killed, a process that is frozen."""

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from meristem.supervision.ports import free_port


class Outage(Protocol):
    """A broker at `url` that can be taken away and be brought back."""

    url: str

    async def begin(self) -> None: ...

    async def end(self) -> None: ...


async def answers(port: int) -> None:
    """Wait until somebody listens there."""
    async with asyncio.timeout(30):
        while True:
            with suppress(ConnectionRefusedError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.01)


class Proxy:
    """Stands before a server of this machine; during an outage its connections are reset, and no new one is taken."""

    def __init__(self, url: str, to: int) -> None:
        self._port, self._to = free_port(), to
        self.url = url.format(port=self._port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, forth = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, forth}
        await asyncio.gather(self._pass(reader, forth), self._pass(there, writer))
        self._open -= {writer, forth}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while read := await reader.read(1 << 16):
                writer.write(read)
                await writer.drain()
        writer.close()

    async def begin(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for each in list(self._open):
            each.transport.abort()

    async def end(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self._port)


class Silent(Proxy):
    """As after a host that is gone without a word: what was connected carries nothing any more, what is new does."""

    def __init__(self, url: str, to: int) -> None:
        super().__init__(url, to)
        self._silence = asyncio.Event()
        self._silent: set[asyncio.StreamWriter] = set()

    async def begin(self) -> None:
        await super().begin()
        for each in self._silent:
            each.transport.abort()
        await asyncio.sleep(0)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        silence = self._silence
        with suppress(ConnectionError):
            while read := await reader.read(1 << 16):
                if silence.is_set():
                    continue
                writer.write(read)
                await writer.drain()
        if not silence.is_set():
            writer.close()

    def fall_silent(self) -> None:
        """What is open now neither carries anything nor is closed, for ever."""
        self._silence.set()
        self._silent |= self._open
        self._silence = asyncio.Event()


class Killed:
    """A server of the test's own; an outage begins with `kill -9` and ends when it runs again on what it had kept."""

    def __init__(self, url: str, command: list[str], port: int) -> None:
        self.url = url
        self._command, self._port = command, port
        self._process: subprocess.Popen[bytes] | None = None

    async def begin(self) -> None:
        if self._process is not None:
            self._process.kill()
            await asyncio.to_thread(self._process.wait, 30)
            self._process = None

    async def end(self) -> None:
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = await asyncio.to_thread(partial(subprocess.Popen, self._command, **silent))
        await answers(self._port)


class Frozen:
    """A process that neither answers nor breaks off during an outage, as a host that hangs."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self._pid = pid

    async def begin(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    async def end(self) -> None:
        os.kill(self._pid, signal.SIGCONT)


@asynccontextmanager
async def nats_server(folder: Path) -> AsyncIterator[Killed]:
    """A server with JetStream, which keeps its streams in the folder."""
    port = free_port()
    command = ["nats-server", "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder)]
    found = Killed(f"nats://127.0.0.1:{port}", command, port)
    await found.end()
    try:
        yield found
    finally:
        await found.begin()
