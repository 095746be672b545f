"""`meristem sagas` of a system that runs: it is asked itself, so sagas of databases that end with it are seen, too."""

import asyncio
from pathlib import Path

import pytest

KITCHEN = """
from typing import Protocol
from meristem import Contract, Flow, Message, Service, System, once, saga

class Served(Message):
    table: int

class Stove(Contract, Protocol, package="kitchen.stove.v1"):
    @once(timeout=60.0)
    async def heat(self, dish: str) -> str: ...

class Kitchen(Contract, Protocol, package="kitchen.v1"):
    @once(timeout=60.0)
    async def cook(self, dish: str) -> str: ...

class StoveService(Stove, Service):
    async def heat(self, dish: str) -> str:
        return f"hot {dish}"

class KitchenService(Kitchen, Service):
    def __init__(self, stove: Stove) -> None:
        self.stove = stove
    @saga(search=["dish"], signals=[Served])
    async def cook(self, flow: Flow, dish: str) -> str:
        hot = await self.stove.heat(dish)
        table = (await flow.wait_for_signal(Served, timeout=None)).table
        return f"{hot} at {table}"

system = System("kitchen", services=[KitchenService, StoveService])
"""


@pytest.fixture
def kitchen(project: Path) -> Path:
    (project / "kitchen.py").write_text(KITCHEN)
    (project / "pyproject.toml").write_text('[tool.meristem]\nsystem = "kitchen:system"\n')
    (project / "memory.toml").write_text('[processes]\nmain = ["*"]\n[resources]\ndatabase = "sqlite://"\n')
    return project


async def test_sagas_in_memory_are_listed_shown_signalled_cancelled_and_forked(kitchen, start, meristem):
    running = await start("run", "--port", "0", "--placement", "memory.toml")
    await running.shows("kitchen runs at ")
    calls = [await start("call", "Kitchen.cook", f'{{"dish": "{dish}"}}') for dish in ("soup", "cake")]
    async with asyncio.timeout(60):
        while len((listed := (await meristem("sagas", "list", "--json", "--state", "waiting")).json)["kitchen"]) < 2:
            pass
    [soup] = (await meristem("sagas", "list", "--json", "--where", "dish=soup")).json["kitchen"]
    [cake] = (await meristem("sagas", "list", "--json", "--where", "dish=cake")).json["kitchen"]
    shown = await meristem("sagas", "show", soup["id"][:12])
    wrong = await meristem("sagas", "signal", soup["id"], "Eaten")
    sent = await meristem("sagas", "signal", soup["id"], "Served", '{"table": 4}')
    cancelled = await meristem("sagas", "cancel", cake["id"])
    async with asyncio.timeout(60):
        while True:
            done = (await meristem("sagas", "show", soup["id"], "--values", "--json")).json
            if done["saga"]["state"] == "done":
                break
    codes = [await each.ended() for each in calls]
    forked = await meristem("sagas", "fork", soup["id"], "--from", "1", "--json")
    nowhere = await meristem("sagas", "fork", soup["id"], "--from", "9")
    ids = [each["id"] for each in (await meristem("sagas", "list", "--json")).json["kitchen"]]

    assert sorted(code == 0 for code in codes) == [False, True]
    assert {name: len(each) for name, each in listed.items()} == {"kitchen": 2, "stove": 0}
    assert "waits: step 1 waits for the signal Served" in shown.out
    assert (wrong.code, "takes no signal 'Eaten'" in " ".join(wrong.err.split())) == (2, True)
    assert sent.out == f"cook {soup['id']} gets the signal Served as soon as it waits for it.\n"
    assert cancelled.out == f"cook {cake['id']} will be undone as soon as its service runs.\n"
    assert (done["input"], done["result"]) == ('{"dish":"soup"}', '"hot soup at 4"')
    assert [each["name"] for each in forked.json["again"]] == ["signal:Served"]
    assert forked.json["id"] in ids
    assert (nowhere.code, "has no step '9'" in " ".join(nowhere.err.split())) == (2, True)
