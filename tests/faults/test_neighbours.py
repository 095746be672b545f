"""While the worst bodies that a server accepts are read, and worse ones refused, others are answered in time."""

from __future__ import annotations

import asyncio
import gc
import gzip
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import pytest

from meristem.context import Context
from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.operation import get, post, safe
from meristem.resilience.limits import Limits
from meristem.runtime.process import COLLECTING
from meristem.transports.http.client.http_client import HttpClient
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer

MIB = 1024 * 1024
PATIENCE = 60.0  # seconds
WAIT = 0.05  # seconds that a neighbour's call may wait: each of them, as the few that an attack holds up are no p99
UNDIVIDED = 0.15  # where the decoder of JSON has one string of 30 MB to unescape, which it does in one go
TIMES = 3
# What unpacks lets the loop run beside it; where the machine does not, that counts as held, but hardly each time.
ROUNDS = 3
JSON = "content-type: application/json"
GZIP = "content-encoding: gzip"
OWN = "user-agent: meristem/1"


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


class Orders(Contract, Protocol, package="neighbours.v1"):
    @safe
    async def hello(self, name: str) -> str: ...

    @safe(http=post("/orders"))
    async def send(self, order: Order) -> int: ...

    @safe(http=get("/found"))
    async def find(self, tags: list[str] | None = None) -> int: ...

    @safe
    def follow(self, order: Order) -> AsyncIterator[int]: ...


async def answered(call: Call) -> Any:
    return call.request.name if call.operation.name == "hello" else 1


async def followed(_call: Call) -> AsyncIterator[int]:
    async def numbers() -> AsyncIterator[int]:
        yield 1

    return numbers()


