"""What ignores that it is cancelled is named, and holds up nobody."""

import asyncio
import contextlib

import pytest

from meristem import lifecycle
from meristem.lifecycle import Background, end, first_of

PATIENCE = 30  # seconds


class Mule:
    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.freed = asyncio.Event()

    async def stay(self) -> None:
        self.begun.set()
        while not self.freed.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await self.freed.wait()


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(lifecycle, "GRACE", 0.05)


async def test_a_background_task_that_ignores_its_cancellation_is_named_and_left(caplog):
    mule, background = Mule(), Background("stable")
    background.spawn(asyncio.sleep(3600), "sleeper")
    task = background.spawn(mule.stay(), "mule")
    await mule.begun.wait()

    await asyncio.wait_for(background.stop(), PATIENCE)
    mule.freed.set()
    await task

    [said] = caplog.messages
    assert said.startswith("stable: mule ignores that it was cancelled, in Mule.stay (")
    assert "test_lifecycle.py:" in said


async def test_what_ends_when_it_is_cancelled_is_not_spoken_of(caplog):
    sleeper = asyncio.create_task(asyncio.sleep(3600))
    sleeper.cancel()

    assert not await end([sleeper])
    assert not await end([])
    assert not caplog.messages


async def test_what_ends_first_ends_the_wait_and_the_rest_is_cancelled():
    news, ended = asyncio.Event(), []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("slow")

    asyncio.get_running_loop().call_soon(news.set)
    await asyncio.wait_for(first_of(news.wait(), slow()), PATIENCE)
    assert ended == ["slow"]


async def test_a_wait_for_the_first_ends_at_its_timeout_too():
    await asyncio.wait_for(first_of(asyncio.Event().wait(), timeout=0.01), PATIENCE)


async def test_who_is_cancelled_while_waiting_for_the_first_leaves_nothing_behind():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(first_of(slow()))
    await begun.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended.is_set()
