"""How long a start takes, and what a process weighs when it has answered."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import journeys
from benchmarks.figures import Spread, spread
from benchmarks.machine import SERVER, free_port, memory_mb, on_core
from benchmarks.processes import ROOT, Failed, answer_of, environment, python

MERISTEM, THEIRS = "meristem", "fastapi, uvicorn, httpx"
ONE_SERVICE, HOTELS, FASTAPI = "hello, one service", "hotels, one process", "FastAPI + uvicorn, one route"
HELLO = ROOT / "examples" / "quickstart" / "hello.py"
IMPORT = "import time; began = time.perf_counter(); import {module}; print((time.perf_counter() - began) * 1000)"
WEIGH = (
    "{program}; import os; print(int(open('/proc/self/statm').read().split()[1]) * os.sysconf('SC_PAGE_SIZE') / 1e6)"
)
LIBRARIES = {
    "search": "aiohttp",
    "payments": "aiohttp",
    "users": "argon2",
    "notifications": "aiosmtplib, babel, jinja2",
}
"""What services of the hotel site import for themselves; the others have Meristem and what it brings."""
PATIENCE = 60.0


class Results(NamedTuple):
    """Milliseconds of imports, seconds to first answers, MB of processes."""

    imports: dict[str, Spread]
    first_answers: dict[str, Spread]
    memory: dict[str, Spread]
    split: dict[str, float]
    over_libraries: Spread | None


class Start(NamedTuple):
    """A start that was measured."""

    seconds: float
    memory: float


def run(rounds: int, say: Callable[[str], None]) -> Results:
    """Every import and start in turn, several times; the first round, which fills caches, is not counted."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        journeys.seed(folder / "home", None)
        imports: dict[str, list[float]] = {MERISTEM: [], THEIRS: []}
        found: dict[str, list[Start]] = {}
        for number in range(rounds + 1):
            say(f"start-up, round {number} of {rounds}: imports")
            for module, times in imports.items():
                times.append(_import(module, folder))
            for system, start in _starts(folder, number).items():
                say(f"start-up, round {number} of {rounds}: {system}")
                found.setdefault(system, []).append(start())
        counted = {system: starts[1:] for system, starts in found.items()}
        say("start-up: memory of the split")
        split = _split(folder)
        over = _over_libraries(split, folder)
    seconds = {system: spread(each.seconds for each in starts) for system, starts in counted.items()}
    memory = {system: spread(each.memory for each in starts) for system, starts in counted.items()}
    return Results({module: spread(times[1:]) for module, times in imports.items()}, seconds, memory, split, over)


def _import(module: str, folder: Path) -> float:
    return float(answer_of([sys.executable, "-c", IMPORT.format(module=module)], core=SERVER, folder=folder))


def _split(folder: Path) -> dict[str, float]:
    if not journeys.PLACEMENT.exists():
        return {}
    with tempfile.TemporaryDirectory(prefix="split-", dir=folder) as place:
        return journeys.split_memory(Path(place), folder / "home")


def _over_libraries(split: dict[str, float], folder: Path) -> Spread | None:
    """What each process of one service weighs beyond what its own libraries add to a bare interpreter."""

    def weighed(program: str) -> float:
        return float(answer_of([sys.executable, "-c", WEIGH.format(program=program)], core=SERVER, folder=folder))

    bare = weighed("pass")
    added = {service: weighed(f"import {libraries}") - bare for service, libraries in LIBRARIES.items()}
    found = {name.rpartition("-")[0]: memory for name, memory in split.items()}
    services = {name: memory for name, memory in found.items() if name and name != "edge"}
    if not services:
        return None
    return spread([max(memory - added.get(name, 0.0) for name, memory in services.items())])


def _starts(folder: Path, number: int) -> dict[str, Callable[[], Start]]:
    port, fastapi_port = free_port(), free_port()
    site = folder / f"site-{number}"
    hello = python("meristem", "run", str(HELLO), "--port", str(port), "--log-level", "error")
    hotels = python("meristem", "run", "hotels.system:system", "--port", str(port), "--log-level", "error")
    fastapi = python("benchmarks.end", "serve", "benchmarks.peers.fastapi_httpx", f"http://127.0.0.1:{fastapi_port}")

    def hotel_start() -> Start:
        shutil.copytree(folder / "home", site)
        variables = journeys.hotel_variables(None, folder)
        return first_answer(hotels, port, "GET", "/api/cities?limit=1", site, variables)

    return {
        ONE_SERVICE: lambda: first_answer(hello, port, "GET", "/api/hello/you", folder, {}),
        HOTELS: hotel_start,
        FASTAPI: lambda: first_answer(fastapi, fastapi_port, "GET", "/docs", folder, {}),
    }


def first_answer(
    command: Sequence[str], port: int, verb: str, path: str, folder: Path, variables: dict[str, str]
) -> Start:
    """Seconds from the launch to the first good answer, and the memory after it."""

    began = time.perf_counter()
    with on_core(SERVER):
        process = subprocess.Popen(
            command, cwd=folder, env=environment(**variables), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        while not _answers(port, verb, path):
            if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                raise Failed(f"{' '.join(command[:4])} did not answer {path}")
            time.sleep(0.002)
        return Start(time.perf_counter() - began, memory_mb(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int, verb: str, path: str) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(verb, path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
