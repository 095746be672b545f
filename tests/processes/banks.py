"""The system of `transfers.py` under load, what it has kept, and whether that adds up, in files and on a server."""

import asyncio
import os
import shutil
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol

import httpx
import psycopg

from meristem.system.state_directory import StateDirectory

from .conftest import PATIENCE, Command, meristem, output

SPLIT = """
[processes]
savings = ["savings"]
rest = ["*"]
"""


class Kept(Protocol):
    """What the two services keep."""

    def rows(self, service: str, statement: str) -> list[tuple]: ...


class Files(NamedTuple):
    """In a file for each."""

    folder: Path

    def rows(self, service: str, statement: str) -> list[tuple]:
        with closing(sqlite3.connect(f"file:{self.folder / service}.db?mode=ro", uri=True)) as database:
            return database.execute(statement).fetchall()


class Schemas(NamedTuple):
    """In a schema for each, of one database."""

    url: str

    def rows(self, service: str, statement: str) -> list[tuple]:
        with psycopg.connect(self.url, options=f"-c search_path={service}") as database:
            return database.execute(statement).fetchall()


def made(folder: Path, database: str | None = None) -> Path:
    """A folder with the system, and a placement in two processes; its databases may be elsewhere."""
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("transfers.py"), folder)
    (folder / "pyproject.toml").write_text('[tool.meristem]\nsystem = "transfers:system"\n')
    resources = "" if database is None else f'[resources]\ndatabase = "{database}"\n'
    (folder / "split.toml").write_text(SPLIT + resources)
    (folder / "together.toml").write_text(f'[processes]\nall = ["*"]\n{resources}')
    return folder


async def started(folder: Path, ended: list[Command], placement: str) -> tuple[Command, str]:
    """The system as it runs, and where it answers."""
    run = await meristem(folder, "run", "--placement", placement, "--port", "0")
    ended.append(run)
    line = await run.shows("bank runs at")
    return run, next(word for word in line.split() if word.startswith("http://"))


@asynccontextmanager
async def transferring(address: str) -> AsyncIterator[list[str]]:
    """Eight customers transfer inside the block, four by events and four by sagas; gives what was acknowledged."""
    numbers, enough, acknowledged = count(1), asyncio.Event(), []

    async def transfer(path: str) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
            while not enough.is_set():
                answer = await client.post(f"/api/{path}", json={"cents": next(numbers)})
                assert answer.status_code == 200, answer.text
                acknowledged.append(answer.json())

    load = [asyncio.create_task(transfer(path)) for path in ("sent", "moved") * 4]
    try:
        yield acknowledged
    finally:
        enough.set()
        await asyncio.gather(*load)


async def more(acknowledged: list[str]) -> None:
    """Wait until a further transfer was acknowledged."""
    before = len(acknowledged)
    async with asyncio.timeout(PATIENCE):
        while len(acknowledged) == before:
            await asyncio.sleep(0.01)


async def killed(folder: Path, run: Command) -> None:
    """`kill -9` for all of its processes at once."""
    running = StateDirectory(folder, "bank").running()
    assert running is not None
    for pid in (*(each.pid for each in running.replicas), run.process.pid):
        os.kill(pid, signal.SIGKILL)
    await output(run.process)


def entries(kept: Kept) -> tuple[dict[str, int], dict[str, int]]:
    """What was sent and received, in cents by transfer; AssertionError for one that was done twice."""
    found = []
    for service, table in (("current", "sent"), ("savings", "received")):
        rows = kept.rows(service, f"SELECT transfer, cents FROM {table}")
        assert len(rows) == len(dict(rows)), "something was done twice"
        found.append(dict(rows))
    return found[0], found[1]


def check_cut(kept: Kept) -> int:
    """No effect without its cause, and no cause whose effect is lost: how much was under way."""
    sent, received = entries(kept)
    assert received.items() <= sent.items(), "an effect is there without its cause"
    outbox = kept.rows("current", "SELECT body FROM meristem_outbox")
    pending = " ".join(body for (body,) in outbox)
    ended = kept.rows("current", "SELECT result FROM meristem_saga WHERE state = 'done'")
    done = " ".join(result for (result,) in ended)
    missing = sent.keys() - received.keys()
    lost = {each for each in missing if (each in done if each.startswith("saga") else each not in pending)}
    assert not lost, "an event is neither handled nor still to be delivered, or a saga is done without its call"
    running = kept.rows("current", "SELECT id FROM meristem_saga WHERE state != 'done'")
    return len(missing) + len(outbox) + len(running)


async def settled(kept: Kept) -> tuple[dict[str, int], dict[str, int]]:
    """What there is when all has come to rest."""
    events, sagas = "SELECT seq FROM meristem_outbox", "SELECT id FROM meristem_saga WHERE state != 'done'"
    async with asyncio.timeout(PATIENCE):
        while kept.rows("current", events) or kept.rows("current", sagas):
            await asyncio.sleep(0.05)
    return entries(kept)
