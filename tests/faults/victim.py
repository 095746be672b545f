"""A running process that is attacked from outside, and what is seen of it there."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

MIB = 1024 * 1024
PATIENCE = 30.0  # seconds
FILES = 4096  # a thousand connections need more than the usual 1024
GOOD = b"GET /api/hello/Ada HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def heard(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the connection ends; taken at once, since a reset destroys what lies unread."""
    received = b""
    with suppress(OSError):
        while more := await reader.read(MIB):
            received += more
    return received


class Victim:
    """A running process; `greeted` asks it for what everybody may have."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port

    @asynccontextmanager
    async def dial(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()

    async def answer(self, *data: bytes, patience: float = PATIENCE) -> bytes:
        """All that comes back until the server closes the connection, or says no more."""
        async with self.dial() as (reader, writer):
            hearing = asyncio.ensure_future(heard(reader))
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(patience):
                    with suppress(OSError):
                        for each in data:
                            writer.write(each)
                            await writer.drain()
                    await asyncio.wait({hearing})
            writer.transport.abort()  # `hearing` ends with what it has
            return await hearing

    async def greeted(self) -> bool:
        return b"Ada" in await self.answer(GOOD)

    @property
    def serving(self) -> set[int]:
        """The processes that serve: with a placement those that the command has started."""
        found = set()
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
                if int(parent) == self.pid and b"\0process\0" in (process / "cmdline").read_bytes():
                    found.add(int(process.name))
        return found or {self.pid}

    @property
    def memory(self) -> int:
        """Resident bytes of what serves."""
        return sum(map(_resident, self.serving))


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def many_files() -> Iterator[None]:
    """As many open files as a thousand connections need, here and in the process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def running(system: Path, log: Path, *options: str) -> Iterator[Victim]:
    """The system, run by the command; it ends by SIGTERM with 0 and has logged no traceback."""
    command = [sys.executable, "-m", "meristem", "run", str(system), "--port", "0", *options]
    with (
        log.open("wb") as written,
        subprocess.Popen(command, cwd=system.parent, stdout=written, stderr=written) as process,
    ):
        try:
            victim = Victim(process.pid, _port(process, log))
            begun = victim.serving
            yield victim
            assert victim.serving == begun  # a supervisor would have started a crashed one again
            assert process.poll() is None
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert "Traceback" not in log.read_text()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Where it says that it runs."""
    late = time.monotonic() + 3 * PATIENCE
    while (found := re.search(r"runs at http://127\.0\.0\.1:(\d+) ", log.read_text())) is None:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < late, log.read_text()
        time.sleep(0.02)
    return int(found[1])
