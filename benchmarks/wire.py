"""Calls between two processes, client on one core and server on another: Meristem beside a bare msgpack protocol.

`python benchmarks/wire.py` prints calls per second and the CPU of both ends; `--json` prints the same as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
import uvloop

from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.operation import safe
from meristem.transports.http.client import HttpClient
from meristem.transports.http.route import Endpoint
from meristem.transports.http.server import HttpServer

sys.path.insert(0, str(Path(__file__).parent))
from peers import bare_msgpack

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CITIES = ("Reykjavik", "Porto", "Ljubljana", "Tartu", "Kyoto")
IN_FLIGHT = (1, 16, 64)


class Quote(Message):
    hotel_id: int
    city: str
    nights: int
    price: float


class Query(Message):
    city: str
    count: int


class Quotes(Message):
    items: list[Quote]


class Offers(Contract, Protocol, package="bench.offers.v1"):
    @safe
    async def echo(self, quote: Quote) -> Quote: ...

    @safe
    async def search(self, query: Query) -> Quotes: ...


ROWS = [Quote(hotel_id=1000 + i, city=CITIES[i % 5], nights=1 + i % 7, price=100.25 + i * 1.5) for i in range(100)]
QUOTE = Quote(hotel_id=1234567, city="Reykjavik", nights=3, price=219.75)
QUERY = Query(city="Porto", count=100)


async def echo(quote: Quote) -> Quote:
    return quote


async def search(query: Query) -> Quotes:
    return Quotes(items=ROWS[: query.count])


async def nothing(_scope: Any, _receive: Any, _send: Any) -> None:
    raise RuntimeError("the benchmark serves no app")


async def serve_meristem(address: str) -> None:
    functions: dict[str, Any] = {"echo": echo, "search": search}

    def handler(function: Any) -> Any:
        async def handle(call: Call) -> Any:
            return await function(call.request)

        return handle

    routes = {each.path: Endpoint(each, handler(functions[name])) for name, each in operations(Offers).items()}
    server = HttpServer(routes, nothing)
    await server.start(address)
    print(server.addresses[0], flush=True)
    await asyncio.Event().wait()


async def serve_bare(address: str) -> None:
    print(address, flush=True)
    await bare_msgpack.serve(address, [(Quote, echo), (Query, search)])


async def calls_meristem(address: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    client, known = HttpClient(address), operations(Offers)

    async def call_echo() -> Any:
        return await client.call(Call(known["echo"], QUOTE, Context(time.monotonic() + 5)))

    async def call_search() -> Any:
        return await client.call(Call(known["search"], QUERY, Context(time.monotonic() + 5)))

    return {"echo": call_echo, "list": call_search}


async def calls_bare(address: str) -> dict[str, Callable[[], Awaitable[Any]]]:
    client = await bare_msgpack.connect(address)
    encode = msgspec.msgpack.Encoder().encode
    quote, quotes = msgspec.msgpack.Decoder(Quote).decode, msgspec.msgpack.Decoder(Quotes).decode

    async def call_echo() -> Any:
        return quote(await client.call(0, encode(QUOTE)))

    async def call_search() -> Any:
        return quotes(await client.call(1, encode(QUERY)))

    return {"echo": call_echo, "list": call_search}


CONTESTANTS: dict[str, tuple[Any, Any, str]] = {
    "meristem, Unix socket": (serve_meristem, calls_meristem, "unix:{folder}/meristem.sock"),
    "meristem, TCP": (serve_meristem, calls_meristem, "tcp://127.0.0.1:0"),
    "bare msgpack (the limit)": (serve_bare, calls_bare, "{folder}/bare.sock"),
}


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(name: str, address: str, pid: int, seconds: float) -> dict[str, dict[str, float]]:
    """Calls per second of one contestant for each work and number in flight, in this process."""
    calls = await CONTESTANTS[name][1](address)
    results = {}
    for work, in_flight in [("echo", each) for each in IN_FLIGHT] + [("list", 64)]:
        call = calls[work]
        await load(call, in_flight, 0.3)
        own, theirs = time.process_time(), cpu_of(pid)
        count, took = await load(call, in_flight, seconds)
        results[f"{work} {in_flight}"] = {
            "per_second": count / took,
            "client_us": (time.process_time() - own) / count * 1e6,
            "server_us": (cpu_of(pid) - theirs) / count * 1e6,
        }
    return results


async def load(call: Callable[[], Awaitable[Any]], in_flight: int, seconds: float) -> tuple[int, float]:
    """Keep a number of calls in flight for some seconds; how many were answered, and the time it took."""
    counts = [0] * in_flight
    start = time.perf_counter()
    end = start + seconds

    async def caller(place: int) -> None:
        while time.perf_counter() < end:
            await call()
            counts[place] += 1

    await asyncio.gather(*(caller(place) for place in range(in_flight)))
    return sum(counts), time.perf_counter() - start


def pin(core: int) -> None:
    """Run on one core only, where the machine has several."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core % len(cores)]})


def one_round(name: str, seconds: float) -> dict[str, dict[str, float]]:
    """Start a server, load it from a process of its own, and end both."""
    with tempfile.TemporaryDirectory() as folder:
        address = CONTESTANTS[name][2].format(folder=folder)
        command = [sys.executable, __file__, "--serve", name, "--address", address]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                bound = server.stdout.readline().strip() if server.stdout else ""
                wait_for(bound)
                load_command = [sys.executable, __file__, "--load", name, "--address", bound, "--pid", str(server.pid)]
                done = subprocess.run(
                    [*load_command, "--seconds", str(seconds)], check=True, capture_output=True, text=True
                )
                results: dict[str, dict[str, float]] = json.loads(done.stdout)
            finally:
                server.terminate()
    return results


def wait_for(address: str) -> None:
    """Wait until the file of a Unix socket is there."""
    path = Path(address.removeprefix("unix:"))
    while address.endswith(".sock") and not path.exists():
        time.sleep(0.01)


def compare(rounds: int, seconds: float) -> dict[str, dict[str, dict[str, float]]]:
    """Medians of several rounds, the contestants in turn."""
    seen: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in CONTESTANTS}
    for _ in range(rounds):
        for name in CONTESTANTS:
            seen[name].append(one_round(name, seconds))
    return {name: {work: middle([each[work] for each in all_]) for work in all_[0]} for name, all_ in seen.items()}


def middle(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of each figure."""
    return {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}


def show(results: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print a table."""
    works = list(next(iter(results.values())))
    print(f"{'calls/s (CPU µs of server/client)':34}" + "".join(f"{work:>24}" for work in works))
    for name, figures in results.items():
        cells = (
            f"{each['per_second']:,.0f} ({each['server_us']:.1f}/{each['client_us']:.1f})" for each in figures.values()
        )
        print(f"{name:34}" + "".join(f"{cell:>24}" for cell in cells))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--json", action="store_true")
    for hidden in ("--serve", "--load", "--address"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--pid", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        pin(1)
        uvloop.run(CONTESTANTS[given.serve][0](given.address))
    elif given.load:
        pin(0)
        print(json.dumps(uvloop.run(measure(given.load, given.address, given.pid, given.seconds))))
    else:
        results = compare(given.rounds, given.seconds)
        print(json.dumps(results)) if given.json else show(results)


if __name__ == "__main__":
    main()
