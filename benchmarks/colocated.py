"""What a call between two services of one process costs, as a multiple of a plain await, with every default on.

    python -m benchmarks.colocated [--quick] [--json]
    valgrind --tool=cachegrind --cache-sim=no python -m benchmarks.colocated --count 5000 --of "colocated call"

Short slices of each kind take turns, by the CPU time of the thread, and a slice is compared with the plain awaits just
before it: the pace of a shared machine changes within seconds. The second form only makes the calls: what two counts
differ by is the instructions of a call, the same under any load.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

import uvloop

from benchmarks.alone import alone
from benchmarks.figures import Spread, spread
from meristem import Contract, Message, Service, System, safe

PLAIN, CALL, CALL_LIST = "plain await", "colocated call", "colocated call, list of 100"
TIMES = "colocated call, times a plain await"
WARM = 300  # calls: what is sampled at human speed is over by then


class Quote(Message):
    """The message of four fields that every echo benchmark carries."""

    hotel_id: int
    city: str
    nights: int
    price: float


class Quotes(Message):
    """A message with a list inside, which has to be rebuilt."""

    items: list[Quote]


class Echo(Contract, Protocol, package="bench.v1"):
    @safe
    async def echo(self, quote: Quote) -> Quote: ...

    @safe
    async def echo_list(self, quotes: Quotes) -> Quotes: ...


class EchoService(Echo, Service):
    async def echo(self, quote: Quote) -> Quote:
        return quote

    async def echo_list(self, quotes: Quotes) -> Quotes:
        return quotes


class Kind(NamedTuple):
    """Something to call, and how often in one slice."""

    call: Callable[[Any], Awaitable[Any]]
    value: Any
    times: int


QUOTE = Quote(hotel_id=1234567, city="Reykjavik", nights=3, price=219.75)


def kinds(client: Echo) -> dict[str, Kind]:
    """What is measured, by name; a slice of each takes about a millisecond."""
    return {
        PLAIN: Kind(EchoService().echo, QUOTE, 10_000),
        CALL: Kind(client.echo, QUOTE, 1000),
        CALL_LIST: Kind(client.echo_list, Quotes(items=[QUOTE] * 100), 50),
    }


async def microseconds(kind: Kind) -> float:
    """CPU time of one call."""
    call, value = kind.call, kind.value
    began = time.thread_time_ns()
    for _ in range(kind.times):
        await call(value)
    return (time.thread_time_ns() - began) / kind.times / 1000


async def measure(slices: int) -> dict[str, Spread]:
    """Microseconds of each kind, and how many plain awaits a call is worth."""
    async with alone(System("bench", services=[EchoService])) as app:
        found: dict[str, list[float]] = {}
        all_kinds = kinds(app.client(Echo))
        for kind in all_kinds.values():
            await microseconds(kind._replace(times=WARM))
        for _ in range(slices):
            for name, kind in all_kinds.items():
                found.setdefault(name, []).append(await microseconds(kind))
    figures = {name: spread(each) for name, each in found.items()}
    return figures | {TIMES: figures[CALL].against(figures[PLAIN])}


async def only(name: str, count: int) -> None:
    """Make so many calls of one kind and nothing else."""
    async with alone(System("bench", services=[EchoService])) as app:
        kind = kinds(app.client(Echo))[name]
        await microseconds(kind._replace(times=WARM))
        await microseconds(kind._replace(times=count))


def main(argv: list[str] | None = None) -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer slices")
    parser.add_argument("--json", action="store_true", help="the medians, as JSON")
    parser.add_argument("--count", type=int, help="only make so many calls")
    parser.add_argument("--of", choices=[PLAIN, CALL, CALL_LIST], default=CALL, help="what is called then")
    given = parser.parse_args(argv)
    if given.count is not None:
        uvloop.run(only(given.of, given.count))
        return
    figures = uvloop.run(measure(100 if given.quick else 400))
    if given.json:
        print(json.dumps({name: each.median for name, each in figures.items()}))
        return
    for name, each in figures.items():
        low, high = each.quantiles()
        print(f"{name:<36} {each.median:8.3f}  (eight in ten: {low:.3f} to {high:.3f}){'' if name == TIMES else ' µs'}")


if __name__ == "__main__":
    main()
