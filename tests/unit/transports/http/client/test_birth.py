"""Whoever misses a socket that nobody has listened on yet waits for it, from the first time on for a while."""

import asyncio
from pathlib import Path

import pytest

from meristem.transports.http.client.birth import Birth

PATIENCE = 60.0


async def test_all_who_wait_are_told_when_it_is_there(tmp_path: Path):
    birth = Birth(str(tmp_path / "socket"))
    waiting = [asyncio.create_task(birth.within(PATIENCE)) for _ in range(3)]
    await asyncio.sleep(0)
    (tmp_path / "socket").touch()

    assert await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE) == [True] * 3


async def test_patience_is_counted_from_the_first_time_that_it_was_missed(tmp_path: Path):
    birth = Birth(str(tmp_path / "socket"))

    assert not await birth.within(0.05)
    again = birth.within(0.05)
    with pytest.raises(StopIteration, match="False"):  # at once, without a turn of the loop
        again.send(None)
    (tmp_path / "socket").touch()
    assert await birth.within(0.05)


async def test_nobody_looks_when_nobody_waits(tmp_path: Path):
    birth = Birth(str(tmp_path / "socket"))
    waiting = asyncio.create_task(birth.within(PATIENCE))
    await asyncio.sleep(0)
    [looking] = [each for each in asyncio.all_tasks() if each.get_name().startswith("look for")]
    waiting.cancel()

    await asyncio.wait_for(asyncio.wait({looking}), PATIENCE)
