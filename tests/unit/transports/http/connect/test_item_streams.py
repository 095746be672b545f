"""Requests that are streams, byte by byte: what a server takes, what it refuses, and what it holds meanwhile."""

from __future__ import annotations

import asyncio
import gzip
import json
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol

import pytest

from meristem.context import Context
from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.contract import Contract, operations
from meristem.contracts.items import GivenItems
from meristem.contracts.operation import operation, safe
from meristem.errors import CallError, Code
from meristem.resilience.limits import Limits
from meristem.transports.http.client.http_client import HttpClient
from meristem.transports.http.connect.framing import END, envelope
from meristem.transports.http.server.http_server import HttpServer

PATIENCE = 30
LAST = b"0\r\n\r\n"


class Belt(Contract, Protocol, package="belts.v1"):
    @operation
    async def total(self, sizes: AsyncIterator[list[int]]) -> int: ...

    @operation
    async def bytes_of(self, blobs: AsyncIterator[bytes]) -> int: ...

    @operation
    async def first(self, names: AsyncIterator[str]) -> str: ...

    @safe
    async def hold(self, names: AsyncIterator[str]) -> str: ...

    @operation
    def echo(self, names: AsyncIterator[str]) -> AsyncIterator[str]: ...


KNOWN = operations(Belt)


class House:
    """The belt on a real server."""

    def __init__(self) -> None:
        self.met: list[BaseException] = []
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.server = HttpServer({})
        self.client: Any = None
        self.address = ""

    async def total(self, call: Call) -> int:
        try:
            return sum([sum(item.sizes) async for item in call.request])
        except BaseException as error:
            self.met.append(error)
            raise
        finally:
            self.ended.set()

    async def bytes_of(self, call: Call) -> int:
        return sum([len(item.blobs) async for item in call.request])

    async def first(self, call: Call) -> str:
        return (await anext(call.request)).names

    async def hold(self, call: Call) -> str:
        self.began.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()
        return ""

    async def echo(self, call: Call) -> AsyncIterator[str]:
        async def names() -> AsyncIterator[str]:
            async for item in call.request:
                yield item.names

        return names()

    async def open(self, path: Any, **limits: Any) -> None:
        routes = {each.path: ServedOperation(each, getattr(self, name)) for name, each in KNOWN.items()}
        self.server = HttpServer(routes, limits=Limits(**limits))
        await self.server.start(f"unix:{path}/belt.sock")
        self.address = self.server.addresses[0]
        self.client = HttpClient(self.address)

    async def call(self, name: str, items: AsyncIterator[Any]) -> Any:
        found = KNOWN[name]
        async with asyncio.timeout(PATIENCE):
            return await self.client.call(Call(found, GivenItems(found, items), Context()))

    async def raw(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.address.removeprefix("unix:"))

    async def answer(self, name: str, *parts: bytes, lines: tuple[str, ...] = (), last: bytes = LAST) -> Any:
        """The last envelope that a stranger is answered, and the replies before it."""
        reader, writer = await self.raw()
        writer.write(head(name, "connection: close", *lines) + b"".join(chunk(each) for each in parts) + last)
        async with asyncio.timeout(PATIENCE):
            data = await reader.read()
        writer.close()
        return envelopes(data)

    async def stop(self) -> None:
        await self.client.stop()
        await self.server.stop()


