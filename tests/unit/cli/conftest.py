"""A small project in a folder of its own, and the command that is run there."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from tests.suites.command import SOURCE, Ended, begin, ended
from tests.suites.fork_server import ForkServer, fork_server

PATIENCE = 60.0  # seconds for what takes one on an idle machine
HELLO = '''
"""A service in one file."""
import asyncio
from typing import Protocol
from meristem import Contract, Service, safe

class Hello(Contract, Protocol, package="hello.v1"):
    @safe(http="GET /hello/{name}", timeout=60.0)
    async def hello(self, name: str) -> str: ...
    @safe(http="GET /slow", timeout=60.0)
    async def slow(self) -> str: ...

class HelloService(Hello, Service):
    async def hello(self, name: str) -> str:
        return f"Hello, {name}!"
    async def slow(self) -> str:
        print("slow began", flush=True)
        await asyncio.sleep(0.5)
        return "finished"
'''
SHOP = '''
from collections.abc import AsyncIterator
from typing import Protocol
from sqlalchemy import Column, Integer, MetaData, Table
from meristem import (
    CallError, Code, Contract, Database, Event, Fault, Flow, Service, System, on, once, operation, safe, saga,
)
from meristem.errors import Undeliverable

metadata = MetaData()
ITEMS = Table("items", metadata, Column("id", Integer, primary_key=True))

class Refused(Fault):
    """The shop is closed."""
    until: str

class Sold(Event, package="shop.orders.v1", key="item"):
    item: str

class Orders(Contract, Protocol, package="shop.orders.v1"):
    @once(timeout=60.0)
    async def order(self, item: str, *, gift: bool = False) -> str: ...
    @operation(raises=[Refused], timeout=60.0)
    async def refuse(self) -> None: ...
    @operation(timeout=60.0)
    async def fail(self, code: str) -> None: ...
    @safe(timeout=60.0)
    def count(self, to: int) -> AsyncIterator[int]: ...
    @operation(timeout=60.0)
    async def sell(self, item: str) -> None: ...

class Post(Contract, Protocol, package="shop.post.v1"):
    @safe
    async def idle(self) -> None: ...

class OrdersService(Orders, Service, tables=metadata):
    def __init__(self, database: Database, post: Post) -> None:
        self.database = database
    @saga
    async def order(self, flow: Flow, item: str, *, gift: bool = False) -> str:
        return f"{item} {'wrapped' if gift else 'plain'}"
    async def refuse(self) -> None:
        raise Refused(until="Monday")
    async def fail(self, code: str) -> None:
        raise CallError(Code(code), "as asked")
    async def count(self, to: int) -> AsyncIterator[int]:
        for number in range(to):
            yield number
    async def sell(self, item: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Sold(item=item))

class PostService(Post, Service):
    async def idle(self) -> None: ...
    @on(Sold)
    async def write(self, event: Sold) -> None:
        print("heard", event.item, flush=True)
        raise Undeliverable("no pen")

system = System("shop", services=[OrdersService, PostService])
'''


class Running:
    """A command that goes on: its lines can be waited for."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""

    async def shows(self, part: str) -> str:
        """The rest of the first line that shows the text."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while part not in self.text:
                line = await self.process.stdout.readline()
                assert line, f"it ended without {part!r}:\n{self.text}"
                self.text += line.decode()
        return self.text.partition(part)[2].partition("\n")[0].strip()

    async def ended(self) -> int:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            self.text += (await self.process.stdout.read()).decode()
            return await self.process.wait()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "hello.py").write_text(HELLO)
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "pyproject.toml").write_text('[tool.meristem]\nsystem = "shop:system"\n')
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    # Bytecode counts as current for a source of the same second and size: tests write one again as quickly as that.
    said = {"NO_COLOR": "1", "COLUMNS": "200", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, "PYTHONPATH": str(SOURCE), **said}


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    with fork_server(tmp_path_factory.mktemp("forks")) as server:
        yield server


@pytest.fixture
def meristem(project: Path, environment: dict[str, str], forks: ForkServer) -> Callable[..., Awaitable[Ended]]:
    """Runs a command to its end; one after the other."""

    async def run(*arguments: str) -> Ended:
        return await forks.run(*arguments, cwd=project, environment=environment, patience=PATIENCE)

    return run


@pytest.fixture
def meristem_anew(project: Path, environment: dict[str, str]) -> Callable[..., Awaitable[Ended]]:
    """Runs a command that imports all it needs itself; several at once, if need be."""

    async def run(*arguments: str) -> Ended:
        return await ended(await begin(*arguments, cwd=project, environment=environment), PATIENCE)

    return run


@pytest.fixture
async def start(project: Path, environment: dict[str, str]) -> AsyncIterator[Callable[..., Awaitable[Running]]]:
    begun: list[asyncio.subprocess.Process] = []

    async def run(*arguments: str, program: str | None = None) -> Running:
        what = ("-m", "meristem") if program is None else (program,)
        process = await begin(
            *arguments, cwd=project, environment=environment, program=what, stderr=asyncio.subprocess.STDOUT
        )
        begun.append(process)
        return Running(process)

    yield run
    for process in begun:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.communicate(), PATIENCE)
            except TimeoutError:
                process.kill()
                raise
