"""An event that ends its process each time is a dead letter after five ends, and nothing else is lost by it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from meristem import CallError, connect
from meristem.events.poison import DEADLY
from meristem.security.tokens import new_secret
from meristem.supervision.ports import free_port
from tests.faults.poison_system import Desk
from tests.faults.takeover_house import until
from tests.suites.nats_prefix import bus_of_its_own
from tests.suites.postgresql import schema_of_its_own

PLACEMENT: Final = """
[processes]
main = {{ services = ["*"], replicas = 2 }}
[resources]
database = "{database}"
bus = "{bus}"
"""
COMMAND: Final = (sys.executable, "-m", "meristem")
SYSTEM: Final = ("poison_system.py", "--placement", "main.toml")
INNOCENT: Final = [1, 2, 102, 202, 503, 504, 505, 6, 7, 107]


class Desks:
    """Processes with publisher and subscriber in one, each of which is started again as often as it ends."""

    def __init__(self, folder: Path, database: str, bus: str) -> None:
        self.folder = folder
        self.ends = 0
        self._secret = new_secret().hex()
        self._ports = [free_port(), free_port()]
        self._keeping: list[asyncio.Task[None]] = []
        shutil.copy(Path(__file__).with_name("poison_system.py"), folder)
        (folder / "main.toml").write_text(PLACEMENT.format(database=database, bus=bus))

    def start(self, replica: int) -> None:
        self._keeping.append(asyncio.create_task(self._keep(replica)))

    async def stop(self) -> None:
        for each in self._keeping:
            each.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def _keep(self, replica: int) -> None:
        while True:
            with (self.folder / "log").open("ab") as log:
                process = await self._begin(
                    "process", *SYSTEM, "--process", "main", "--replica", str(replica),
                    "--listen", f"tcp://127.0.0.1:{self._ports[replica]}", stdout=log, stderr=log,
                )  # fmt: skip
            try:
                assert await process.wait() == 9, (self.folder / "log").read_text()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            self.ends += 1

    async def _begin(self, *arguments: str, **streams: object) -> asyncio.subprocess.Process:
        environment = os.environ | {"MERISTEM_SECRET": self._secret}
        return await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, cwd=self.folder, env=environment, stdin=asyncio.subprocess.DEVNULL, **streams
        )

    @asynccontextmanager
    async def client(self, replica: int = 0) -> AsyncIterator[Desk]:
        address = f"http://127.0.0.1:{self._ports[replica]}"
        async with connect(address, service="test", secret=self._secret) as system:
            yield system.client(Desk)

    async def heard(self) -> list[int]:
        for replica in range(len(self._keeping)):
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
        listing = await self._begin("events", "dead", *SYSTEM, "--json", stdout=asyncio.subprocess.PIPE)
        text, _ = await listing.communicate()
        letters = [letter for of_service in json.loads(text).values() for letter in of_service]
        return [f"{json.loads(each['body'])['data']['number']}: {each['error']}" for each in letters]


@asynccontextmanager
async def database_of(kind: str) -> AsyncIterator[str]:
    if kind == "sqlite":
        yield "sqlite:///{service}.db"
    else:
        async with schema_of_its_own() as url:
            yield url


@asynccontextmanager
async def bus_of(kind: str) -> AsyncIterator[str]:
    if kind == "direct":
        yield "direct"
    else:
        async with bus_of_its_own() as url:
            yield url


@pytest.mark.parametrize(
    ("kind", "bus", "replicas", "poisons"),
    [
        ("sqlite", "direct", 1, 1),
        ("postgresql", "direct", 2, 1),
        ("sqlite", "nats", 1, 1),
        ("postgresql", "nats", 2, 2),
    ],
)
async def test_a_poisoned_event_is_buried_and_all_others_are_handled_once(
    tmp_path: Path, kind: str, bus: str, replicas: int, poisons: int
):
    poison = [1002 + number for number in range(poisons)]
    async with database_of(kind) as database, bus_of(bus) as address:
        desks = Desks(tmp_path, database, address)
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
