"""An event that ends its process each time is a dead letter after five ends, and nothing else is lost by it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from meristem import CallError, connect
from meristem.events.poison import DEADLY
from tests.faults.poison_house import Restarted, database_of
from tests.faults.poison_system import Desk
from tests.faults.takeover_house import until
from tests.suites.nats_prefix import bus_of_its_own
from tests.suites.sampled import sampled

INNOCENT: Final = [1, 2, 102, 202, 503, 504, 505, 6, 7, 107]


class Desks(Restarted):
    """Processes with publisher and subscriber in one."""

    @asynccontextmanager
    async def client(self, replica: int = 0) -> AsyncIterator[Desk]:
        async with connect(self.addresses[replica], service="test", secret=self.secret) as system:
            yield system.client(Desk)

    async def heard(self) -> list[int]:
        for replica in range(len(self.addresses)):
            with suppress(CallError):
                async with self.client(replica) as desk:
                    return await desk.heard()
        return []

    async def tell(self, numbers: list[int]) -> None:
        """What is told may end the process before it answers."""

        async def is_there() -> bool:
            with suppress(CallError):
                async with self.client() as desk:
                    return await desk.heard() == []
            return False

        await until(is_there)
        with suppress(CallError):
            async with self.client() as desk:
                await desk.tell(numbers)

    async def dead(self) -> list[str]:
        text = await self.command("events", "dead", *self.system, "--json")
        letters = [letter for of_service in json.loads(text).values() for letter in of_service]
        return [f"{json.loads(each['body'])['data']['number']}: {each['error']}" for each in letters]


@asynccontextmanager
async def bus_of(kind: str) -> AsyncIterator[str]:
    if kind == "direct":
        yield "direct"
    else:
        async with bus_of_its_own() as url:
            yield url


@pytest.mark.parametrize(
    ("kind", "bus", "replicas", "poisons"),
    sampled(
        [
            ("sqlite", "direct", 1, 1),
            ("postgresql", "direct", 2, 1),
            ("sqlite", "nats", 1, 1),
            ("postgresql", "nats", 2, 2),
        ],
        2,
        "poisoned events",
    ),
)
async def test_a_poisoned_event_is_buried_and_all_others_are_handled_once(
    tmp_path: Path, kind: str, bus: str, replicas: int, poisons: int
):
    poison = [1002 + number for number in range(poisons)]
    async with database_of(kind) as database, bus_of(bus) as address:
        desks = Desks(tmp_path, "poison_system.py", database, address)
        try:
            for replica in range(replicas):
                desks.start(replica)
            await desks.tell([*INNOCENT[:2], *poison, *INNOCENT[2:]])

            async def all_are_heard() -> bool:
                return len(await desks.heard()) >= len(INNOCENT)

            await until(all_are_heard)
            heard = await desks.heard()
            dead = sorted(await desks.dead())
        finally:
            await desks.stop()
    assert Counter(heard) == Counter(INNOCENT)
    assert [each for each in heard if each % 100 == 2] == [2, 102, 202]
    assert [each.split(":")[0] for each in dead] == [str(each) for each in poison]
    assert all(f"ended {DEADLY} times while it had this event under way" in each for each in dead)
    assert desks.ends <= 1 + (DEADLY - 1) * poisons
