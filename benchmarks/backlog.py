"""How fast a backlog of events drains, beside the same events while the outbox stays nearly empty.

    python -m benchmarks.backlog [--events N] [--keys N] [--seconds S] [--replicas N]

One publisher, one subscriber with a database of its own, every commit synced. A drain that takes longer than
`--seconds` is cut off there, and its rate is that of the time it had. Meanwhile somebody writes to the publisher's
database, a short transaction every few milliseconds: how long it takes is what the writers of a service wait. Now and
then such a transaction publishes an event of a key that the backlog does not have: how long it takes from its commit
to its handler is what the backlog costs those who are not part of it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import statistics
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import uvloop

from benchmarks.events import ADD, Bench, Booked

STEADY, DRAIN = "outbox nearly empty, events per second", "backlog, events per second"
FRESH = "event of a fresh key beside the backlog, p99 ms"
WAIT = "writer waits beside the backlog, p99 ms"
EVENTS, KEYS, SECONDS = 200_000, 10_000, 30.0
AT_ONCE = 200  # events of one transaction
NEARLY_EMPTY = 1000  # events of the outbox while they come in as fast as they are handled
PAUSE = 0.005  # seconds between two transactions of the writer
FRESH_EACH = 20  # transactions of the writer


async def publish(bench: Bench, count: int, keys: int, waiting: int | None = None) -> None:
    """Publish so many events; with `waiting` never more ahead of the handler than that."""
    before = bench.handled
    for first in range(0, count, AT_ONCE):
        if waiting is not None:
            await bench.wait_for(before + first - waiting)
        async with bench.publisher.begin() as tx:
            for number in range(first, min(first + AT_ONCE, count)):
                await tx.publish(Booked(guest=f"guest {number % keys}", nights=2))


async def handled(bench: Bench, count: int, seconds: float) -> float:
    """Events handled per second, until so many are or the time is over."""
    began, before = time.perf_counter(), bench.handled
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await bench.wait_for(count)
    return (bench.handled - before) / (time.perf_counter() - began)


async def write(bench: Bench, waits: list[float], fresh: list[float]) -> None:
    """A service's own writes, one after the other; appends how long each took, and each fresh event, in seconds."""
    for number in itertools.count(1):
        began = time.perf_counter()
        async with bench.publisher.begin() as tx:
            await tx.execute(ADD, {"name": "a writer"})
        waits.append(time.perf_counter() - began)
        if number % FRESH_EACH == 0:
            await publish_fresh(bench, f"fresh {number}", fresh)
        await asyncio.sleep(PAUSE)


async def publish_fresh(bench: Bench, guest: str, fresh: list[float]) -> None:
    """An event of a key of its own; appends the seconds from its commit to its handler."""
    handled = bench.expected[guest] = asyncio.Event()
    async with bench.publisher.begin() as tx:
        await tx.publish(Booked(guest=guest, nights=2))
    began = time.perf_counter()
    await handled.wait()
    del bench.expected[guest]
    fresh.append(time.perf_counter() - began)


async def steady(events: int, keys: int, seconds: float, replicas: int = 1) -> float:
    """Events per second while the outbox stays nearly empty."""
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        bench = Bench(Path(folder), 1)
        await bench.start()
        for _ in range(1, replicas):
            await bench.join()
        publishing = asyncio.create_task(publish(bench, events, keys, NEARLY_EMPTY))
        rate = await handled(bench, events, seconds)
        publishing.cancel()
        with suppress(asyncio.CancelledError):
            await publishing
        await bench.stop()
    return rate


async def drain(events: int, keys: int, seconds: float, replicas: int = 1) -> dict[str, float]:
    """Events per second of a backlog, and the milliseconds that writes and fresh events took meanwhile."""
    waits: list[float] = []
    fresh: list[float] = []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        bench = Bench(Path(folder), 1)
        await bench.open()
        await publish(bench, events, keys)
        for _ in range(1, replicas):
            await bench.join()
        await bench.relay.start()
        await bench.wait_for(1)  # relays that start beside others claim nothing for four seconds
        writing = asyncio.create_task(write(bench, waits, fresh))
        rate = await handled(bench, events, seconds)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await bench.stop()
    return {DRAIN: rate, WAIT: p99(waits, seconds), FRESH: p99(fresh, seconds)}


def p99(found: list[float], otherwise: float) -> float:
    """The milliseconds that 99 of 100 took at most."""
    return 1000 * (statistics.quantiles(found, n=100)[-1] if len(found) > 1 else otherwise)


async def measure(events: int, keys: int, seconds: float, replicas: int = 1) -> dict[str, float]:
    """Both, one after the other."""
    found = {STEADY: await steady(events, keys, seconds, replicas)}
    return found | await drain(events, keys, seconds, replicas)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=EVENTS)
    parser.add_argument("--keys", type=int, default=KEYS)
    parser.add_argument("--seconds", type=float, default=SECONDS)
    parser.add_argument("--replicas", type=int, default=1, help="of the publisher")
    given = parser.parse_args()
    print(json.dumps(uvloop.run(measure(given.events, given.keys, given.seconds, given.replicas))))


if __name__ == "__main__":
    main()
