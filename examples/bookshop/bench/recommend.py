"""Recommendations per second, with batching and without: `python bench/recommend.py [--seconds 5] [--callers 64]`.

First the model alone, then the service called in its own process, then a running system that stubs of grpcio ask at
the port of gRPC; on Linux that runs on the first processor.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import systems
from bookshop.contracts.recommendations import RecommendationRequest, Recommendations
from bookshop.recommendations.history import History
from bookshop.recommendations.model import Model
from bookshop.recommendations.ranking import Ranking
from bookshop.recommendations.settings import RecommendationsSettings
from grpc import aio
from grpc_tools import protoc

from meristem.testing import running

HERE = Path(__file__).parent
SIZES = {60: 2_000, 2_000: 300}  # books, and readers of the history: more would take long to enter
LARGEST = 64  # batch
PLACEMENT = """
[processes]
all = { services = ["*"], workers = 1 }
[server]
grpc = %d
[settings.%s]
readers = %d
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--callers", type=int, default=LARGEST)
    given = parser.parse_args()
    say("the model alone: recommendations per second")
    for books, readers in SIZES.items():
        alone, together = (
            ranked(books, readers, 1, given.seconds / 2),
            ranked(books, readers, LARGEST, given.seconds / 2),
        )
        say(f"  {books:5} books: {alone:9,.0f} one by one, {together:9,.0f} by {LARGEST}: {together / alone:.1f} times")
    say(f"the service, called in its process by {given.callers}: recommendations per second of a processor")
    for books, readers in SIZES.items():
        alone, together = (asyncio.run(called(name, books, readers, given)) for name in ("one_by_one", "batched"))
        say(f"  {books:5} books: {alone:9,.0f} one by one, {together:9,.0f} batched: {together / alone:.1f} times")
    say(f"by gRPC, {given.callers} callers: recommendations per second")
    with tempfile.TemporaryDirectory() as folder:
        stubs = stubs_in(Path(folder))
        for books, readers in SIZES.items():
            with ExitStack() as stack:
                servers = [
                    stack.enter_context(serving(name, books, readers, Path(folder) / f"{name}{books}"))
                    for name in ("one_by_one", "batched")
                ]
                asyncio.run(compare(servers, stubs, readers, given))
            alone, together = servers
            costs = f"{alone.cost:,.0f} and {together.cost:,.0f} µs of a processor each"
            say(f"  {books:5} books: {alone.rate:9,.0f} one by one, {together.rate:9,.0f} batched: {costs}")


