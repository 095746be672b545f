"""Backups of a system whose services are written to in two processes: what is restored adds up, to the cent."""

import asyncio
import os
import shutil
import signal
import sqlite3
from contextlib import closing
from itertools import count
from pathlib import Path

import httpx
import pytest

from meristem.system.state_directory import StateDirectory

from .conftest import PATIENCE, Command, meristem, output, told

BACKUPS = 2
SPLIT = """
[processes]
savings = ["savings"]
rest = ["*"]
"""


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    return made(tmp_path / "bank")


def made(folder: Path) -> Path:
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("transfers.py"), folder)
    (folder / "pyproject.toml").write_text('[tool.meristem]\nsystem = "transfers:system"\n')
    (folder / "split.toml").write_text(SPLIT)
    return folder


async def started(folder: Path, ended: list[Command], *placement: str) -> tuple[Command, str]:
    run = await meristem(folder, "run", *placement, "--port", "0")
    ended.append(run)
    line = await run.shows("bank runs at")
    return run, next(word for word in line.split() if word.startswith("http://"))


def rows(file: Path, statement: str) -> list[tuple]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        return database.execute(statement).fetchall()


def entries(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """What was sent and received, in cents by transfer; AssertionError for one that was done twice."""
    found = []
    for name, table in (("current", "sent"), ("savings", "received")):
        kept = rows(folder / f"{name}.db", f"SELECT transfer, cents FROM {table}")
        assert len(kept) == len(dict(kept)), "something was done twice"
        found.append(dict(kept))
    return found[0], found[1]


def check_cut(backup: Path) -> int:
    """No effect without its cause, and no cause whose effect is lost: how much was under way."""
    sent, received = entries(backup)
    assert received.items() <= sent.items(), "an effect is there without its cause"
    current = backup / "current.db"
    outbox = rows(current, "SELECT body FROM meristem_outbox")
    pending = " ".join(body for (body,) in outbox)
    done = " ".join(result for (result,) in rows(current, "SELECT result FROM meristem_saga WHERE state = 'done'"))
    missing = sent.keys() - received.keys()
    lost = {each for each in missing if (each in done if each.startswith("saga") else each not in pending)}
    assert not lost, "an event is neither handled nor still to be delivered, or a saga is done without its call"
    return len(missing) + len(outbox)


async def settled(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """What there is when all has come to rest."""
    current = folder / ".meristem" / "bank" / "current.db"
    open_work = "SELECT id FROM meristem_saga WHERE state != 'done' UNION ALL SELECT seq FROM meristem_outbox"
    async with asyncio.timeout(PATIENCE):
        while rows(current, open_work):
            await asyncio.sleep(0.05)
    return entries(current.parent)


@pytest.mark.timeout(300)
async def test_backups_under_load_add_up_where_they_are_restored(bank: Path, tmp_path: Path, ended: list[Command]):
    run, address = await started(bank, ended, "--placement", "split.toml")
    numbers, enough, acknowledged = count(1), asyncio.Event(), []

    async def transfer(path: str) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
            while not enough.is_set():
                answer = await client.post(f"/api/{path}", json={"cents": next(numbers)})
                assert answer.status_code == 200, answer.text
                acknowledged.append(answer.json())

    load = [asyncio.create_task(transfer(path)) for path in ("sent", "moved") * 4]
    known = []
    async with run.read():
        for number in range(BACKUPS):
            known.append(set(acknowledged))
            code, said = await told(bank, "backup", "--to", str(tmp_path / f"backup-{number}"))
            assert code == 0, said
        enough.set()
        await asyncio.gather(*load)
        running = StateDirectory(bank, "bank").running()
        assert running is not None
        for pid in (*(each.pid for each in running.replicas), run.process.pid):
            os.kill(pid, signal.SIGKILL)
    await output(run.process)

    backups = [tmp_path / f"backup-{number}" for number in range(BACKUPS)]
    assert sum(check_cut(each) for each in backups), "nothing was under way in any of them"
    for before, backup in zip(known, backups, strict=True):
        assert before <= entries(backup)[0].keys(), "what was acknowledged before is missing"

    elsewhere = made(tmp_path / "elsewhere")
    code, said = await told(elsewhere, "restore", str(backups[-1]))
    assert code == 0, said
    await started(elsewhere, ended)
    sent, received = await settled(elsewhere)
    assert sent == received
    assert sum(sent.values()) == sum(entries(backups[-1])[0].values()), "what was sent is received, to the cent"
    assert len(sent) > len(known[-1]) > len(known[0]), "nothing was transferred meanwhile"
