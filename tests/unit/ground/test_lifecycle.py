"""What ignores that it is cancelled is named, and holds up nobody."""

import asyncio
import contextlib

import pytest

from meristem import lifecycle
from meristem.lifecycle import Background, end

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
