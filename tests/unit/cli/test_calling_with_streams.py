"""`meristem call` sends the lines of standard input to an operation that takes a stream, as they come."""

import asyncio
import json

import pytest

from tests.suites.command import begin

from .conftest import PATIENCE

BELT = """
from collections.abc import AsyncIterator
from typing import Protocol
from meristem import Contract, Message, Service, System, operation

class Box(Message):
    number: int

class Belt(Contract, Protocol, package="belt.v1"):
    @operation
    async def total(self, numbers: AsyncIterator[int]) -> int: ...
    @operation
    async def first(self, boxes: AsyncIterator[Box]) -> Box: ...
    @operation
    def sums(self, boxes: AsyncIterator[Box]) -> AsyncIterator[int]: ...

class BeltService(Belt, Service):
    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])
    async def first(self, boxes: AsyncIterator[Box]) -> Box:
        return await anext(boxes)
    async def sums(self, boxes: AsyncIterator[Box]) -> AsyncIterator[int]:
        total = 0
        async for box in boxes:
            total += box.number
            yield total

system = System("belt", services=[BeltService])
"""


@pytest.fixture
async def belt(project, environment, start):
    """Calls an operation of a running system, and gives the process."""
    (project / "belt.py").write_text(BELT)
    running = await start("run", "belt.py", "--port", "0")
    await running.shows("belt runs at ")

    async def call(*arguments: str) -> asyncio.subprocess.Process:
        arguments = ("call", "--system", "belt.py", *arguments)
        return await begin(*arguments, cwd=project, environment=environment, stdin=asyncio.subprocess.PIPE)

    return call


async def test_each_line_is_an_item(belt):
    process = await belt("belt.total")
    out, err = await asyncio.wait_for(process.communicate(b"1\n\n2\n3"), PATIENCE)

    assert (json.loads(out), err, process.returncode) == (6, b"", 0)


async def test_replies_are_printed_as_the_lines_come_and_the_answer_ends_the_command(belt):
    process = await belt("belt.sums")
    told = []
    async with asyncio.timeout(PATIENCE):
        for number in range(3):
            process.stdin.write(b'{"number": %d}\n' % number)
            told.append((await process.stdout.readline()).strip())
        process.stdin.close()
        await process.wait()
    assert (told, process.returncode) == ([b"0", b"1", b"3"], 0)

    process = await belt("belt.first")
    process.stdin.write(b'{"number": 7}\n')  # and never closed: nobody waits for what is not asked for
    async with asyncio.timeout(PATIENCE):
        assert json.loads(await process.stdout.read()) == {"number": 7}
        assert await process.wait() == 0
    assert await process.stderr.read() == b""


async def test_a_line_that_does_not_fit_is_told_with_its_number(belt):
    process = await belt("belt.sums")
    out, err = await asyncio.wait_for(process.communicate(b'{"number": 1}\n{"number": "x"}\n'), PATIENCE)

    assert (out.strip(), process.returncode) == (b"1", 2)
    assert b"Invalid value for item 2 of standard input: number: expected `int`, got `str`" in err


async def test_a_request_is_not_also_an_argument(belt):
    process = await belt("belt.total", "[1]")
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE)

    assert process.returncode == 2
    assert b"Belt.total takes a stream: give its items on standard input, a line of JSON each" in err
