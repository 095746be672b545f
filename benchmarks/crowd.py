"""How long a page of the dashboard takes in a large system, and what looking at it costs those who call.

    python -m benchmarks.crowd [--rounds 5] [--sagas 10000] [--spans 100000]

Fifty services in five processes under a supervisor, each with a database of its own. Before they start for good, the
databases are given 10,000 sagas, and the history 100,000 spans, 20,000 lines of the log and an hour of figures. While a
client calls, a browser opens each page: from the address to when nothing waits any more. Then the client's calls with
nobody who looks are set beside those with a browser that opens page after page.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from playwright.async_api import Page, async_playwright
from sqlalchemy import insert

from benchmarks.figures import Spread, short, spread
from benchmarks.growth_filling import row_of
from benchmarks.processes import Started, python, started
from meristem import connect
from meristem.operators.history_file import History
from meristem.operators.history_tables import BUCKETS, FigureRow, LineRow, write_figures, write_lines, write_spans
from meristem.operators.operator_contract import SpanView
from meristem.sagas.tables import SAGAS, STEPS
from meristem.storage.database import database_for

SERVICES: Final = 50
OF_ONE: Final = 10  # services in a process
STEPS_OF_ONE: Final = 2
SPANS_OF_ONE: Final = 10
LINES: Final = 20_000
HOUR: Final = 3600.0
HEAD: Final = """from typing import Protocol

from sqlalchemy import Column, Integer, MetaData, Table

from meristem import Contract, Database, Flow, Service, System, once, safe, saga
"""
SERVICE: Final = '''

class S{n:02}(Contract, Protocol, package="crowd.s{n:02}.v1"):
    """What department {n} does."""

    @safe(public=True)
    async def look(self, item: int) -> int: ...

    @once(timeout=30.0, public=True)
    async def work(self, item: int) -> int: ...


class S{n:02}Service(S{n:02}, Service, tables=MetaData()):
    def __init__(self, database: Database{parameter}) -> None:
        self.database = database{kept}

    async def look(self, item: int) -> int:
        return {looked}

    @saga(search=["item"])
    async def work(self, flow: Flow, item: int) -> int:
        await flow.step(self.noted)
        return await flow.step(self.noted)

    async def noted(self) -> int:
        return 1
'''


def code() -> str:
    """The module of the system: each service asks the next one, within tens."""
    parts = []
    for n in range(SERVICES):
        asks = n % OF_ONE != OF_ONE - 1
        parts.append(
            SERVICE.format(
                n=n,
                parameter=f", after: S{n + 1:02}" if asks else "",
                kept="\n        self.after = after" if asks else "",
                looked="await self.after.look(item)" if asks else "item",
            )
        )
    known = ", ".join(f"S{n:02}Service" for n in range(SERVICES))
    return HEAD + "".join(reversed(parts)) + f'\n\nsystem = System("crowd", services=[{known}])\n'


def placement() -> str:
    """Five processes of ten services."""
    names = [f"s{n:02}" for n in range(SERVICES)]
    rows = [f"p{n // OF_ONE} = {names[n : n + OF_ONE]!r}" for n in range(0, SERVICES, OF_ONE)]
    return "[processes]\n" + "\n".join(rows).replace("'", '"') + "\n"


def spans(count: int, now: float, dice: random.Random) -> Iterator[SpanView]:
    """Visits of ten spans, one after the other, over the last hour."""
    visits = count // SPANS_OF_ONE
    for visit in range(visits):
        trace, start = f"{dice.getrandbits(128):032x}", now - HOUR * (1 - visit / visits)
        first, parent = dice.randrange(SERVICES), ""
        error = "Unavailable: s07 failed" if dice.random() < 0.02 else ""
        for number in range(SPANS_OF_ONE):
            service, own = f"s{(first + number) % SERVICES:02}", f"{dice.getrandbits(64):016x}"
            yield SpanView(
                trace_id=trace, span_id=own, parent_id=parent, name=f"{service}.look", kind="server", service=service,
                process=f"p{(first + number) % SERVICES // OF_ONE}", replica=0, start=start + number * 1e-3,
                duration=0.02 - number * 1e-3, error=error, attributes={"user.id": f"user-{visit % 900}"},
            )  # fmt: skip
            parent = own


def lines(now: float) -> Iterator[LineRow]:
    for number in range(LINES):
        service = f"s{number % SERVICES:02}"
        level = 40 if number % 100 == 0 else 20
        yield LineRow(
            now - HOUR * (1 - number / LINES), level, f"p{number % SERVICES // OF_ONE}", 0, f"crowd.{service}",
            f"item {number} was looked at", service, "look", "", "", "", {"item": str(number)},
        )  # fmt: skip


def figures(now: float) -> Iterator[FigureRow]:
    buckets = [3] * len(BUCKETS)
    for turn in range(int(HOUR / 10)):
        for n in range(SERVICES):
            for operation in ("look", "work"):
                yield FigureRow(
                    now - HOUR + turn * 10, 10.0, f"p{n // OF_ONE}", 0, f"s{n:02}", operation, sum(buckets),
                    turn % 7 == 0, 1, buckets,
                )  # fmt: skip


async def fill_history(folder: Path, count: int) -> None:
    """Write what an hour left behind."""
    history = History(folder / ".meristem" / "crowd" / "history.db")
    await history.start()  # makes the file where there is none
    await history.stop()
    now, dice = time.time(), random.Random(11)
    with sqlite3.connect(folder / ".meristem" / "crowd" / "history.db") as tx:
        tx.row_factory = sqlite3.Row
        write_spans(tx, list(spans(count, now, dice)))
        write_lines(tx, list(lines(now)))
        write_figures(tx, list(figures(now)))
    tx.close()


async def fill_sagas(folder: Path, count: int) -> None:
    """Copies of the saga that each service has ended, over a month; each hundredth is parked."""
    for n in range(SERVICES):
        path = next(folder.rglob(f"s{n:02}.db"))  # noqa: ASYNC240 - nothing else goes on here
        database = database_for(f"sqlite:///{path}", name=f"s{n:02}", directory=folder)
        await database.start()
        saga = await row_of(database, SAGAS)
        step = await row_of(database, STEPS, saga_id=saga["id"])
        made, stepped = [], []
        for number in range(count // SERVICES):
            name = f"{random.Random(number * SERVICES + n).getrandbits(128):032x}"
            created = saga["created"] - timedelta(minutes=3 * number + n / SERVICES)
            state: dict[str, Any] = (
                {"state": "parked", "resume": "running", "problem": "the bank answered 503", "result": None}
                if number % 100 == 7
                else {}
            )
            made.append(saga | state | {"id": name, "created": created, "updated": created + timedelta(seconds=2)})
            stepped += [
                step | {"saga_id": name, "position": str(each), "sequence": each + 1} for each in range(STEPS_OF_ONE)
            ]
        await database.execute(insert(SAGAS), made)
        await database.execute(insert(STEPS), stepped)
        await database.stop()


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """The system from its start to its end: the public address, and the dashboard's with its token."""
    command = python("meristem", "run", "crowd_system.py", "--placement", "placement.toml", "--port", "0")
    with started(command, folder=folder, ready=" runs at ", seconds=240.0) as process:
        yield _address(process.ready_line), next(_dashboards(process))


