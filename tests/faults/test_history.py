"""Holds of one room by many clients at once, over two replicas that are killed: what each was told fits one order."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from contextlib import nullcontext, suppress
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from meristem.system.state_directory import StateDirectory
from tests.faults.history.linearizability import Operation, is_linearizable
from tests.suites.postgresql import require, schemas_for
from tests.suites.served import PATIENCE, Served, start

ROOMS: Final = ("101", "102")
CLIENTS: Final = 5
ASKED: Final = 24  # operations of each client
KILLS: Final = 3
PLACEMENT: Final = """
[processes]
rooms = { services = ["*"], replicas = 2 }
"""


def room(holder: Any, operation: Operation) -> tuple[Any, Any]:
    """The model of one room: who holds it."""
    if operation.name == "hold":
        return (operation.argument, True) if holder == "" else (holder, False)
    if operation.name == "release":
        return ("", True) if holder == operation.argument else (holder, False)
    return holder, holder


def took(name: str, argument: Any, began: float, ended: float, answer: Any) -> Operation:
    return Operation(name, argument, began, ended, answer)


def test_the_checker_knows_what_can_and_what_can_not_have_been():
    hold, release, look = "hold", "release", "holder"
    one_by_one = [took(hold, "a", 0, 1, True), took(hold, "b", 2, 3, False), took(release, "a", 4, 5, True)]
    assert is_linearizable(one_by_one, room, "")
    assert is_linearizable([took(hold, "a", 0, 9, False), took(hold, "b", 1, 2, True)], room, "")
    assert not is_linearizable([took(hold, "a", 0, 2, True), took(hold, "b", 1, 3, True)], room, "")
    assert not is_linearizable([took(hold, "a", 0, 1, True), took(look, None, 2, 3, "")], room, "")
    unknown = Operation(hold, "a", 0)
    assert is_linearizable([unknown, took(look, None, 1, 2, ""), took(look, None, 3, 4, "a")], room, "")
    assert not is_linearizable([unknown, took(look, None, 1, 2, "a"), took(look, None, 3, 4, "")], room, "")
    assert is_linearizable([unknown, took(look, None, 1, 2, "")], room, "")


class Guests:
    """Clients that ask at random, and write down what they were told."""

    def __init__(self, run: Served, seed: str) -> None:
        self._run = run
        self._random = Random(seed)
        self.histories: dict[str, list[Operation]] = {each: [] for each in ROOMS}
        self._holds: set[tuple[str, str]] = set()  # which guest was told that it holds which room

    async def all(self) -> None:
        """Every client's operations, one after the other for each."""
        await asyncio.gather(*(self._one(f"guest {number}") for number in range(CLIENTS)))

    async def _one(self, who: str) -> None:
        async with httpx.AsyncClient(base_url=f"{self._run.address}/api", timeout=20.0) as client:
            for _ in range(ASKED):
                where = self._random.choice(ROOMS)
                wants = ["release", "holder"] if (who, where) in self._holds else ["hold", "hold", "release", "holder"]
                await self._ask(client, self._random.choice(wants), where, who)
            # Chance may have left a room to one guest all the time: at the end each gives it up, and tries once more.
            for where in ROOMS:
                for name in ("release", "hold", "release"):
                    await self._ask(client, name, where, who)

    async def _ask(self, client: httpx.AsyncClient, name: str, where: str, who: str) -> None:
        argument, began, key = (None if name == "holder" else who), monotonic(), {"Idempotency-Key": str(uuid4())}
        for _ in range(3):
            with suppress(httpx.HTTPError):
                if name == "holder":
                    answer = await client.get(f"/rooms/{where}")
                else:
                    answer = await client.post(f"/rooms/{where}/{name}", json={"who": who}, headers=key)
                if answer.is_success:
                    told = Operation(name, argument, began, monotonic(), answer.json())
                    self.histories[where].append(told)
                    if answer.json() is True:
                        (self._holds.add if name == "hold" else self._holds.discard)((who, where))
                    return
            await asyncio.sleep(0.1)  # a replica that was killed is not back at once
        if name != "holder":
            self.histories[where].append(Operation(name, argument, began))


async def _kill(folder: Path, random: Random) -> None:
    """Kill a replica now and then."""
    for _ in range(KILLS):
        await asyncio.sleep(random.uniform(0.1, 0.4))
        running = StateDirectory(folder, "rooms").running()
        living = [] if running is None else [each.pid for each in running.replicas if each.pid is not None]
        if living:
            with suppress(ProcessLookupError):
                os.kill(random.choice(living), signal.SIGKILL)


def history_of(folder: Path, database: str = "", *, bug: bool = False) -> dict[str, list[Operation]]:
    """What clients saw of each room while replicas died."""
    shutil.copy(Path(__file__).parent / "history" / "rooms.py", folder)
    placement = PLACEMENT + (f'[resources]\ndatabase = "{database}"\n' if database else "")
    run = start(folder, "rooms:system", placement, **({"ROOMS_BUG": "yes"} if bug else {}))
    seed = os.environ["PARITY_SEED"]
    try:
        run.wait()
        guests = Guests(run, seed)

        async def both() -> None:
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(guests.all(), *([] if bug else [_kill(folder, Random(seed))]))

        asyncio.run(both())
    finally:
        run.end()
    return guests.histories


@pytest.mark.timeout(240)
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_what_clients_are_told_of_holds_fits_one_order(tmp_path, database):
    if database == "postgresql":
        require()
    with schemas_for("rooms") if database == "postgresql" else nullcontext("") as url:
        histories = history_of(tmp_path, url)
    assert sum(len(each) for each in histories.values()) > CLIENTS * ASKED / 2
    for where, history in histories.items():
        assert sum(each.answer is True for each in history) > 2, history
        assert is_linearizable(history, room, ""), f"room {where}: {sorted(history, key=lambda each: each.began)}"


@pytest.mark.timeout(240)
def test_a_room_that_is_looked_at_before_it_is_taken_is_found(tmp_path):
    histories = history_of(tmp_path, bug=True)
    assert not all(is_linearizable(each, room, "") for each in histories.values())
