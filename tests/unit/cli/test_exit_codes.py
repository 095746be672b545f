"""One table of exit codes, in one process and in several: 1 is to be mended, 2 is wrong use, 75 may go well later."""

import asyncio
import signal
import sqlite3
from pathlib import Path

import httpx
import pytest

from .conftest import PATIENCE

KEEPER = """
import os
from typing import Protocol
from sqlalchemy import Column, Integer, MetaData, String, Table, insert
from meristem import App, CallError, Code, Contract, Database, Service, System, operation

metadata = MetaData()
NOTES = Table("notes", metadata, Column("id", Integer, primary_key=True), Column("text", String))

class Keeper(Contract, Protocol, package="keeper.v1"):
    @operation(http="POST /keep")
    async def keep(self) -> None: ...

class KeeperService(Keeper, Service, tables=metadata):
    def __init__(self, database: Database) -> None:
        self.database = database
    async def start(self) -> None:
        match os.environ.get("BOOM"):
            case "start": raise ValueError("no such currency: XYZ")
            case "secret": raise ValueError("cannot reach postgresql://ada:letmein@db/shop")
            case "later": raise CallError(Code.UNAVAILABLE, "the bank cannot be reached")
            case "at once": os.abort()
    async def keep(self) -> None:
        async with self.database.begin() as tx:
            await tx.execute(insert(NOTES).values(text="kept"))

async def web(scope, receive, send):
    while scope["type"] == "lifespan":
        message = await receive()
        if os.environ.get("BOOM") == "lifespan": raise RuntimeError("no pool")
        if os.environ.get("BOOM") == "failed lifespan":
            await send({"type": "lifespan.startup.failed", "message": "Traceback:\\n  in web\\nOSError: no pool"})
            return
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return

system = System("keeper", services=[KeeperService], apps=[App("web", web)])
"""
PLACES = pytest.mark.parametrize("placement", [[], ["--placement", "split.toml"]], ids=["one process", "processes"])


@pytest.fixture
def keeper(project: Path) -> Path:
    """The file of the service's database, not made yet."""
    (project / "keeper.py").write_text(KEEPER)
    (project / "split.toml").write_text('[processes]\nweb = ["web"]\nmain = ["*"]\n')
    database = project / ".meristem" / "keeper" / "keeper.db"
    database.parent.mkdir(parents=True)
    return database


@PLACES
@pytest.mark.parametrize(
    ("boom", "said"),
    [
        ("start", ["error: ValueError: no such currency: XYZ (", "keeper.py:19, in start); mend it and run again"]),
        ("lifespan", ["error: app 'web' could not start: RuntimeError: no pool; mend it and run again"]),
        ("failed lifespan", ["error: app 'web' could not start: OSError: no pool; mend it and run again"]),
    ],
)
async def test_what_the_users_code_raises_at_the_start_is_to_be_mended(
    start, environment, keeper, placement, boom, said
):
    environment["BOOM"] = boom
    running = await start("run", "keeper.py", "--port", "0", *placement)

    assert await running.ended() == 1
    for each in said:
        assert each in running.text


async def test_a_password_in_what_the_users_code_raises_is_masked(start, environment, keeper):
    environment["BOOM"] = "secret"
    running = await start("run", "keeper.py", "--port", "0")

    assert await running.ended() == 1
    assert "cannot reach postgresql://ada:" in running.text
    assert "letmein" not in running.text.replace(
        'raise ValueError("cannot reach postgresql://ada:letmein@db/shop")', ""
    )


async def test_what_crashes_at_once_ends_a_run_of_processes_with_where_it_crashed(start, environment, keeper):
    environment["BOOM"] = "at once"
    running = await start("run", "keeper.py", "--port", "0", "--placement", "split.toml")

    assert await running.ended() == 1
    assert "main-0 could not start (killed by SIGABRT); mend what it wrote last, and run again" in running.text
    assert "keeper.py" in running.text


async def test_what_may_go_well_later_ends_so(start, environment, keeper):
    environment["BOOM"] = "later"
    running = await start("run", "keeper.py", "--port", "0")

    assert await running.ended() == 75
    assert "error: [unavailable] the bank cannot be reached" in running.text


@PLACES
@pytest.mark.parametrize("verb", [["run", "keeper.py", "--port", "0"], ["migrate", "keeper.py"]])
async def test_a_damaged_database_is_to_be_mended_whoever_opens_it(start, keeper: Path, placement, verb):
    keeper.write_bytes(b"no database at all" * 512)  # noqa: ASYNC240 - nothing else runs
    running = await start(*verb, *placement)

    assert await running.ended() == 1
    assert "the file is damaged; restore it from a backup, or move it away" in running.text
    assert "Traceback" not in running.text


@PLACES
async def test_a_folder_that_may_not_be_written_is_to_be_mended(start, keeper: Path, placement):
    keeper.parent.rmdir()
    keeper.parent.touch()  # whoever runs the tests may be one whom no permission stops
    running = await start("run", "keeper.py", "--port", "0", *placement)

    assert await running.ended() == 1
    assert "run in a folder you may write" in running.text


@PLACES
async def test_a_database_file_that_disappears_makes_the_process_unready_and_takes_no_write(start, keeper, placement):
    running = await start("run", "keeper.py", "--port", "0", "--operator", "tcp://127.0.0.1:0", *placement)
    address = (await running.shows("keeper runs at ")).split()[0]
    operators = running.text.partition("dashboard")[2].split("http://")[1].partition("/")[0]
    away = keeper.with_suffix(".away")
    async with httpx.AsyncClient(timeout=PATIENCE) as web:
        assert (await web.post(f"{address}/api/keep")).status_code == 204
        keeper.rename(away)
        await running.shows("not ready any more: the file ")
        health = (await web.get(f"http://{operators}/health")).json()
        refused = await web.post(f"{address}/api/keep")

        assert health["status"] == "not ready"
        assert "unready" in {each["status"] for each in health["processes"]}
        assert refused.status_code == 500

        away.rename(keeper)
        await running.shows("ready again")
        assert (await web.post(f"{address}/api/keep")).status_code == 204
    running.process.send_signal(signal.SIGTERM)
    assert await running.ended() == 0
    with sqlite3.connect(keeper) as kept:
        assert kept.execute("SELECT count(*) FROM notes").fetchone() == (2,)


async def test_a_lock_that_another_holds_may_go_well_later(start, keeper: Path):
    with sqlite3.connect(keeper, isolation_level=None) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("CREATE TABLE held (id INTEGER)")
        running = await start("run", "keeper.py", "--port", "0")
        async with asyncio.timeout(PATIENCE):
            assert await running.ended() == 75
        other.execute("ROLLBACK")
