"""A subscriber whose process was away is served as soon as it is back: its process says that it is."""

import os
import signal
from pathlib import Path

from .conftest import Command
from .newsroom import founded, pid_of, published, say

READER = """
import asyncio
from pathlib import Path
from meristem import Service, System, on
from meristem.events import redelivery

redelivery.wait_after = lambda *_: 3600.0  # whoever waits for the next attempt does not see it

class ReaderService(Service):
    async def start(self) -> None:
        print("reader begins", flush=True)
        while Path("away").exists():
            await asyncio.sleep(0.05)
    @on(Said)
    async def read(self, event: Said) -> None:
        print("read", event.word, flush=True)
"""
WORDS = [f"word-{number}-" for number in range(20)]  # more than a circuit breaker lets through as its probes


async def test_a_subscriber_that_was_killed_is_served_when_it_is_back_and_not_at_the_next_attempt(
    tmp_path: Path, ended: list[Command]
):
    async with published(founded(tmp_path, READER), ended) as (run, web):
        reader = await pid_of(tmp_path, "reader")
        await say(web, "one")
        await run.shows("read one")
        (tmp_path / "away").touch()
        os.kill(reader, signal.SIGKILL)
        await run.shows("reader begins", 2)
        for word in WORDS:
            await say(web, word)
        await run.shows("cannot be reached, its events wait 3600.0 s")
    assert not [word for word in WORDS if f"read {word}" in run.text]

    (tmp_path / "away").unlink()

    await run.shows("read word-", len(WORDS))
