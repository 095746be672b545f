"""Clients that do nothing, or read nothing, beside others that work: memory is bounded, and each is let go in time."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from .fuzz import HOUSE
from .malformed import head, sized
from .victim import MIB, PATIENCE, Victim, heard, many_files, running

IDLE = 2000
LIMITS = "[server]\nidle_seconds = 8.0\nwrite_seconds = 1.0\n"
JSON = "content-type: application/json"
STREAMED = b'{"until":1000}'
LONG = {
    "rpc": sized("/house.v1.House/Blob", b'{"size":1000000}', JSON) * 20,
    "rest": head("GET /api/blob?size=1000000") * 20,
    "stream": sized(
        "/house.v1.House/Count",
        b"\0" + len(STREAMED).to_bytes(4, "big") + STREAMED,
        "content-type: application/connect+json",
    )
    * 20,
    "events": head("GET /api/count?until=1000") * 20,
    "app": head("GET /app/blob") * 20,
}


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    limits = tmp_path / "limits.toml"
    limits.write_text(LIMITS)
    system = Path(shutil.copy(HOUSE, tmp_path))
    with many_files(), running(system, tmp_path / "log", "--placement", str(limits)) as found:
        yield found


async def test_two_thousand_idle_connections_cost_little_disturb_nobody_and_are_let_go(victim: Victim):
    assert await victim.greeted()
    before = victim.memory
    async with AsyncExitStack() as dialled:
        idle = [await dialled.enter_async_context(victim.dial()) for _ in range(IDLE)]
        ends = [asyncio.create_task(heard(reader)) for reader, _ in idle]
        greeted = [await victim.greeted() for _ in range(20)]
        grown = victim.memory - before
        async with asyncio.timeout(PATIENCE + 8):
            told = await asyncio.gather(*ends)

    assert all(greeted)
    assert grown < 32 * MIB  # 16 KiB each
    assert {answer[:12] for answer in told} == {b"HTTP/1.1 408"}


@pytest.mark.parametrize("kind", LONG)
async def test_who_reads_nothing_is_cut_off_in_time_and_fills_no_memory(victim: Victim, kind: str):
    assert await victim.greeted()
    before = victim.memory
    async with AsyncExitStack() as dialled:
        slow = [await dialled.enter_async_context(victim.dial()) for _ in range(20)]
        for reader, writer in slow:
            reader._transport.pause_reading()
            writer.write(LONG[kind])
        assert await victim.greeted()
        assert _connections(victim) >= len(slow)
        grown = 0
        async with asyncio.timeout(PATIENCE):
            while _connections(victim):
                grown = max(grown, victim.memory - before)
                await asyncio.sleep(0.05)

    assert await victim.greeted()
    assert grown < 64 * MIB  # of the 400 MB that they asked for


def _connections(victim: Victim) -> int:
    """How many connections the process has on its port."""
    port = f":{victim.port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(line[1].endswith(port) and line[3] == "01" and line[9] != "0" for line in lines)
