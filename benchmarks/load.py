"""Keeps a number of calls in flight, and counts what is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from benchmarks.machine import cpu_seconds

Call: TypeAlias = Callable[[], Awaitable[Any]]
WARM = 0.3  # of the time that is measured


async def keep_in_flight(call: Call, in_flight: int, seconds: float) -> tuple[int, float]:
    """Calls answered, and the seconds that it took."""
    counts = [0] * in_flight
    began = time.perf_counter()
    end = began + seconds

    async def caller(place: int) -> None:
        while time.perf_counter() < end:
            await call()
            counts[place] += 1

    await asyncio.gather(*(caller(place) for place in range(in_flight)))
    return sum(counts), time.perf_counter() - began


async def measure(
    calls: Mapping[str, Call], works: list[tuple[str, int]], seconds: float, server: int
) -> dict[str, dict[str, float]]:
    """Answers per second and CPU microseconds of both ends, for each work and number in flight."""
    found = {}
    for name, in_flight in works:
        call = calls[name]
        await keep_in_flight(call, in_flight, seconds * WARM)
        own, theirs = time.process_time(), cpu_seconds([server])
        count, took = await keep_in_flight(call, in_flight, seconds)
        found[f"{name} {in_flight}"] = {
            "per_second": count / took,
            "client_us": (time.process_time() - own) / max(count, 1) * 1e6,
            "server_us": (cpu_seconds([server]) - theirs) / max(count, 1) * 1e6,
        }
    return found
