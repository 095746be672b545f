"""A system whose screen nobody reads (Ctrl-S, a pipe that nobody empties) serves, restarts and ends as any other."""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from meristem.security.tokens import new_secret
from meristem.supervision.lifeline import LIFELINE
from meristem.supervision.ports import free_port

from .conftest import LINE, PATIENCE

PAGE = 4096  # bytes of the smallest pipe
LOUD = '''
import asyncio, os
from typing import Protocol
from meristem import Contract, Service, safe

class Loud(Contract, Protocol, package="loud.v1"):
    @safe(http="GET /said/{times}", timeout=60.0)
    async def said(self, times: int) -> int: ...
    @safe(http="GET /held", timeout=600.0)
    async def held(self) -> None: ...

class LoudService(Loud, Service):
    """Prints as much as it is asked to, and tells which process it is."""

    async def said(self, times: int) -> int:
        for _ in range(times):
            print("x" * 999)
        return os.getpid()

    async def held(self) -> None:
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                pass
'''


class Unread:
    """A command that writes all to a pipe of one page, which is read only on demand."""

    def __init__(self) -> None:
        self.address = f"http://127.0.0.1:{free_port()}"
        self.reading, self._writing = os.pipe()
        fcntl.fcntl(self._writing, fcntl.F_SETPIPE_SZ, PAGE)
        self.process: asyncio.subprocess.Process

    async def begin(self, directory: Path, *arguments: str) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "meristem", *arguments),
            cwd=directory,
            env=os.environ | {LIFELINE: str(LINE.reading), "MERISTEM_SECRET": new_secret().hex()},
            pass_fds=[LINE.reading],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._writing,
            stderr=self._writing,
        )
        os.close(self._writing)

    async def ask(self, path: str) -> httpx.Response:
        """The answer, once there is one."""
        async with asyncio.timeout(PATIENCE), httpx.AsyncClient(base_url=self.address, timeout=PATIENCE) as web:
            while True:
                try:
                    return (await web.get(path)).raise_for_status()
                except (httpx.TransportError, httpx.HTTPStatusError):
                    assert self.process.returncode is None
                    await asyncio.sleep(0.05)

    async def shows(self, part: bytes) -> None:
        """Read until `part` is there."""
        text, more = b"", asyncio.Event()
        asyncio.get_running_loop().add_reader(self.reading, more.set)
        try:
            async with asyncio.timeout(PATIENCE):
                while part not in text:
                    await more.wait()
                    more.clear()
                    text = text[-PAGE:] + os.read(self.reading, PAGE)
        finally:
            asyncio.get_running_loop().remove_reader(self.reading)

    async def ended(self) -> int:
        async with asyncio.timeout(PATIENCE):
            return await self.process.wait()


@pytest.fixture
async def unread(tmp_path: Path) -> AsyncIterator[Unread]:
    (tmp_path / "loud.py").write_text(LOUD)
    (tmp_path / "apart.toml").write_text('[processes]\nloud = ["*"]\n')
    made = Unread()
    yield made
    if made.process.returncode is None:
        made.process.kill()
        await made.process.wait()
    os.close(made.reading)


def ports(address: str) -> list[str]:
    return ["--port", address.rpartition(":")[2]]


async def test_a_supervisor_restarts_what_ended_tells_what_was_dropped_and_ends(unread: Unread, tmp_path: Path):
    await unread.begin(tmp_path, "run", "loud.py", "--placement", "apart.toml", *ports(unread.address))
    pid = (await unread.ask("/api/said/100")).json()
    os.kill(pid, signal.SIGKILL)
    assert (await unread.ask("/api/said/0")).json() != pid

    for _ in range(10):  # more than the process and its supervisor keep together
        await unread.ask("/api/said/1000")
    await unread.shows(b"lines were dropped while the screen was not read")

    await unread.ask("/api/said/100")
    unread.process.terminate()
    assert await unread.ended() == 0


@pytest.mark.parametrize("verb", ["run", "process"])
async def test_one_process_answers_and_a_second_signal_ends_it_at_once(unread: Unread, tmp_path: Path, verb: str):
    public = unread.address.replace("http:", "tcp:")
    await unread.begin(tmp_path, verb, "loud.py", *(ports(unread.address) if verb == "run" else ["--public", public]))
    for _ in range(3):
        await unread.ask("/api/said/100")
    held = asyncio.create_task(unread.ask("/api/held"))
    await unread.ask("/api/said/0")
    unread.process.terminate()
    await asyncio.sleep(0)
    unread.process.send_signal(signal.SIGINT)

    assert await unread.ended() in (128 + signal.SIGTERM, 128 + signal.SIGINT)
    held.cancel()


async def test_a_change_of_code_starts_it_again(unread: Unread, tmp_path: Path):
    await unread.begin(tmp_path, "run", "loud.py", "--reload", *ports(unread.address))
    pid = (await unread.ask("/api/said/100")).json()
    (tmp_path / "loud.py").write_text(LOUD + "\n")
    async with asyncio.timeout(PATIENCE):
        while (await unread.ask("/api/said/0")).json() == pid:
            await asyncio.sleep(0.05)
    unread.process.terminate()

    assert await unread.ended() == 0
