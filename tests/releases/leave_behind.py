"""Fills the databases of the desk in every way and is killed: `python -m tests.releases.leave_behind FOLDER`.

Run with the release whose tables are to be kept; with `--dump FILE` it then writes what was left as SQL.
"""

import asyncio
import os
import signal
import sqlite3
import sys
from pathlib import Path

from meristem.context import Context, using
from meristem.runtime.options import Options
from meristem.sagas import engine
from meristem.sagas.policy import Backoff, SagaPolicy
from meristem.testing import running
from tests.releases.desk import SECRET, Desk, system

HANGS = "book slow,strike 7,noted later"


def keyed(key: str) -> Context:
    return Context(caller="tests", key=key)


async def fill(folder: Path) -> None:
    sys.modules[Options.__module__].new_secret = lambda: SECRET  # type: ignore[attr-defined]
    soon_parked = SagaPolicy(undo=Backoff(base=0.01, cap=0.01, attempts=2))
    engine.SagaPolicy = lambda: soon_parked  # type: ignore[assignment,misc]
    async with running(system, database=f"sqlite:///{folder}/{{service}}.db"):
        desk = Desk.client()
        for text in ("hello", "nonsense"):
            with using(keyed(f"note-{text}")):
                await desk.note(text)
        with using(keyed("sell-done")):
            done = asyncio.ensure_future(desk.sell("done"))
        await until(folder, "SELECT 1 FROM meristem_saga WHERE state = 'waiting'")
        await desk.pay("done")
        assert await done == "done 4"
        begun = []
        for item in ("chair", "slow", "nothing", "riddle"):
            with using(keyed(f"sell-{item}")):
                begun.append(asyncio.ensure_future(desk.sell(item)))
        with using(keyed("reserve-bed")):
            begun.append(asyncio.ensure_future(desk.reserve("bed")))
        with using(keyed("note-later")):
            await desk.note("later")
        await until(folder, "SELECT 1 FROM meristem_dead_letter")
        await until(folder, "SELECT 1 FROM meristem_saga WHERE state = 'undoing'")
        await until(folder, "SELECT 1 FROM meristem_saga WHERE state = 'parked'")
        await until(folder, "SELECT 1 FROM meristem_saga WHERE state = 'running'")
        await until(folder, "SELECT 1 FROM (SELECT count(*) n FROM meristem_saga WHERE state = 'waiting') WHERE n = 2")
        os.kill(os.getpid(), signal.SIGKILL)


async def until(folder: Path, query: str) -> None:
    with sqlite3.connect(folder / "desk.db") as connection:
        while connection.execute(query).fetchone() is None:
            await asyncio.sleep(0.02)
    connection.close()


def dump(folder: Path, file: Path) -> None:
    parts = []
    for service in ("desk", "ledger"):
        with sqlite3.connect(folder / f"{service}.db") as connection:
            parts.append(f"-- {service}\n" + "\n".join(connection.iterdump()))
        connection.close()
    file.write_text("\n".join(parts) + "\n")


if __name__ == "__main__":
    if "--dump" in sys.argv:
        dump(Path(sys.argv[1]), Path(sys.argv[3]))
    else:
        os.environ["DESK_HANGS"] = HANGS
        asyncio.run(fill(Path(sys.argv[1])))
