"""A process of a system that hangs costs its callers patience, and no event an attempt."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from .conftest import Command, told
from .newsroom import founded, pid_of, published, say

READER = """
from meristem import Service, System, on

class ReaderService(Service):
    @on(Said, attempts=1, timeout=0.5)
    async def read(self, event: Said) -> None:
        print("read", event.word, flush=True)
"""
SUPERVISION = """
[supervision]
hung = 3.0
late = 0.2
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return founded(tmp_path, READER, SUPERVISION)


async def test_an_event_on_its_way_to_a_process_that_hangs_uses_up_no_attempt(directory: Path, ended: list[Command]):
    async with published(directory, ended) as (run, web):
        await say(web, "one")
        await run.shows("read one")
        os.kill(await pid_of(directory, "reader"), signal.SIGSTOP)
        await say(web, "two")
        await run.shows("reader-0: it gave no sign of life for 3 s and is killed")
        await run.shows("read two")

    code, dead = await told(directory, "events", "dead", "--system", "news.py")
    assert (code, "No dead letters." in dead) == (0, True)


@pytest.mark.parametrize("split", [True, False], ids=["processes", "one process"])
async def test_a_method_that_holds_the_event_loop_is_named_in_the_log(
    directory: Path, ended: list[Command], *, split: bool
):
    async with published(directory, ended, split=split) as (run, web):
        asked = asyncio.ensure_future(web.post("/api/think", json={"seconds": 2.0}))
        await run.shows("the event loop has been held for")
        await run.shows("in think")
        (await asked).raise_for_status()
