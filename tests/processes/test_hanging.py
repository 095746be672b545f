"""A process of a system that hangs costs its callers patience, and no event an attempt."""

import asyncio
import json
import os
import signal
from pathlib import Path

import httpx
import pytest

from meristem.supervision.ports import free_port

from .conftest import PATIENCE, Command, meristem, told

NEWS = """
import os, time
from pathlib import Path
from typing import Protocol
from meristem import Contract, Database, Event, Service, System, on, operation, post, safe

class Said(Event, package="news.v1"):
    word: str

class Paper(Contract, Protocol, package="news.v1"):
    @operation(http=post("/say"))
    async def say(self, word: str) -> None: ...
    @safe(http=post("/think"), timeout=60.0)
    async def think(self, seconds: float) -> None: ...

class PaperService(Paper, Service):
    def __init__(self, database: Database) -> None:
        self.database = database
    async def say(self, word: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Said(word=word))
    async def think(self, seconds: float) -> None:
        time.sleep(seconds)

class Reader(Contract, Protocol, package="reader.v1"):
    @safe
    async def idle(self) -> None: ...

class ReaderService(Reader, Service):
    @on(Said, attempts=1, timeout=0.5)
    async def read(self, event: Said) -> None:
        print("read", event.word, flush=True)
    async def idle(self) -> None: ...

system = System("news", services=[PaperService, ReaderService])
"""
SPLIT = """
[processes]
paper = ["paper"]
reader = ["reader"]

[supervision]
hung = 3.0
late = 0.2
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "news.py").write_text(NEWS)
    (tmp_path / "split.toml").write_text(SPLIT)
    return tmp_path


async def pid_of(directory: Path, process: str) -> int:
    _, shown = await told(directory, "ps", "news.py", "--json")
    return next(row["pid"] for row in json.loads(shown) if row["name"] == process)


async def test_an_event_on_its_way_to_a_process_that_hangs_uses_up_no_attempt(directory: Path, ended: list[Command]):
    run = await meristem(directory, "run", "news.py", "--placement", "split.toml", "--port", str(free_port()))
    ended.append(run)
    address = next(word for word in (await run.shows("news runs at")).split() if word.startswith("http://"))
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as web:
        (await web.post("/api/say", json={"word": "one"})).raise_for_status()
        await run.shows("read one")
        os.kill(await pid_of(directory, "reader"), signal.SIGSTOP)
        (await web.post("/api/say", json={"word": "two"})).raise_for_status()
        await run.shows("reader-0: it gave no sign of life for 3 s and is killed")
        await run.shows("read two")

    code, dead = await told(directory, "events", "dead", "--system", "news.py")
    assert (code, "No dead letters." in dead) == (0, True)


@pytest.mark.parametrize("placement", [["--placement", "split.toml"], []], ids=["processes", "one process"])
async def test_a_method_that_holds_the_event_loop_is_named_in_the_log(
    directory: Path,
    ended: list[Command],
    placement: list[str],
):
    run = await meristem(directory, "run", "news.py", *placement, "--port", str(free_port()))
    ended.append(run)
    address = next(word for word in (await run.shows("news runs at")).split() if word.startswith("http://"))
    async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as web:
        asked = asyncio.ensure_future(web.post("/api/think", json={"seconds": 2.0}))
        await run.shows("the event loop has been held for")
        await run.shows("in think")
        (await asked).raise_for_status()
