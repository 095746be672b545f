"""A server whose neighbour calls it all the time: how long each of these calls waits while others are served."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

from meristem.context import Context
from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.operation import safe
from meristem.runtime.process import COLLECTING
from meristem.transports.http.client.http_client import HttpClient
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer

PATIENCE = 60.0  # seconds
WAIT = 0.05  # seconds that a neighbour's call may wait: each of them, as the few that an attack holds up are no p99
# Of which one must hold: what the server itself holds up is held each time. What unpacks lets the loop run beside it;
# where a busy machine does not, that counts as held, but hardly each time.
ROUNDS = 12
PIECE = 256 * 1024
LITTLE = 120e-6  # seconds for a little work on a machine that does nothing else


class Line(Message):
    name: str = ""
    amount: int = 0


class Order(Message):
    lines: list[Line] = []
    grid: list[list[int]] = []
    counts: dict[str, int] = {}
    flags: list[bool] = []
    text: str = ""
    raw: bytes = b""
    below: list[Order] = []


class Marks(Message):
    ids: dict[UUID, int] = {}
    amounts: set[Decimal] = set()
    prices: list[Decimal] = []


class Orders(Contract, Protocol, package="neighbours.v1"):
    @safe
    async def hello(self, name: str) -> str: ...

    @safe(http="POST /orders")
    async def send(self, order: Order) -> int: ...

    @safe(http="POST /marks")
    async def mark(self, marks: Marks) -> int: ...

    @safe(http="GET /found")
    async def find(self, tags: list[str] | None = None) -> int: ...

    @safe
    async def blob(self, size: int) -> str: ...

    @safe
    def follow(self, order: Order) -> AsyncIterator[int]: ...

    @safe
    async def collect(self, orders: AsyncIterator[Order]) -> int: ...

    @safe(http="GET /blobs")
    def blobs(self, count: int, *, costly: bool = False) -> AsyncIterator[str]: ...


def work_a_little() -> None:
    """Compute for about `LITTLE` seconds."""
    sum(range(10_000))


def allowed() -> float:
    """`WAIT`, and as much more as this machine takes longer for a known work just now: its neighbours slow it down."""
    began = time.thread_time()
    for _ in range(20):
        work_a_little()
    return WAIT * max(1.0, (time.thread_time() - began) / (20 * LITTLE))


async def answered(call: Call) -> Any:
    if call.operation.name == "hello":
        return call.request.name
    if call.operation.name == "collect":
        return len([True async for _ in call.request])
    return "b" * call.request.size if call.operation.name == "blob" else 1


async def streamed(call: Call) -> AsyncIterator[Any]:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    async def blobs() -> AsyncIterator[str]:
        for _ in range(call.request.count):
            if call.request.costly:
                work_a_little()
            yield "b" * 64

    return blobs() if call.operation.name == "blobs" else numbers()


async def sent(writer: asyncio.StreamWriter, data: bytes) -> None:
    """In pieces: a copy of all that waits in this process would hold the loop as long as what is tested."""
    for start in range(0, len(data), PIECE):
        writer.write(data[start : start + PIECE])
        await writer.drain()


class House:
    """A server with a neighbour; others attack it, or are sent much."""

    def __init__(self, path: str, app: Any) -> None:
        self.path = path
        self.operations = operations(Orders)
        routes = {
            each.path: ServedOperation(each, streamed if each.stream else answered) for each in self.operations.values()
        }
        self.server = HttpServer(routes, app=app, interfaces=[RestInterface(routes.values())])
        self.client = HttpClient(f"unix:{path}")

    async def attack(self, request: bytes) -> bytes:
        """Send the request, or several at once; the status of the last answer."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        sending = asyncio.ensure_future(sent(writer, request))
        try:
            async with asyncio.timeout(PATIENCE):
                for _ in range(max(1, request.count(b" HTTP/1.1\r\n"))):
                    await reader.readuntil(b"HTTP/1.1 ")
                return await reader.readexactly(3)
        finally:
            sending.cancel()  # an early answer leaves some unsent
            await asyncio.gather(sending, return_exceptions=True)
            writer.close()

    async def waits(self, work: asyncio.Future[Any]) -> list[float]:
        """How long each call of the neighbour waits while the work goes on, and a few more.

        In time that this process computes, on whichever thread: while the loop or the interpreter is held, it does.
        What other processes take from it is none of the server's doing.
        """
        hello = self.operations["hello"]
        found: list[float] = []
        while not work.done() or len(found) < 20:
            began = time.process_time()
            await self.client.call(Call(hello, hello.request(name="Ada"), Context()))
            found.append(time.process_time() - began)
        return found


@asynccontextmanager
async def opened(path: str, app: Any) -> AsyncIterator[House]:
    """A house that stands open at a socket."""
    house = House(path, app)
    await house.server.start(f"unix:{path}")
    with collected_as_in_a_process():
        yield house
    await house.client.stop()
    await house.server.stop()


@contextmanager
def collected_as_in_a_process() -> Iterator[None]:
    """The heap of a run of tests takes the collector of cycles longer than any request; a process spares its own."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTING)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()
