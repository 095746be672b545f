"""What a call between two services of one process costs over a plain await, with every default on."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from typing import Any, Protocol

import uvloop

from meristem import Contract, Message, Service, System, safe
from meristem.testing.running import running

BAR = 2.0  # microseconds over a plain await


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


async def seconds_per_call(call: Any, value: Any, count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        await call(value)
    return (time.perf_counter() - began) / count


async def measure(rounds: int, count: int) -> dict[str, float]:
    """Medians in microseconds over rounds in which each kind has its turn."""
    quote = Quote(hotel_id=1234567, city="Reykjavik", nights=3, price=219.75)
    quotes = Quotes(items=[quote] * 100)
    plain = EchoService()
    async with running(System("bench", services=[EchoService])) as app:
        client = app.client(Echo)
        kinds: dict[str, tuple[Any, Any, int]] = {
            "plain await": (plain.echo, quote, count),
            "colocated call": (client.echo, quote, count),
            "colocated call, list of 100": (client.echo_list, quotes, count // 20),
        }
        found: dict[str, list[float]] = {name: [] for name in kinds}
        for _ in range(rounds):
            for name, (call, value, times) in kinds.items():
                found[name].append(await seconds_per_call(call, value, times) * 1e6)
    return {name: statistics.median(times) for name, times in found.items()}


def main(argv: list[str] | None = None) -> dict[str, float]:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args(argv)
    rounds, count = (3, 20_000) if arguments.quick else (9, 100_000)
    figures = uvloop.run(measure(rounds, count)) if sys.platform != "win32" else asyncio.run(measure(rounds, count))
    over = figures["colocated call"] - figures["plain await"]
    if arguments.json:
        print(json.dumps(figures))
        return figures
    for name, value in figures.items():
        print(f"{name:<30} {value:8.2f} µs")
    print(f"over a plain await: {over:.2f} µs (bar: {BAR} µs)")
    return figures


if __name__ == "__main__":
    main()
