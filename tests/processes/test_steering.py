"""Operators restart and scale what a supervisor runs, and no request is lost."""

import asyncio
import json
import os
from pathlib import Path

import httpx
import msgspec
import pytest

from meristem.errors import CallError, Code
from meristem.operators.actions_contract import Actions, ActionSearch
from meristem.operators.supervision_contract import ProcessControl
from meristem.runtime.remote import connect
from meristem.system.plan import ProcessPlan

from .conftest import PATIENCE, QUICK, Command, ask, meristem, plan, told

EDGE = ProcessPlan("edge", (), ("web",), 1)
SEARCH = ProcessPlan("search", ("search",), (), 1)
ALONE = ProcessPlan("alone", ("alone",), (), 1, overlap=False)


async def through(desk, number: int):
    """The change, once it has ended."""
    async with asyncio.timeout(PATIENCE):
        while True:
            change = next(each for each in (await desk.supervision()).changes if each.number == number)
            if change.state != "running":
                return change
            await asyncio.sleep(0.05)


async def test_one_process_is_restarted_and_the_others_are_left(supervisor_of, screen):
    async with supervisor_of(plan(EDGE, SEARCH)) as supervisor:
        await supervisor.start()
        before = {each.process: each.pid for each in supervisor.statuses()}
        change = await supervisor._desk.restart("search")
        same = await supervisor._desk.restart("search")  # asked twice, done once
        with pytest.raises(CallError, match="starting process search anew, .* is under way") as refused:
            await supervisor._desk.restart("edge")
        ended = await through(supervisor._desk, change.number)
        after = {each.process: each.pid for each in supervisor.statuses()}

    assert same.number == change.number == 1
    assert refused.value.code is Code.FAILED_PRECONDITION
    assert (ended.state, ended.done, ended.of, ended.kind, ended.name) == ("done", 1, 1, "restart", "search")
    assert before["edge"] == after["edge"]
    assert before["search"] != after["search"]
    assert "process search has been started anew" in screen.text


async def test_replicas_come_and_go_and_no_request_at_the_public_port_fails(supervisor_of, screen):
    async with supervisor_of(plan(EDGE, SEARCH)) as supervisor:
        await supervisor.start()
        answered: list[str] = []
        enough = asyncio.Event()

        async def visit() -> None:
            while not enough.is_set():
                answered.append((await ask(supervisor.address)).split()[1])

        visitors = [asyncio.create_task(visit()) for _ in range(4)]
        up = await through(supervisor._desk, (await supervisor._desk.scale("edge", 3)).number)
        three = [each.process for each in supervisor.statuses()].count("edge")
        while "edge-2" not in answered:
            await asyncio.sleep(0.01)
        down = await through(supervisor._desk, (await supervisor._desk.scale("edge", 1)).number)
        left = [(each.process, each.replica) for each in supervisor.statuses()]
        answered.clear()
        while len(answered) < 20:
            await asyncio.sleep(0.01)
        enough.set()
        await asyncio.gather(*visitors)  # raises what one of them could not ask

    assert (up.state, up.done, up.of, three) == ("done", 2, 2, 3)
    assert (down.state, down.done, down.of) == ("done", 2, 2)
    assert left == [("edge", 0), ("search", 0)]
    assert set(answered) == {"edge-0"}


async def test_a_replica_that_cannot_start_leaves_as_many_as_there_were(supervisor_of, screen, tmp_path: Path):
    async with supervisor_of(plan(EDGE, SEARCH)) as supervisor:
        await supervisor.start()
        (tmp_path / "search-1.wrong").touch()
        failed = await through(supervisor._desk, (await supervisor._desk.scale("search", 2)).number)
        assert [each.process for each in supervisor.statuses()].count("search") == 1
        (tmp_path / "search-1.wrong").unlink()
        again = await through(supervisor._desk, (await supervisor._desk.scale("search", 2)).number)

    assert failed.state == "failed"
    assert "search-1 could not start" in failed.problem
    assert again.state == "done"


