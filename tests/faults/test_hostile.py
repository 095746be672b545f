"""Clients that mean harm, against a real process: it stays up, answers others, and its memory stays bounded."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .victim import GOOD, MIB, Victim, heard, many_files, running

HELLO = Path(__file__).parents[2] / "examples" / "quickstart" / "hello.py"
RPC = b"POST /hello.v1.Greeter/Hello HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    home = tmp_path_factory.mktemp("hello")  # of its own: a system runs once from a folder, and tests run side by side
    with many_files(), running(Path(shutil.copy(HELLO, home)), home / "log") as victim:
        yield victim


@pytest.fixture
async def victim(process: Victim) -> AsyncIterator[Victim]:
    """The process, of which a test may use up 48 MiB."""
    assert await process.greeted()
    before = process.memory
    yield process
    assert await process.greeted()
    assert process.memory - before < 48 * MIB


TOKENS = st.sampled_from(
    [
        *(b"GET ", b"POST ", b"/api/hello/Ada", b"/hello.v1.Greeter/Hello", b"?a=%zz&connect=v1", b"%00%ff%"),
        *(b" HTTP/1.1", b" HTTP/1.0", b"\r\n", b"\n", b"\r\n\r\n", b"\x00", b"\x80\xff", b'{"name":"Ada"}'),
        *(b"host: x\r\n", b"connection: close\r\n", b"connection: upgrade\r\nupgrade: websocket\r\n"),
        *(b"content-length: 5\r\n", b"content-length: -1\r\n", b"content-length: 99999999999999999999\r\n"),
        *(b"transfer-encoding: chunked\r\n", b"transfer-encoding: gzip, chunked\r\n", b"expect: 100-continue\r\n"),
        *(b"content-type: application/json\r\n", b"content-type: application/proto\r\n", b"content-encoding: gzip\r\n"),
        *(b"0\r\n\r\n", b"5\r\nhello\r\n", b"ffffffffffffffff\r\n", b"connect-timeout-ms: 1\r\n"),
        *(b"traceparent: 00-zz-zz-01\r\n", b"meristem-token: \xff\r\n", b"idempotency-key: " + b"k" * 300 + b"\r\n"),
    ]
)


async def test_no_bytes_break_it(victim: Victim):
    failures: list[bytes] = []

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(st.one_of(TOKENS, TOKENS, st.binary(max_size=40)), max_size=14).map(b"".join))
    def sent(data: bytes) -> None:
        corpus.append(data)

    corpus: list[bytes] = []
    sent()
    for start in range(0, len(corpus), 100):
        answers = await asyncio.gather(*(victim.answer(each, patience=0.5) for each in corpus[start : start + 100]))
        failures += [each for each in answers if re.search(rb"^HTTP/1.1 5(?!01|05)\d\d", each, re.MULTILINE)]

    assert len(corpus) >= 300
    assert failures == []


async def test_a_head_without_an_end_is_refused_before_it_fills_the_memory(victim: Victim):
    answer = await victim.answer(b"GET / HTTP/1.1\r\n", *[b"x: " + b"a" * MIB] * 64)

    assert answer.startswith(b"HTTP/1.1 431")


async def test_a_body_that_announces_too_much_is_refused_at_once(victim: Victim):
    answer = await victim.answer(RPC + b"content-length: 100000000000\r\n\r\n", *[b"a" * MIB] * 64)

    assert answer.startswith(b"HTTP/1.1 413")


async def test_a_chunked_body_without_an_end_is_cut_off(victim: Victim):
    chunk = b"100000\r\n" + b"a" * MIB + b"\r\n"
    answer = await victim.answer(RPC + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 256, patience=20)

    assert answer.startswith(b"HTTP/1.1 413") or answer == b""  # a reset may overtake the answer


async def test_a_flood_of_requests_whose_answers_nobody_reads_is_read_no_further(victim: Victim):
    """What is written to the socket stays with the kernel and the client, not with the server."""
    request = GOOD.replace(b"connection: close\r\n", b"") * 1000
    written = 0
    async with victim.dial() as (reader, writer):
        reader._transport.pause_reading()
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                while True:
                    writer.write(request)
                    await writer.drain()
                    written += 1

    assert 0 < written < 2000


async def test_a_thousand_slow_clients_neither_block_others_nor_stay(victim: Victim):
    """Slow loris: heads that never end, a byte at a time, over many connections."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        answer = asyncio.ensure_future(heard(reader))
        for byte in b"GET / HTTP/1.1\r\nx: " + b"a" * 10_000:
            writer.write(bytes([byte]))
            await asyncio.wait({answer}, timeout=0.5)
            if answer.done():
                break
        return await answer

    async with AsyncExitStack() as dialled:
        slow = [asyncio.create_task(drip(*await dialled.enter_async_context(victim.dial()))) for _ in range(1000)]
        greeted = [await victim.greeted() for _ in range(20)]
        meanwhile = [each for each in slow if not each.done()]
        async with asyncio.timeout(90):  # the limit for a head is 10 s
            ended = await asyncio.gather(*slow)

    assert all(greeted)
    assert meanwhile  # who had to wait for them would have been greeted after them
    assert {answer[:12] for answer in ended} <= {b"HTTP/1.1 408", b""}
    assert sum(answer != b"" for answer in ended) > 900