def say(text: str) -> None:
    """A line of the result."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def ranked(books: int, readers: int, size: int, seconds: float) -> float:
    """How many customers a second the model ranks for, `size` at a time."""
    history = History(RecommendationsSettings(readers=readers))
    rows = [(reader, book) for book in range(1, books + 1) for reader in history.buyers(book, (book - 1) % 3)]
    model = Model.train(np.array(rows, np.int32))
    baskets: dict[int, list[int]] = {}
    for reader, book in rows:
        baskets.setdefault(reader, []).append(book)
    ranking = Ranking(model, np.arange(1, books + 1, 3, dtype=np.int32))
    asked = (list(baskets.values()) * (1 + size // len(baskets)))[:size]
    begun, count = perf_counter(), 0
    while perf_counter() - begun < seconds:
        ranking.rank(asked, 3)
        count += size
    return count / (perf_counter() - begun)


async def called(name: str, books: int, readers: int, given: Any) -> float:
    """How many recommendations a second of a processor a service gives to callers in its own process."""
    os.environ["BENCH_BOOKS"] = str(books)
    service = {"batched": "recommendations"}.get(name, name)
    async with running(getattr(systems, name), settings={service: {"readers": readers}}) as app:
        kind = systems.RecommendationsService if name == "batched" else systems.OneByOneService
        await app.eventually(lambda: app.service(kind).version > 0, timeout=120.0)
        client, until, count = app.client(Recommendations), perf_counter() + given.seconds, 0

        async def ask(user: int) -> None:
            nonlocal count
            while perf_counter() < until:
                user = user % readers + 1
                await client.recommend(RecommendationRequest(user_id=user, max_results=3))
                count += 1

        begun = process_time()
        await asyncio.gather(*(ask(each) for each in range(given.callers)))
        return count / (process_time() - begun)


def stubs_in(folder: Path) -> Any:
    """The stubs of the file, as anybody makes them."""
    options = [f"-I{HERE.parent}", f"--python_out={folder}", f"--grpc_python_out={folder}", "recommendations.proto"]
    if protoc.main(["protoc", *options]) != 0:
        raise SystemExit("protoc failed")
    sys.path.insert(0, str(folder))
    return importlib.import_module("recommendations_pb2_grpc")


class Server:
    """A running system: how often it has answered in how many seconds, and what that has cost it."""

    def __init__(self, process: subprocess.Popen[str], target: str) -> None:
        self.process = process
        self.target = target
        self.answers = 0
        self.seconds = 0.0
        self.worked = 0.0

    @property
    def rate(self) -> float:
        return self.answers / self.seconds

    @property
    def cost(self) -> float:
        """Microseconds of a processor for an answer."""
        return 1e6 * self.worked / self.answers


@contextmanager
def serving(name: str, books: int, readers: int, folder: Path) -> Iterator[Server]:
    """A system that has a model."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    service = {"batched": "recommendations"}.get(name, name)
    (folder / "systems.py").write_text((HERE / "systems.py").read_text())
    (folder / "placement.toml").write_text(PLACEMENT % (port, service, readers))
    words = [sys.executable, "-m", "meristem", "run", f"systems.py:{name}", "--placement", "placement.toml"]
    first = [] if sys.platform != "linux" else ["taskset", "-c", "0"]
    with subprocess.Popen(
        [*first, *words, "--port", "0", "--log-level", "info"],
        cwd=folder, env=os.environ | {"BENCH_BOOKS": str(books)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    ) as process:  # fmt: skip
        try:
            wait_for_the_model(process)
            yield Server(process, f"127.0.0.1:{port}")
        finally:
            process.terminate()
            process.communicate()


def wait_for_the_model(process: subprocess.Popen[str]) -> None:
    """Return when the system runs and has a model."""
    assert process.stdout is not None
    wanted, lines = {"ranks by model", " runs at "}, []
    for line in process.stdout:
        lines.append(line)
        wanted -= {each for each in wanted if each in line}
        if not wanted:
            return
    raise SystemExit("".join(lines))


def worked(pid: int) -> float:
    """Seconds of processors that a process and its descendants have used; 0 where there is no /proc."""
    times, children = {}, {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except FileNotFoundError:  # it has ended meanwhile
            continue
        times[int(file.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        children.setdefault(int(fields[1]), []).append(int(file.parent.name))
    found, open_ = 0.0, [pid]
    while open_:
        each = open_.pop()
        found += times.get(each, 0.0)
        open_ += children.get(each, [])
    return found


async def compare(servers: list[Server], stubs: Any, readers: int, given: Any) -> None:
    """Ask each in turn, a second at a time, so that whatever else the machine does is borne by both."""
    async with AsyncExitStack() as stack:
        clients = [
            stubs.RecommendationsStub(await stack.enter_async_context(aio.insecure_channel(each.target)))
            for each in servers
        ]
        for client in clients:
            await asked(client, readers, given.callers, 1.0)  # warms up
        for _ in range(max(1, round(given.seconds))):
            for server, client in zip(servers, clients, strict=True):
                before, begun = worked(server.process.pid), perf_counter()
                server.answers += await asked(client, readers, given.callers, 1.0)
                server.seconds += perf_counter() - begun
                server.worked += worked(server.process.pid) - before


async def asked(client: Any, readers: int, callers: int, seconds: float) -> int:
    """How many answers callers get who ask again as soon as they are answered."""
    pb2 = importlib.import_module("recommendations_pb2")
    until, count = perf_counter() + seconds, 0

    async def ask(caller: int) -> None:
        nonlocal count
        user = caller
        while perf_counter() < until:
            user = user % readers + 1
            await client.Recommend(pb2.RecommendationRequest(user_id=user, max_results=3))
            count += 1

    await asyncio.gather(*(ask(each) for each in range(callers)))
    return count


if __name__ == "__main__":
    main()
