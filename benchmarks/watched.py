"""What a call costs more because operators look on: the same system with its dashboard and without, round by round.

    python -m benchmarks.watched [--rounds 10] [--seconds 4] [--json]

A shop asks its stock ten times for each request from outside, 16 requests in flight; in one process and in two. Both
runs have every default, so traces are sampled as always; one of them says `dashboard = false` in its
placement. What the looking costs while nothing is called is told apart: processor time a second of a system at rest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Final, Protocol

from benchmarks.figures import Spread, short, spreads
from benchmarks.load import keep_in_flight
from benchmarks.machine import cpu_seconds, descendants
from benchmarks.processes import python, started
from meristem import Contract, Service, System, connect, safe

ASKED: Final = 10  # calls between services for each request
IN_FLIGHT: Final = 16
PLACES: Final = {"one process": 'main = ["*"]', "two processes": 'shop = ["shop"]\nstock = ["stock"]'}


class Stock(Contract, Protocol, package="bench.watched.v1"):
    @safe
    async def left(self, item: int) -> int: ...


class Shop(Contract, Protocol, package="bench.watched.v1"):
    @safe(public=True)
    async def offer(self, first: int) -> int: ...


class StockService(Stock, Service):
    async def left(self, item: int) -> int:
        return item % 7


class ShopService(Shop, Service):
    def __init__(self, stock: Stock) -> None:
        self.stock = stock

    async def offer(self, first: int) -> int:
        return sum([await self.stock.left(first + each) for each in range(ASKED)])


system = System("watched", services=[ShopService, StockService])


def written(folder: Path, processes: str, *, dashboard: bool) -> Path:
    """A placement in a folder."""
    path = folder / "placement.toml"
    path.write_text(f"[processes]\n{processes}\n\n[operator]\ndashboard = {str(dashboard).lower()}\n")
    return path


def measured(processes: str, seconds: float, *, dashboard: bool) -> dict[str, float]:
    """Microseconds of processor time for each call, and milliseconds of it a second at rest."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        placement = written(folder, processes, dashboard=dashboard)
        (folder / "watched.py").write_text("from benchmarks.watched import system\n")
        command = python("meristem", "run", "watched.py", "--placement", str(placement), "--port", "0")
        with started(command, folder=folder, ready=" runs at ") as running:
            return asyncio.run(_asked(running.ready_line, running.pid, seconds))


async def _asked(line: str, pid: int, seconds: float) -> dict[str, float]:
    address = next(each for each in line.split() if each.startswith("http://"))
    async with connect(address) as remote:
        shop = remote.client(Shop)
        await keep_in_flight(lambda: shop.offer(1), IN_FLIGHT, 1.0)
        pids = descendants(pid)
        before = cpu_seconds(pids)
        answered, _ = await keep_in_flight(lambda: shop.offer(1), IN_FLIGHT, seconds)
        called = (cpu_seconds(pids) - before) / (answered * ASKED) * 1e6
        await asyncio.sleep(1.0)
        before, began = cpu_seconds(pids), time.perf_counter()
        await asyncio.sleep(seconds / 2)
        resting = (cpu_seconds(pids) - before) / (time.perf_counter() - began) * 1e3
    return {"µs a call": called, "ms a second at rest": resting}


def run(rounds: int, seconds: float) -> dict[str, dict[str, Spread]]:
    """By placement the figures of both, and how many times those without are those with a dashboard."""
    found: dict[str, dict[str, Spread]] = {}
    for place, processes in PLACES.items():
        turns: list[dict[str, float]] = []
        for number in range(rounds):
            order = (True, False) if number % 2 else (False, True)
            told = {each: measured(processes, seconds, dashboard=each) for each in order}
            turn = {
                f"{name}, {'with' if on else 'without'}": value
                for on, figures in told.items()
                for name, value in figures.items()
            }
            turns.append(turn | {"with / without": told[True]["µs a call"] / told[False]["µs a call"]})
        found[place] = spreads(turns)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--json", action="store_true", help="Print JSON.")
    given = parser.parse_args()
    found = run(given.rounds, given.seconds)
    if given.json:
        print(json.dumps(found))
        return
    for place, figures in found.items():
        print(place)
        for name, each in sorted(figures.items()):
            print(f"  {name:<30} {short(each.median)} ({short(each.low)} to {short(each.high)})")


if __name__ == "__main__":
    main()
