"""What `cpu=True` and `@batched` gain: calls beside a computation, and calls of what does more at once for little more.

    python -m benchmarks.computing [--json]

A neighbour's call is made again and again while others compute for 50 ms at a time, on the event loop and in workers.
The model is made up: a call of it costs a millisecond, and each item a fiftieth of one; 32 callers ask at a time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any, Final, Protocol

import uvloop

from meristem import Contract, Service, System, batched, safe
from meristem.testing import running

INLINE, WORKERS = "neighbour's p99 beside a computation on the loop, ms", "neighbour's p99 beside one in workers, ms"
ONE_BY_ONE, BATCHED = "model calls a second, one by one", "model calls a second, batched"
COMPUTED: Final = 0.05  # seconds
CALL, ITEM = 0.001, 0.00002  # seconds that a model takes for each call, and for each item
CALLERS: Final = 32
PAUSE: Final = 0.001  # seconds between a neighbour's calls


class Sums(Contract, Protocol, package="bench.computing.v1"):
    @safe(timeout=60.0)
    async def inline(self, seconds: float) -> int: ...

    @safe
    async def neighbour(self) -> int: ...

    @safe(timeout=60.0)
    async def one(self, seed: int) -> float: ...

    @safe(timeout=60.0)
    async def many(self, seed: int) -> float: ...


class Heavy(Contract, Protocol, package="bench.computing.v1"):
    @safe(cpu=True, timeout=60.0)
    async def compute(self, seconds: float) -> int: ...


def computed(seconds: float) -> int:
    """Turn for so long, holding the interpreter."""
    until, turns = time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        turns += 1
    return turns


class HeavyService(Heavy, Service):
    async def compute(self, seconds: float) -> int:
        return computed(seconds)


class SumsService(Sums, Service):
    async def inline(self, seconds: float) -> int:
        return computed(seconds)

    async def neighbour(self) -> int:
        return 1

    async def one(self, seed: int) -> float:
        return self._predict([seed])[0]

    async def many(self, seed: int) -> float:
        return await self._batch(seed)

    @batched(max_size=CALLERS, max_wait=0.002)
    async def _batch(self, seeds: list[int]) -> list[float]:
        return self._predict(seeds)

    def _predict(self, seeds: list[int]) -> list[float]:
        computed(CALL + ITEM * len(seeds))
        return [float(seed) for seed in seeds]


system = System("computing", services=[HeavyService, SumsService])


async def p99(call: Callable[[], Awaitable[Any]], seconds: float, beside: Callable[[], Awaitable[Any]]) -> float:
    """The 99th percentile of calls, in ms, while something else goes on without end."""

    async def again() -> None:
        while True:
            await beside()
            await asyncio.sleep(0)  # a call within the process may never wait

    other, took, until = asyncio.create_task(again()), [], time.perf_counter() + seconds
    while time.perf_counter() < until:
        due = time.perf_counter() + PAUSE
        await asyncio.sleep(PAUSE)
        await call()
        took.append((time.perf_counter() - due) * 1e3)  # since it was due: it may have waited for the loop
    other.cancel()
    await asyncio.gather(other, return_exceptions=True)
    return sorted(took)[int(len(took) * 0.99)]


async def per_second(call: Callable[[int], Awaitable[Any]], seconds: float) -> float:
    """Calls of several callers at a time."""
    count, until = 0, time.perf_counter() + seconds

    async def caller(seed: int) -> None:
        nonlocal count
        while time.perf_counter() < until:
            await call(seed)
            count += 1

    await asyncio.gather(*map(caller, range(CALLERS)))
    return count / seconds


async def measure(seconds: float) -> dict[str, float]:
    """All four, once."""
    async with running(system) as app:
        sums, heavy = app.client(Sums), app.client(Heavy)
        return {
            INLINE: await p99(sums.neighbour, seconds, lambda: sums.inline(COMPUTED)),
            WORKERS: await p99(sums.neighbour, seconds, lambda: heavy.compute(COMPUTED)),
            ONE_BY_ONE: await per_second(sums.one, seconds),
            BATCHED: await per_second(sums.many, seconds),
        }


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=2.0)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(measure(given.seconds))
    print(json.dumps(found) if given.json else "\n".join(f"{name}: {value:.3g}" for name, value in found.items()))


if __name__ == "__main__":
    import_module("benchmarks.computing").main()  # by its name, from which workers import it