def filled(before: bytes, unit: bytes, behind: bytes, size: int) -> bytes:
    """A body of about `size` bytes that repeats a unit."""
    return before + b",".join([unit] * max(1, (size - len(before)) // (len(unit) + 1))) + behind


def bodies() -> dict[str, bytes]:
    """What a client may send as an `Order`, the worst that is accepted and what is beyond."""
    most = Limits().body_values
    return {
        "empty lists": b'{"grid":[' + b",".join([b"[]"] * (most - 10)) + b"]}",
        "empty lists, too many": filled(b'{"grid":[', b"[]", b"]}", 8 * MIB),
        "unknown lists": b'{"other":[' + b",".join([b"[]"] * (most - 10)) + b"]}",
        "unknown lists, too many": filled(b'{"other":[', b"[]", b"]}", 30 * MIB),
        "messages": b'{"lines":[' + b",".join([b'{"name":"x"}'] * (most // 2 - 10)) + b"]}",
        "keys": b'{"counts":{' + b",".join(b'"%d":1' % each for each in range(most - 10)) + b"}}",
        "keys, too many": b'{"counts":{' + b",".join(b'"%d":1' % each for each in range(2 * MIB)) + b"}}",
        "unknown keys": b"{" + b",".join(b'"%d":1' % each for each in range(most - 10)) + b"}",
        "depth": b"[" * (30 * MIB),
        "depth of messages": b'{"below":[' * 400 + b"]}" * 400,
        "a long string": b'{"text":"' + b"a" * (30 * MIB) + b'"}',
        "a string of escapes": b'{"text":"' + rb"\n" * (15 * MIB) + b'"}',
        "a string of commas": b'{"text":"' + b"," * (30 * MIB) + b'"}',
        "base64": b'{"raw":"' + b"AAAA" * (7 * MIB) + b'"}',
        "a long number": b'{"grid":[[' + b"7" * (8 * MIB) + b"]]}",
        "numbers as text": b'{"grid":[[' + b",".join([b'"1"'] * (most - 10)) + b"]]}",
        "a wrong value that looks like a path": b'{"grid":"' + b" - at `$" * MIB + b'"}',
    }


def post_of(path: str, body: bytes, *fields: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "host: x", *fields, f"content-length: {len(body)}", "", ""]
    return "\r\n".join(head).encode() + body


def get_of(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "host: x", *fields, "", ""]).encode()


RPC, REST, STREAM = "/neighbours.v1.Orders/Send", "/api/orders", "/neighbours.v1.Orders/Follow"


def heads() -> dict[str, bytes]:
    return {
        "many query fields": get_of("/api/found?" + "&".join(["tags=1"] * 8000)),
        "many parameters": get_of("/neighbours.v1.Orders/Find?" + "&".join(["a=1"] * 14_000)),
        "many lines": get_of("/api/found", *(f"a{number}: 1" for number in range(6000))),
        "a line many times": get_of("/api/found", *["a: 1"] * 10_000),
    }


def streams() -> dict[str, bytes]:
    media = "content-type: application/connect+json"
    packed = gzip.compress(bodies()["unknown lists, too many"])
    one = b"\1" + len(packed).to_bytes(4, "big") + packed
    return {
        "millions of envelopes": post_of(STREAM, bytes(5) * (6 * MIB), media),
        "a packed envelope": post_of(STREAM, one, media, "connect-content-encoding: gzip"),
    }


def binaries() -> dict[str, bytes]:
    media = "content-type: application/proto"
    most = Limits().body_values
    return {
        "messages": post_of(RPC, b"\x0a\x00" * (most - 10), media),
        "messages, too many": post_of(RPC, b"\x0a\x00" * (8 * MIB), media),
        "unknown fields": post_of(RPC, b"\xa0\x06\x01" * (most - 10), media),
        "flags, too many": post_of(RPC, b"\x22\x80\x80\x80\x04" + bytes(8 * MIB), media),
        "a bomb": post_of(RPC, gzip.compress(b"\x0a\x00" * (15 * MIB)), media, GZIP),
    }


def requests(kind: str) -> dict[str, bytes]:
    if kind == "heads":
        return heads()
    if kind == "streams":
        return streams()
    if kind == "protobuf":
        return binaries()
    forms: dict[str, Callable[[bytes], bytes]] = {
        "rest": lambda body: post_of(REST, body, JSON),
        "rpc": lambda body: post_of(RPC, body, JSON),
        "own client": lambda body: post_of(RPC, body, JSON, OWN),
        "gzip": lambda body: post_of(RPC, gzip.compress(body, 9), JSON, GZIP),
        "rest gzip": lambda body: post_of(REST, gzip.compress(body, 9), JSON, GZIP),
    }
    return {name: forms[kind](body) for name, body in bodies().items()}


class House:
    """A server with an attacker and a neighbour."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.operations = operations(Orders)
        streams = {name: followed for name, each in self.operations.items() if each.stream}
        routes = {
            each.path: ServedOperation(each, streams.get(name, answered)) for name, each in self.operations.items()
        }
        self.server = HttpServer(routes, interfaces=[RestInterface(routes.values())])
        self.client = HttpClient(f"unix:{path}")

    async def attack(self, request: bytes) -> bytes:
        """Send the request; the status of its answer."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        try:
            writer.write(request)
            return (await asyncio.wait_for(reader.readline(), PATIENCE)).split()[1]
        finally:
            writer.close()

    async def attacks(self, request: bytes) -> None:
        """Several times one behind the other."""
        for _ in range(TIMES):
            await self.attack(request)

    async def waits(self, work: asyncio.Task[Any]) -> list[float]:
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


@pytest.fixture
async def house(tmp_path: Any) -> AsyncIterator[House]:
    opened = House(f"{tmp_path}/s")
    await opened.server.start(f"unix:{opened.path}")
    with collected_as_in_a_process():
        yield opened
    await opened.client.stop()
    await opened.server.stop()


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


@pytest.mark.parametrize("kind", ["rest", "rpc", "own client", "gzip", "rest gzip", "protobuf", "streams", "heads"])
async def test_a_neighbour_waits_fifty_milliseconds_at_most(house, kind):
    if kind == "protobuf":
        pytest.importorskip("google.protobuf")
    late = {}
    for name, request in requests(kind).items():
        allowed = UNDIVIDED if name == "a string of escapes" else WAIT
        for _ in range(ROUNDS):
            work = asyncio.ensure_future(house.attacks(request))
            longest = max(await house.waits(work))
            await work
            if longest <= allowed:
                break
        else:
            late[name] = f"{longest * 1000:.0f} ms of {allowed * 1000:.0f}"
    assert not late
