"""What the tests of supervised processes share: plans of stand-ins, a screen that can be waited for, their requests."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from meristem.supervision.console import Console
from meristem.supervision.lifeline import LIFELINE, Lifeline
from meristem.supervision.restarts import Restarts
from meristem.supervision.supervisor import Supervisor
from meristem.supervision.workplace import Workplace
from meristem.system.plan import AppPlan, Plan, ProcessPlan, ProgramPlan, ServicePlan
from meristem.system.state_directory import StateDirectory

PATIENCE = 60.0  # seconds for what takes one on an idle machine
LINE = Lifeline()  # open as long as this process lives: what it starts ends with it, however it ends
QUICK = Restarts(base=0.01, cap=0.05, patience=PATIENCE, grace=PATIENCE)


class Screen:
    """Where lines appear; `shows` waits until one does."""

    def __init__(self) -> None:
        self.text = ""
        self._more = asyncio.Event()

    def isatty(self) -> bool:
        return False

    def write(self, data: bytes) -> None:
        self.text += data.decode()

    def flush(self) -> None:
        self._more.set()

    async def shows(self, part: str, times: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while self.text.count(part) < times:
                self._more.clear()
                await self._more.wait()


def service(name: str, *calls: str) -> ServicePlan:
    return ServicePlan(name, name, {}, (), calls, {}, (), False)


def plan(
    *processes: ProcessPlan, services: tuple[ServicePlan, ...] = (), programs: tuple[ProgramPlan, ...] = ()
) -> Plan:
    named = {each.name for each in services}
    rest = tuple(service(name) for each in processes for name in each.services if name not in named)
    apps = tuple(AppPlan(app, app, "/") for each in processes for app in each.apps)
    return Plan("shop", (*services, *rest), apps, programs, processes)


def arguments(process: str, replica: int, listen: str) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("standin.py")), process, str(replica), listen]


@pytest.fixture
def screen() -> Screen:
    return Screen()


@pytest.fixture
def supervisor_of(tmp_path: Path, screen: Screen):
    @asynccontextmanager
    async def made(plan: Plan, *, restarts: Restarts = QUICK) -> AsyncIterator[Supervisor]:
        state = StateDirectory(tmp_path, plan.system)
        place = Workplace(state, tmp_path, port=0)
        console = Console(screen, [], {})
        supervisor = Supervisor(
            plan, place, arguments=arguments, console=console, environment=os.environ, restarts=restarts
        )
        try:
            yield supervisor
        finally:
            await supervisor.stop()

    return made


async def ask(address: str, path: str = "/") -> str:
    """The body of an answer; raises OSError when nobody is there."""
    async with asyncio.timeout(PATIENCE):
        return await _ask(address, path)


async def _ask(address: str, path: str) -> str:
    if address.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        host, _, port = address.removeprefix("http://").rpartition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    if not answer:
        raise ConnectionResetError("no answer")
    return answer.decode().partition("\r\n\r\n")[2]


async def begun(*command: str, cwd: Path | None = None, **environment: str) -> asyncio.subprocess.Process:
    """A command with its output in one pipe; it ends when the tests do, if it holds its lifeline."""
    return await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=os.environ | {LIFELINE: str(LINE.reading)} | environment,
        pass_fds=[LINE.reading],
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


async def output(process: asyncio.subprocess.Process) -> bytes:
    """What a process still writes until its end; it is killed when that does not come."""
    try:
        async with asyncio.timeout(PATIENCE):
            return (await process.communicate())[0]
    except TimeoutError:
        process.kill()
        raise


async def gone(pid: int) -> None:
    """Return when a process has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


class Command:
    """`meristem …` in the folder of the shop, with its lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""

    async def shows(self, part: str, times: int = 1) -> str:
        async with asyncio.timeout(PATIENCE):
            while self.text.count(part) < times:
                line = (await self.process.stdout.readline()).decode()
                assert line, f"it ended without {part!r}: {self.text}"
                self.text += line
        return next(line for line in reversed(self.text.splitlines()) if part in line)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[None]:
        """Its lines are taken all the time: what has much to tell waits where nobody reads its pipe."""

        async def take() -> None:
            while line := await self.process.stdout.readline():
                self.text += line.decode()

        taking = asyncio.create_task(take())
        try:
            yield
        finally:
            taking.cancel()
            await asyncio.wait([taking])


async def meristem(directory: Path, *arguments: str, **environment: str) -> Command:
    return Command(await begun(sys.executable, "-m", "meristem", *arguments, cwd=directory, **environment))


async def told(directory: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and output of a command that ends by itself."""
    command = await meristem(directory, *arguments)
    text = (await output(command.process)).decode()
    assert command.process.returncode is not None
    return command.process.returncode, text


@pytest.fixture
async def ended() -> AsyncIterator[list[Command]]:
    """Commands that are ended after the test."""
    commands: list[Command] = []
    yield commands
    for command in commands:
        if command.process.returncode is None:
            command.process.terminate()
        await output(command.process)


SPLIT = """
[processes]
edge = ["web"]
stock = { services = ["stock"], replicas = 2 }
rest = ["*"]
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copy(Path(__file__).with_name("shop.py"), tmp_path)
    (tmp_path / "pyproject.toml").write_text('[tool.meristem]\nsystem = "shop:system"\n')
    (tmp_path / "split.toml").write_text(SPLIT)
    return tmp_path
