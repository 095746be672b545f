"""The system whose work is taken over, as processes: what they ran and where, and that each had its effect once."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from meristem import connect, using
from meristem.security.tokens import new_secret
from meristem.supervision.ports import free_port

from .takeover_system import EVENTS, Effect, Hear

PATIENCE = 60.0  # seconds for what takes a few
SAGAS = 6
HERE = "127.0.0.1"
PLACEMENT = """
[processes]
effect = {{ services = ["effect"], replicas = 2 }}
hear   = ["hear"]
[resources]
database = "{database}"
"""


async def until(probe: Callable[[], bool] | Callable[[], Awaitable[bool]], patience: float = PATIENCE) -> None:
    """Return when it holds."""
    async with asyncio.timeout(patience):
        while True:
            found = probe()
            if found is True or (found is not False and await found):
                return
            await asyncio.sleep(0.02)


class Ran(NamedTuple):
    """A line of the trace."""

    kind: str
    pid: int
    at: float


class Seat(NamedTuple):
    """Where a process runs: at which address, and behind which command."""

    host: str = HERE
    prefix: tuple[str, ...] = ()


AT_HOME = Seat()


class Replica:
    """A process of the system, as a container runs it."""

    def __init__(self, house: House, process: str, number: int, database: str, seat: Seat) -> None:
        self.house = house
        self.host = seat.host
        self.port = free_port()
        placement = f"{process}-{number}.toml"
        (house.folder / placement).write_text(PLACEMENT.format(database=database))
        self.command = [
            *(
                *seat.prefix,
                sys.executable,
                "-m",
                "meristem",
                "process",
                "takeover_system.py",
                "--placement",
                placement,
            ),
            *("--process", process, "--replica", str(number), "--listen", f"tcp://{self.host}:{self.port}"),
        ]
        self.process: asyncio.subprocess.Process

    @property
    def address(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> Path:
        return self.house.folder / f"{self.port}.log"

    @property
    def has_begun_anew(self) -> bool:
        """Whether it has seen that it was taken for dead."""
        return "begins anew" in self.log.read_text()

    async def start(self) -> None:
        environment = os.environ | {
            "MERISTEM_SECRET": self.house.secret,
            "HEAR_URL": self.house.hear.address,
            "EFFECT_URL": ",".join(each.address for each in self.house.replicas),
        }
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.command, cwd=self.house.folder, env=environment, stdin=asyncio.subprocess.DEVNULL,
                stdout=log, stderr=log,
            )  # fmt: skip
        await until(self.is_there)

    async def is_there(self) -> bool:
        assert self.process.returncode is None, self.log.read_text()
        try:
            _, writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class House:
    """The system in a folder of its own; the victim starts first, so that it has the duty."""

    def __init__(self, folder: Path, database: str, *, seen: str = "", host: str = HERE, seat: Seat = AT_HOME) -> None:
        self.folder = folder
        self.secret = new_secret().hex()
        shutil.copy(Path(__file__).with_name("takeover_system.py"), folder)
        self.hear = Replica(self, "hear", 0, database, Seat(host))
        self.victim = Replica(self, "effect", 0, seen or database, seat)
        self.heir = Replica(self, "effect", 1, database, Seat(host))
        self.replicas = (self.victim, self.heir)

    async def start(self) -> None:
        await self.hear.start()
        await self.victim.start()
        await until(lambda: self._count("every") == 1)
        await self.heir.start()

    async def stop(self) -> None:
        for each in (self.hear, *self.replicas):
            await each.kill()

    def ran(self) -> list[Ran]:
        lines = (self.folder / "trace").read_text().splitlines() if (self.folder / "trace").exists() else []
        return [Ran(kind, int(pid), float(at)) for kind, pid, at in map(str.split, lines)]

    @asynccontextmanager
    async def _client(self, replica: Replica) -> AsyncIterator[Effect]:
        async with connect(replica.address, service="test", secret=self.secret) as system:
            yield system.client(Effect)

    async def round(self, strike: Callable[[], None], restore: Callable[[], None] | None) -> dict[str, float]:
        """One takeover: the seconds from the blow to the first effect of each kind in the heir.

        What can be restored is, and must then write nothing of what the heir has.
        """
        async with self._client(self.victim) as held, self._client(self.heir) as other:
            calls = []
            for number in range(SAGAS):
                with using(key=f"saga-{number}"):
                    calls.append(asyncio.ensure_future(held.work(str(number))))
            await until(lambda: self._count("saga", self.victim) == SAGAS)
            assert await held.tell("key", self.victim.process.pid)
            await until(lambda: self._count("event") > 2)
            with using(key="saga-0"):
                caller = asyncio.ensure_future(other.work("0"))
            began = time.monotonic()
            strike()
            (self.folder / "struck").touch()
            async with asyncio.timeout(PATIENCE):
                await caller
            answered = time.monotonic() - began
            await until(lambda: self._count("every", self.heir) > 0)
            await self._heard()
            found = {**self._seconds(began), "caller": answered}
            if restore is not None:
                restore()
                await until(lambda: self.victim.has_begun_anew)
            await until(self._all_has_its_effect)
            await self._once()
            for each in calls:
                each.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        return found

    async def _heard(self) -> None:
        """Each event has been handled once, in its order."""
        async with connect(self.hear.address, service="test", secret=self.secret) as system:
            hear = system.client(Hear)

            async def all_are_there() -> bool:
                return len(await hear.heard()) >= EVENTS

            await until(all_are_there)
            assert await hear.heard() == [f"key {number}" for number in range(EVENTS)]

    async def _effects(self) -> Counter[str]:
        async with self._client(self.heir) as client:
            return Counter(await client.effects())

    async def _all_has_its_effect(self) -> bool:
        found = await self._effects()
        return sum(found[f"saga {each} {self.heir.process.pid}"] for each in range(SAGAS)) >= SAGAS

    async def _once(self) -> None:
        """Each step has its effect once, and none of it is of the replica that was struck."""
        found = await self._effects()
        pid = self.heir.process.pid
        wanted = {f"saga {number} {pid}": 1 for number in range(SAGAS)}
        assert {what: count for what, count in found.items() if what.startswith("saga")} == wanted
        assert not found[f"every {self.victim.process.pid}"], found

    def _count(self, kind: str, replica: Replica | None = None) -> int:
        pid = None if replica is None else replica.process.pid
        return sum(each.kind == kind and pid in (None, each.pid) for each in self.ran())

    def _seconds(self, began: float) -> dict[str, float]:
        ran = [each for each in self.ran() if each.at > began]
        events = [each.at for each in ran if each.kind == "event"]
        gaps = [after - before for before, after in zip([began, *events], events, strict=False)]
        own = [each for each in ran if each.pid == self.heir.process.pid]
        first = {kind: min(each.at for each in own if each.kind == kind) - began for kind in ("saga", "every")}
        return {**first, "event": max(gaps)}