async def test_what_cannot_be_done_is_refused_with_a_sentence(supervisor_of):
    async with supervisor_of(plan(EDGE, ALONE)) as supervisor:
        await supervisor.start()
        desk = supervisor._desk
        asked = {
            "overlap = false": desk.scale("alone", 2),
            "did you mean 'edge'": desk.scale("egde", 2),
            "no process 'nowhere' runs here; there is edge, alone": desk.restart("nowhere"),
            "no program 'nowhere' runs here; this system has none": desk.restart_program("nowhere"),
        }
        for sentence, question in asked.items():
            with pytest.raises(CallError, match=sentence):
                await question
        view = await desk.supervision()

    assert {each.name: (each.replicas, each.most, bool(each.fixed)) for each in view.parts} == {
        "edge": (1, 64, False),
        "alone": (1, 1, True),
    }
    assert view.changes == []


async def test_a_change_that_hangs_is_broken_off_by_the_end_of_the_run(supervisor_of, tmp_path: Path):
    slow = msgspec.structs.replace(QUICK, grace=0.5)
    async with supervisor_of(plan(EDGE, SEARCH), restarts=slow) as supervisor:
        await supervisor.start()
        (tmp_path / "search-1.slow").touch()
        await supervisor._desk.scale("search", 2)
        await asyncio.sleep(0)
        await supervisor.stop()
        [change] = (await supervisor._desk.supervision()).changes
        with pytest.raises(CallError, match="the system ends"):
            await supervisor._desk.restart("edge")

    assert (change.state, change.problem) == ("failed", "it was broken off")


async def test_a_split_system_is_restarted_and_scaled_under_load_and_not_a_call_fails(
    directory: Path, ended: list[Command]
):
    run = await meristem(directory, "run", "--placement", "split.toml", "--port", "0")
    ended.append(run)
    line = await run.shows("shop runs at")
    address = next(word for word in line.split() if word.startswith("http://"))
    statuses: list[int] = []
    enough = asyncio.Event()

    async def visit(path: str) -> None:
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as visitor:
            while not enough.is_set():
                statuses.append((await visitor.get(path)).status_code)
                await asyncio.sleep(0.02)

    def announced() -> list[tuple[str, int]]:
        told = json.loads((directory / ".meristem/shop/running.json").read_text())
        return [(each["process"], each["replica"]) for each in told["replicas"]]

    paths = ("/", "/api/orders/chair", "/api/orders/table", "/bank/x")
    visitors = [asyncio.create_task(visit(each)) for each in paths]
    socket = json.loads((directory / ".meristem/shop/running.json").read_text())["operators"][0]
    async with run.read(), connect(socket) as system:
        steering = system.client(ProcessControl)
        before = announced()
        up = await told(directory, "scale", "stock", "3", "--wait")
        after = announced()
        busy = await steering.restart("stock")
        refused = await told(directory, "scale", "stock", "2")
        stock = await through(steering, busy.number)
        down = await told(directory, "scale", "stock", "1", "--wait")
        _, shown = await told(directory, "ps", "--json")
        actions = await system.client(Actions).actions(ActionSearch())
        enough.set()
        await asyncio.gather(*visitors)

    assert set(statuses) == {200}, run.text
    assert len(statuses) > 100
    assert up == (0, "process stock has 3 replicas\n")
    assert set(after) - set(before) == {("stock", 2)}
    assert (stock.state, stock.done, stock.of) == ("done", 3, 3)
    assert refused[0] == 1
    assert "starting process stock anew" in refused[1]
    assert down == (0, "process stock has 1 replica\n")
    assert [(row["name"], row["replica"]) for row in json.loads(shown)] == [("edge", 0), ("stock", 0), ("rest", 0)]
    assert [(each.operation, each.outcome, each.user_id) for each in actions] == [
        ("scale", "done", os.getuid()),
        ("scale", "failed", os.getuid()),
        ("restart", "done", os.getuid()),
        ("scale", "done", os.getuid()),
    ]
    assert "stock = { services" in (directory / "split.toml").read_text()
