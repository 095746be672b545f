"""Recommendations per second, with batching and without: `python bench/recommend.py [--seconds 5] [--callers 64]`.

The first table is the model alone. The second is a running system, asked by stubs of grpcio at the port of gRPC; on
Linux it runs on the first processor and who asks on the others.
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
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from bookshop.recommendations.history import History
from bookshop.recommendations.model import Model
from bookshop.recommendations.ranking import Ranking
from bookshop.recommendations.settings import RecommendationsSettings
from grpc import aio
from grpc_tools import protoc

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
    say(f"by gRPC, {given.callers} callers: recommendations per second")
    with tempfile.TemporaryDirectory() as folder:
        stubs = stubs_in(Path(folder))
        for books, readers in SIZES.items():
            rates = {
                name: served(name, books, readers, Path(folder) / f"{name}{books}", stubs, given)
                for name in ("one_by_one", "batched")
            }
            alone, together = rates["one_by_one"], rates["batched"]
            say(f"  {books:5} books: {alone:9,.0f} one by one, {together:9,.0f} batched: {together / alone:.1f} times")


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


def stubs_in(folder: Path) -> Any:
    """The stubs of the file, as anybody makes them."""
    options = [f"-I{HERE.parent}", f"--python_out={folder}", f"--grpc_python_out={folder}", "recommendations.proto"]
    if protoc.main(["protoc", *options]) != 0:
        raise SystemExit("protoc failed")
    sys.path.insert(0, str(folder))
    return importlib.import_module("recommendations_pb2_grpc")


def served(name: str, books: int, readers: int, folder: Path, stubs: Any, given: Any) -> float:
    """How many recommendations a second a system answers."""
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "systems.py").write_text((HERE / "systems.py").read_text())
    (folder / "placement.toml").write_text(PLACEMENT % (port, {"batched": "recommendations"}.get(name, name), readers))
    words = [sys.executable, "-m", "meristem", "run", f"systems.py:{name}", "--placement", "placement.toml"]
    first = [] if sys.platform != "linux" else ["taskset", "-c", "0"]
    with subprocess.Popen(
        [*first, *words, "--port", "0", "--log-level", "info"],
        cwd=folder, env=os.environ | {"BENCH_BOOKS": str(books)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    ) as process:  # fmt: skip
        try:
            wait_for_the_model(process)
            return asyncio.run(asked(f"127.0.0.1:{port}", stubs, readers, given))
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


async def asked(target: str, stubs: Any, readers: int, given: Any) -> float:
    """Callers who ask again as soon as they are answered, for some seconds after one of warming up."""
    pb2 = importlib.import_module("recommendations_pb2")
    count = 0

    async def ask(client: Any, caller: int, until: float) -> None:
        nonlocal count
        user = caller
        while perf_counter() < until:
            user = user % readers + 1
            await client.Recommend(pb2.RecommendationRequest(user_id=user, max_results=3))
            count += 1

    async with aio.insecure_channel(target) as channel:
        client = stubs.RecommendationsStub(channel)
        until = perf_counter() + 1.0
        await asyncio.gather(*(ask(client, each, until) for each in range(given.callers)))
        count, begun = 0, perf_counter()
        await asyncio.gather(*(ask(client, each, begun + given.seconds) for each in range(given.callers)))
        return count / (perf_counter() - begun)


if __name__ == "__main__":
    main()
