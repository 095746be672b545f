"""One run of the market: customers order while a process is killed at a point, and what is there at the end."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple
from uuid import uuid4

import httpx

from tests.suites.served import PATIENCE, Served, start

HERE: Final = Path(__file__).parent
SYSTEM: Final = "market:system"
ORDERS: Final = (1, 2, 3, 4)  # articles in each, all ordered at once
STILL: Final = 5  # looks in a row at which all must agree
STUCK: Final = 30.0  # seconds after which what is wrong and changes no more stays so
ONE_REQUEST: Final = httpx.Limits(max_keepalive_connections=0)  # on each connection
AWAY: Final = ["it does not answer"]
SPLIT: Final = """
[processes]
front = ["orders"]
back = ["stock", "sales"]
"""


ALONE: Final = "alone"  # the one process of all


class Point(NamedTuple):
    """An instant: at the so many-th write of a kind by a process, before the kernel sees it or after."""

    process: str  # of the placement `SPLIT`, or `ALONE`
    kind: str  # `socket` or `disk`
    number: int
    side: str  # `before` or `after`

    def __str__(self) -> str:
        return f"{self.process}: {self.kind} {self.number} {self.side}"


def placement_of(process: str, database: str) -> str | None:
    """The placement in which a process lives; None for everything in one, on files."""
    if process == ALONE:
        return f'[processes]\nall = ["*"]\n[resources]\ndatabase = "{database}"\n' if database else None
    return SPLIT + (f'[resources]\ndatabase = "{database}"\n' if database else "")


class Trial:
    """Runs in a folder of its own; `shim` is the library that kills."""

    def __init__(
        self,
        folder: Path,
        shim: Path,
        process: str,
        *,
        database: str = "",
        bug: bool = False,
        stuck: float = STUCK,
    ) -> None:
        self.folder, self._shim, self._process = folder, shim, process
        self._placement = placement_of(process, database)
        self._bug = bug
        self._stuck = stuck
        self._keys = [str(uuid4()) for _ in ORDERS]
        self._promised: dict[str, str] = {}
        self._run_now: Served
        self._client: httpx.AsyncClient
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "market.py", folder)

    def points(self) -> dict[str, int]:
        """How many points of each kind the process passes when nothing is killed."""
        wrong = self.run(None)
        assert not wrong, f"without a kill: {wrong}"
        found: dict[str, int] = {}
        for line in (self.folder / "count").read_text().splitlines():
            kind, _, number = line.partition(" ")
            found[kind] = max(found.get(kind, 0), int(number))
        return found

    def run(self, point: Point | None) -> list[str]:
        """What is wrong at the end, in sentences; raises AssertionError where it does not come to one."""
        return asyncio.run(self._run(point))

    @property
    def died(self) -> bool:
        """Whether the point was reached."""
        return (self.folder / "died").exists()

    async def _run(self, point: Point | None) -> list[str]:
        self._run_now = start(self.folder, SYSTEM, self._placement, **self._environment(point))
        keeping = None
        try:
            await asyncio.to_thread(self._run_now.wait)
            keeping = asyncio.create_task(self._keep())
            (self.folder / "armed").touch()
            # One for all: what it makes for TLS takes longer than what is asked.
            async with httpx.AsyncClient(timeout=20.0, limits=ONE_REQUEST) as self._client:
                await asyncio.gather(*(self._order(each) for each in range(len(ORDERS))))
                return await self._settled()
        finally:
            if keeping is not None:
                keeping.cancel()
                await asyncio.wait([keeping])
            await asyncio.to_thread(self._run_now.end)

    async def _keep(self) -> None:
        """Start it again when it has died, as a supervisor would: of several processes one does that already."""
        while True:
            if self._run_now.has_ended:
                await asyncio.to_thread(self._run_now.end)
                self._run_now = start(self.folder, SYSTEM, self._placement, **self._environment(None))
                await asyncio.to_thread(self._run_now.wait)
            await asyncio.sleep(0.02)

    def _environment(self, point: Point | None) -> dict[str, str]:
        found = {
            "LD_PRELOAD": str(self._shim),
            "CRASH_IN": "meristem run" if self._process == ALONE else f"--process {self._process} ",
            "CRASH_ARMED": str(self.folder / "armed"),
            "CRASH_DIED": str(self.folder / "died"),
            "CRASH_COUNT": str(self.folder / "count"),
        }
        if point is not None:
            found["CRASH_AT"] = f"{point.kind} {point.number} {point.side}"
        return found | ({"MARKET_BUG": "yes"} if self._bug else {})

    async def _order(self, number: int) -> None:
        """Order until it is promised, under one key."""
        key = self._keys[number]
        async with asyncio.timeout(PATIENCE):
            while key not in self._promised:
                answer = await self._ask("POST", "orders", {"count": ORDERS[number]}, {"Idempotency-Key": key})
                if answer is not None:
                    self._promised[key] = answer
                await asyncio.sleep(0.05)

    async def _settled(self) -> list[str]:
        """What is wrong when all has come to rest."""
        wrong, still, since = AWAY, 0, monotonic()
        while still < STILL and monotonic() - since < (PATIENCE if wrong == AWAY else self._stuck):
            found = await self._wrong()
            if found != wrong:
                wrong, since, still = found, monotonic(), 0
            still = 0 if wrong else still + 1
            await asyncio.sleep(0.1)
        return wrong

    async def _wrong(self) -> list[str]:
        taken, entered, sold = [await self._ask("GET", each) for each in ("taken", "orders", "sold")]
        if taken is None or entered is None or sold is None:
            return AWAY
        wrong = [f"order {each} was promised and is gone" for each in self._promised.values() if each not in entered]
        if sorted(entered.values()) != sorted(ORDERS):
            wrong.append(f"{sorted(ORDERS)} were ordered, {sorted(entered.values())} entered")
        if taken != sum(entered.values()):
            wrong.append(f"{taken} articles were taken for {sum(entered.values())}")
        wrong += [f"order {each} was not counted" for each in entered if each not in sold]
        wrong += [f"order {each} was counted twice" for each, counts in sold.items() if len(counts) > 1]
        return wrong + [f"order {each} was counted and does not exist" for each in sold if each not in entered]

    async def _ask(self, verb: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any | None:
        """The answer, None where there was none that counts."""
        try:
            answer = await self._client.request(verb, f"{self._run_now.address}/api/{path}", json=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL):  # it is dead, or starts again
            return None
        return answer.json() if answer.is_success else None