def head(name: str, *lines: str) -> bytes:
    first = f"POST {KNOWN[name].path} HTTP/1.1"
    media = ["host: localhost", "content-type: application/connect+json", "transfer-encoding: chunked"]
    return "\r\n".join([first, *media, *lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def item(value: Any, field: str = "sizes", flags: int = 0) -> bytes:
    return envelope(json.dumps({field: value}).encode(), flags)


def envelopes(answer: bytes) -> list[Any]:
    """What the messages of a chunked answer say."""
    _, _, rest = answer.partition(b"\r\n\r\n")
    body = b""
    while (size := int(rest.partition(b"\r\n")[0] or b"0", 16)) > 0:
        rest = rest.partition(b"\r\n")[2]
        body, rest = body + rest[:size], rest[size + 2 :]
    found = []
    while body:
        size = int.from_bytes(body[1:5], "big")
        found.append(json.loads(body[5 : 5 + size]))
        body = body[5 + size :]
    return found


async def given(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


@pytest.fixture
async def house(tmp_path: Any) -> AsyncIterator[House]:
    opened = House()
    await opened.open(tmp_path)
    yield opened
    await opened.stop()


@pytest.fixture
async def narrow(tmp_path: Any) -> AsyncIterator[House]:
    """One that takes little."""
    opened = House()
    await opened.open(tmp_path, body_bytes=1024, body_values=20, body_chunks=1)
    yield opened
    await opened.stop()


# What is taken


async def test_a_stranger_sends_items_and_is_answered_once(house):
    assert await house.answer("total", item([1]), item([2, 3]) + item([4])) == [{"result": 10}, {}]


async def test_an_item_may_come_in_any_pieces(house):
    whole = item([1, 2, 3])

    assert await house.answer("total", *(whole[at : at + 1] for at in range(len(whole)))) == [{"result": 6}, {}]


async def test_a_compressed_item_is_unpacked(house):
    packed = envelope(gzip.compress(b'{"sizes":[5]}'), 1)

    assert await house.answer("total", packed, lines=("connect-content-encoding: gzip",)) == [{"result": 5}, {}]


async def test_a_body_of_a_length_is_a_stream_too(house):
    reader, writer = await house.raw()
    body = item([1]) + item([2])
    start = head("total", "connection: close").replace(b"transfer-encoding: chunked", b"content-length: %d" % len(body))
    writer.write(start + body)

    assert envelopes(await asyncio.wait_for(reader.read(), PATIENCE)) == [{"result": 3}, {}]
    writer.close()


async def test_the_next_request_of_a_stranger_is_read_where_a_stream_ended(house):
    """Whether its items were all taken or not."""
    reader, writer = await house.raw()
    stream = head("first") + chunk(item("a", "names")) + chunk(item("b", "names")) + LAST
    writer.write(stream * 3)
    async with asyncio.timeout(PATIENCE):
        for _ in range(3):
            await reader.readuntil(b"\r\n\r\n")
            assert b'"a"' in await reader.readuntil(LAST)
    writer.close()


async def test_there_is_no_end_to_the_number_of_items(narrow):
    async def sizes() -> AsyncIterator[list[int]]:
        for _ in range(5_000):
            yield [1]

    assert await narrow.call("total", sizes()) == 5_000


async def test_a_long_stream_takes_little_memory_at_both_ends(house):
    blob = b"x" * 65_536

    async def blobs() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            yield blob

    tracemalloc.start()
    try:
        assert await house.call("bytes_of", blobs()) == 1_000 * len(blob)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * 1024 * 1024  # of 62 MiB that went over, as base64 of 83


# What is refused


async def test_an_item_above_the_limit_is_refused_as_a_body_would_be(narrow):
    with pytest.raises(CallError, match="the request is larger than 1024 bytes") as caught:
        await narrow.call("bytes_of", given(b"x" * 900))

    assert caught.value.code is Code.INVALID_ARGUMENT
    assert await narrow.call("bytes_of", given(*[b"x" * 600] * 10)) == 6_000


async def test_an_item_of_too_many_values_is_refused(narrow):
    [error] = await narrow.answer("total", item([1]), item([1] * 30))

    assert error["error"]["code"] == "invalid_argument"
    assert [type(each) for each in narrow.met] == [CallError]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([envelope(b'{"sizes":"x"}')], "sizes"),
        ([envelope(b"{")], ""),
        ([envelope(b'{"sizes":[1]}')[:-1]], "its last message is cut short"),
        ([b"\0\0"], "its last message is cut short"),
        ([item([1], flags=4)], "flags 0x4 mean nothing in a request"),
        ([item([1], flags=END)], "flags 0x2 mean nothing in a request"),
    ],
)
async def test_what_is_no_item_is_refused_and_its_callee_told(house, parts, said):
    [error] = await house.answer("total", item([1]), *parts)

    assert error["error"]["code"] == "invalid_argument"
    assert said in error["error"]["message"]
    [met] = house.met
    assert isinstance(met, CallError)
    assert met.code is Code.INVALID_ARGUMENT


async def test_unsound_framing_in_the_midst_ends_the_connection_and_the_callee(house):
    reader, writer = await house.raw()
    writer.write(head("total") + chunk(item([1])) + b"no size\r\n")

    assert await asyncio.wait_for(reader.read(), PATIENCE) == b""  # nothing that could be taken for an answer
    await asyncio.wait_for(house.ended.wait(), PATIENCE)
    writer.close()


async def test_a_stranger_may_not_stream_both_ways(house):
    [error] = await house.answer("echo", item("a", "names"))

    assert error["error"]["code"] == "unimplemented"
    assert "call it by gRPC" in error["error"]["message"]


async def test_an_answer_that_does_not_wait_for_the_items_is_read_before_they_end(house):
    released = asyncio.Event()

    async def names() -> AsyncIterator[str]:
        yield "a"
        await released.wait()

    async with aclosing(await house.call("echo", names())) as replies:
        assert await asyncio.wait_for(anext(replies), PATIENCE) == "a"
        released.set()
        assert [each async for each in replies] == []


# How it ends


async def test_a_stream_that_reached_no_server_is_all_there_for_another_attempt(house, tmp_path):
    found = KNOWN["total"]
    call, dead = Call(found, GivenItems(found, given([1], [2])), Context()), HttpClient(f"unix:{tmp_path}/nobody.sock")
    with pytest.raises(CallError) as caught:
        await dead.call(call)

    assert (caught.value.code, caught.value.may_have_happened, call.repeatable) == (Code.UNAVAILABLE, False, True)
    assert await house.client.call(call) == 3


async def test_a_client_that_goes_while_its_callee_takes_nothing_cancels_it(house):
    async def names() -> AsyncIterator[str]:
        while True:
            yield "x" * 10_000

    call = asyncio.ensure_future(house.call("hold", names()))
    await asyncio.wait_for(house.began.wait(), PATIENCE)
    for _ in range(1_000):  # until both ends hold as much as they may
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call

    await asyncio.wait_for(house.ended.wait(), PATIENCE)


async def test_connections_of_streams_are_closed_with_them(house):
    for _ in range(3):
        assert await house.call("first", given("a", "b")) == "a"
        assert await house.call("total", given([1], [2])) == 3
    async with asyncio.timeout(PATIENCE):
        while house.server.connections:
            await asyncio.sleep(0)


async def test_what_an_iterator_raises_while_it_is_closed_is_its_caller_s(house):
    async def names() -> AsyncIterator[str]:
        try:
            yield "a"
            await asyncio.Event().wait()
        finally:
            raise LookupError("in its cleanup")

    with pytest.raises(LookupError, match="in its cleanup"):
        await house.call("first", names())


async def test_an_iterator_that_hides_that_it_is_cancelled_is_left_to_itself_and_told_of(house, monkeypatch, caplog):
    monkeypatch.setattr("meristem.transports.item_sending.GRACE", 0.01)
    released = asyncio.Event()

    async def names() -> AsyncIterator[str]:
        yield "a"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await released.wait()

    assert await house.call("first", names()) == "a"
    assert "items of Belt.first go on after their call" in caplog.text
    released.set()


async def test_a_server_that_drains_lets_a_stream_end(house):
    more = asyncio.Event()

    async def sizes() -> AsyncIterator[list[int]]:
        yield [1]
        await more.wait()
        yield [2]

    call = asyncio.ensure_future(house.call("total", sizes()))
    async with asyncio.timeout(PATIENCE):
        while not house.server.connections:
            await asyncio.sleep(0)
        for _ in range(100):
            await asyncio.sleep(0)
        drained = asyncio.ensure_future(house.server.drain())
        for _ in range(100):
            await asyncio.sleep(0)
        assert not drained.done()
        more.set()
        assert await call == 3
        await drained


async def test_a_server_that_stops_ends_a_stream_as_unavailable_and_it_may_have_happened(house):
    sent = asyncio.Event()

    async def sizes() -> AsyncIterator[list[int]]:
        yield [1]
        sent.set()
        await asyncio.Event().wait()

    call = asyncio.ensure_future(house.call("total", sizes()))
    await asyncio.wait_for(sent.wait(), PATIENCE)
    for _ in range(100):
        await asyncio.sleep(0)
    await house.server.stop()
    with pytest.raises(CallError) as caught:
        await call

    assert (caught.value.code, caught.value.may_have_happened, caught.value.lost) == (Code.UNAVAILABLE, True, True)
