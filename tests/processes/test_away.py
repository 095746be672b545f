"""A subscriber whose process was away is served as soon as it is back: its process says that it is."""

import json
import os
import signal
from pathlib import Path

import httpx

from meristem.supervision.ports import free_port

from .conftest import PATIENCE, Command, meristem, told

NEWS = """
import asyncio
from pathlib import Path
from typing import Protocol
from meristem import Contract, Database, Event, Service, System, on, operation, post
from meristem.events import redelivery

redelivery.wait_after = lambda *_: 3600.0  # whoever waits for the next attempt does not see it

class Said(Event, package="news.v1", key="word"):
    word: str

class Paper(Contract, Protocol, package="news.v1"):
    @operation(http=post("/say"))
    async def say(self, word: str) -> None: ...

class PaperService(Paper, Service):
    def __init__(self, database: Database) -> None:
        self.database = database
    async def say(self, word: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Said(word=word))

class ReaderService(Service):
    async def start(self) -> None:
        print("reader begins", flush=True)
        while Path("away").exists():
            await asyncio.sleep(0.05)
    @on(Said)
    async def read(self, event: Said) -> None:
        print("read", event.word, flush=True)

system = System("news", services=[PaperService, ReaderService])
"""
SPLIT = """
[processes]
paper = ["paper"]
reader = ["reader"]
"""
WORDS = [f"word-{number}-" for number in range(20)]  # more than a circuit breaker lets through as its probes


async def test_a_subscriber_that_was_killed_is_served_when_it_is_back_and_not_at_the_next_attempt(
    tmp_path: Path, ended: list[Command]
):
    (tmp_path / "news.py").write_text(NEWS)
    (tmp_path / "split.toml").write_text(SPLIT)
    run = await meristem(tmp_path, "run", "news.py", "--placement", "split.toml", "--port", str(free_port()))
    ended.append(run)
    address = next(word for word in (await run.shows("news runs at")).split() if word.startswith("http://"))
    _, shown = await told(tmp_path, "ps", "news.py", "--json")
    reader = next(row["pid"] for row in json.loads(shown) if row["name"] == "reader")
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as web:
        (await web.post("/api/say", json={"word": "one"})).raise_for_status()
        await run.shows("read one")
        (tmp_path / "away").touch()
        os.kill(reader, signal.SIGKILL)
        await run.shows("reader begins", 2)
        for word in WORDS:
            (await web.post("/api/say", json={"word": word})).raise_for_status()
        await run.shows("cannot be reached, its events wait 3600.0 s")
    assert not [word for word in WORDS if f"read {word}" in run.text]

    (tmp_path / "away").unlink()

    await run.shows("read word-", len(WORDS))
