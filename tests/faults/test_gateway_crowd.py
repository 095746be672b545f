"""Crowds of idle and slow clients at an address with a policy: bounded, let go in time, and others are served."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .fuzz import HOUSE
from .victim import MIB, PATIENCE, Victim, heard, running

if TYPE_CHECKING:
    from collections.abc import Iterator

WHOLE = os.environ["PARITY_SEED"] == "whole"
IDLE, SLOW = (10_000, 1_000) if WHOLE else (300, 50)
SECONDS = 20.0 if WHOLE else 4.0  # for which the server waits for a head, or for another request
GATEWAY = f"""
[server]
idle_seconds = {SECONDS}
head_seconds = {SECONDS}
connections = {IDLE + SLOW + 100}
connections_per_address = {IDLE + SLOW + 100}

[gateway.limits.visitors]
rate = "200/s"
burst = 100
delay = true
status = 503

[gateway.concurrency.few]
requests = 50

[gateway.firewall]
trusted = ["127.0.0.1"]

[[gateway.firewall.rules]]
action = "deny"
paths = ["/wp/*"]

[gateway.firewall.ban]

[gateway.routes.all]
limits = ["visitors"]
concurrency = ["few"]
"""


@pytest.fixture
def policed(tmp_path: Path) -> Iterator[Victim]:
    placement = tmp_path / "policed.toml"
    placement.write_text(GATEWAY)
    system = Path(shutil.copy(HOUSE, tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, IDLE + SLOW + 1_000)), hard))
    with running(system, tmp_path / "log", "--placement", str(placement)) as found:
        yield found
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Send a head byte by byte, and never its end, until the server has enough."""
    hearing, sent = asyncio.ensure_future(heard(reader)), b"GET /x?"
    with suppress(OSError):
        while not hearing.done():
            writer.write(sent)
            sent = b"a"
            await asyncio.wait({hearing}, timeout=SECONDS / 10)
    return await hearing


@pytest.mark.timeout(600 if WHOLE else 120)
async def test_a_crowd_is_let_go_in_time_and_others_are_served_meanwhile(policed: Victim):
    assert await policed.greeted()
    before = policed.memory
    async with AsyncExitStack() as dialled:
        idle = [await dialled.enter_async_context(policed.dial()) for _ in range(IDLE)]
        ends = [asyncio.create_task(heard(reader)) for reader, _ in idle]
        slow = [await dialled.enter_async_context(policed.dial()) for _ in range(SLOW)]
        ends += [asyncio.create_task(slowly(*each)) for each in slow]
        greeted = [await policed.greeted() for _ in range(20)]
        grown = policed.memory - before
        async with asyncio.timeout(PATIENCE + 5 * SECONDS):
            told = await asyncio.gather(*ends)
        assert await policed.greeted()

    assert all(greeted)
    assert grown < 32 * MIB + (IDLE + SLOW) * 16 * 1024
    assert {answer[:12] for answer in told} <= {b"HTTP/1.1 408", b""}