def _dashboards(process: Started) -> Iterator[str]:
    return (word for line in process.lines for word in line.split() if "token=" in word)


def _address(line: str) -> str:
    return next(word for word in line.split() if word.startswith("http://"))


async def opened(page: Page, address: str) -> float:
    """Milliseconds from the address to when the page's title is there and nothing of it waits."""
    began = time.perf_counter()
    await page.goto(address, wait_until="commit")
    await page.locator("h1").first.wait_for()
    await page.locator(".waiting").first.wait_for(state="detached")
    return (time.perf_counter() - began) * 1e3


async def calling(address: str, seconds: float) -> list[float]:
    """The seconds that each call took, fifty a second."""
    from crowd_system import S00  # type: ignore[import-not-found]  # noqa: PLC0415 - written a moment ago

    took = []
    async with connect(address) as system:
        client, end = system.client(S00), time.perf_counter() + seconds
        while time.perf_counter() < end:
            began = time.perf_counter()
            await client.look(1)
            took.append(time.perf_counter() - began)
            await asyncio.sleep(0.02)
    return took


async def measured(folder: Path, rounds: int) -> tuple[dict[str, Spread], Spread, Spread]:
    """By page its milliseconds; and those of calls with nobody who looks, and with one who does."""
    async with running(folder) as (public, link), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await page.goto(link)
        await page.wait_for_selector("#pages a")
        top = link.partition("/?")[0]
        paths = await page.eval_on_selector_all("#pages a", "all => all.map(each => each.getAttribute('href'))")
        for listing, each in (("/traces", "main a[href^='/traces/']"), ("/sagas", "main a[href^='/sagas/']")):
            if listing not in paths:
                continue
            await opened(page, top + listing)
            found = await page.query_selector(each)
            if found is not None:
                paths.append(await found.get_attribute("href"))
        load = asyncio.create_task(calling(public, 3600.0))
        told: dict[str, list[float]] = {}
        for _ in range(rounds):
            for path in paths:
                told.setdefault(path, []).append(await opened(page, top + path))
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        await page.goto("about:blank")
        alone, beside = [], []
        for _ in range(rounds):
            alone.append(_late(await calling(public, 4.0)))
            look = asyncio.create_task(_looking(page, [top + each for each in paths]))
            beside.append(_late(await calling(public, 4.0)))
            look.cancel()
            await asyncio.gather(look, return_exceptions=True)
        await browser.close()
    return {path: spread(each) for path, each in told.items()}, spread(alone), spread(beside)


async def _looking(page: Page, addresses: list[str]) -> None:
    while True:
        for each in addresses:
            await opened(page, each)


def _late(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.5)] * 1e3


async def run(given: argparse.Namespace) -> None:
    """Fill, start, look and print."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        (folder / "crowd_system.py").write_text(code())
        (folder / "placement.toml").write_text(placement())
        sys.path.insert(0, name)
        async with running(folder) as (public, _), connect(public) as system:
            import crowd_system  # type: ignore[import-not-found]  # noqa: PLC0415

            for n in range(SERVICES):
                await system.client(getattr(crowd_system, f"S{n:02}")).work(n)
        await fill_sagas(folder, given.sagas)
        await fill_history(folder, given.spans)
        pages, alone, beside = await measured(folder, given.rounds)
    for path, each in pages.items():
        print(f"  {path[:40]:<42} {short(each.median)} ms ({short(each.low)} to {short(each.high)})")
    print(f"  a call over ten services, nobody looks     {short(alone.median)} ms")
    print(f"  the same beside a browser                  {short(beside.median)} ms")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sagas", type=int, default=10_000)
    parser.add_argument("--spans", type=int, default=100_000)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
