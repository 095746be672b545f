"""REST by one raw client: an echo of four fields and a list of a hundred, every server in turn, on one core each.

No server has an access log, but for the two that are compared by it: ours, and FastAPI on uvicorn.
"""

from __future__ import annotations

import json
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.echo import Results, Round, merge
from benchmarks.figures import Spread
from benchmarks.machine import CLIENT, SERVER, free_port
from benchmarks.ours_rest import TOKEN
from benchmarks.peers import setup
from benchmarks.processes import Failed, answer_of, python, started

IN_FLIGHT = 64
WORKS = [("echo", IN_FLIGHT), ("list", IN_FLIGHT)]

REST, RPC, SIGNED = "Meristem, REST", "Meristem, RPC", "Meristem, RPC with a bearer token"
LOGGED, FASTAPI_LOGGED = "Meristem, REST with its access log", "FastAPI + uvicorn with its access log"
FASTAPI, STARLETTE = "FastAPI + uvicorn", "Starlette + msgspec + uvicorn"


class Asked(NamedTuple):
    """Where a server is asked, and by whom."""

    paths: Mapping[str, str]
    bearer: str | None = None


PLAIN = Asked({"echo": "/echo", "list": "/search"})
RPC_PATHS = {"echo": "/bench.offers.v1.PublicOffers/Echo", "list": "/bench.offers.v1.PublicOffers/Search"}
REST_PATHS = {"echo": "/api/echo", "list": "/api/search"}
OURS_SYSTEM, QUIET = "benchmarks.ours_rest:system", ("--log-level", "error")
OURS = {REST: Asked(REST_PATHS), RPC: Asked(RPC_PATHS), SIGNED: Asked(RPC_PATHS, TOKEN)}


class Server(NamedTuple):
    """A server: how it is started at a port, what is asked of it under which name, and why it may be missing."""

    command: Callable[[int], Sequence[str]]
    asked: Mapping[str, Asked]
    absent: Callable[[], str | None] = lambda: None
    ready: str = "ready"
    stop: signal.Signals = signal.SIGTERM
    compared: bool = False


def run(seconds: float, rounds: int, say: Callable[[str], None], more: int = 0) -> Results:
    """Every server in turn, several times over; then `more` rounds of those that a bar compares."""
    found: dict[str, list[Round]] = {}
    skipped: dict[str, str] = {}
    for server in SERVERS:
        if (reason := server.absent()) is not None:
            skipped |= dict.fromkeys(server.asked, reason)
    turns = [each for _ in range(rounds) for each in SERVERS]
    turns += [each for _ in range(more) for each in SERVERS if each.compared]
    for number, server in enumerate(turns):
        if server.asked.keys() & skipped.keys():
            continue
        say(f"REST, {number + 1} of {len(turns)}: {', '.join(server.asked)}")
        try:
            for name, figures in _round(server, seconds).items():
                found.setdefault(name, []).append(figures)
        except Failed as failure:
            skipped |= dict.fromkeys(server.asked, f"it failed: {str(failure).strip().splitlines()[-1]}")
    return Results({name: merge(all_) for name, all_ in found.items() if name not in skipped}, skipped)


def _round(server: Server, seconds: float) -> dict[str, Round]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder, found = Path(name), {}
        command, variables = server.command(port), {"PORT": str(port)}
        serving = started(
            command, core=SERVER, folder=folder, ready=server.ready, variables=variables, stop=server.stop
        )
        with serving as process:
            for each, asked in server.asked.items():
                options = ["--paths", json.dumps(asked.paths), "--works", json.dumps(WORKS), "--seconds", str(seconds)]
                options += ["--server", str(process.pid), *(["--bearer", asked.bearer] if asked.bearer else [])]
                said = answer_of(python("benchmarks.raw", str(port), *options), core=CLIENT, folder=folder)
                found[each] = json.loads(said)
    return found


def served(found: Mapping[str, Spread]) -> Spread | None:
    """Requests per second that the CPU of the server allows: all have the same client, which may be busier.

    0 where a server was so starved that the kernel, which counts in hundredths of a second, saw nothing of it.
    """
    server = found.get("server_us")
    return None if server is None else Spread(tuple(1e6 / each if each else 0.0 for each in server.figures))


def _peer(module: str, executable: Path | None = None) -> Callable[[int], Sequence[str]]:
    def command(port: int) -> Sequence[str]:
        options = {} if executable is None else {"executable": executable}
        return python("benchmarks.end", "serve", f"benchmarks.peers.{module}", f"http://127.0.0.1:{port}", **options)

    return command


SERVERS = (
    Server(
        lambda port: python("meristem", "run", OURS_SYSTEM, "--port", str(port), *QUIET),
        OURS,
        ready="runs at http",
        compared=True,
    ),
    Server(
        # JSON into a pipe, as a container's.
        lambda port: python("meristem", "process", OURS_SYSTEM, "--public", f"tcp://127.0.0.1:{port}"),
        {LOGGED: OURS[REST]},
        compared=True,
    ),
    Server(_peer("fastapi_httpx"), {FASTAPI: PLAIN}, lambda: setup.missing("fastapi", "httpx"), compared=True),
    Server(_peer("fastapi_logged"), {FASTAPI_LOGGED: PLAIN}, lambda: setup.missing("fastapi", "httpx"), compared=True),
    Server(_peer("starlette_msgspec"), {STARLETTE: PLAIN}, lambda: setup.missing("starlette"), compared=True),
    Server(_peer("litestar_msgspec", setup.PYTHON), {"Litestar + uvicorn": PLAIN}, lambda: setup.no_peer("litestar")),
    Server(
        _peer("blacksheep_uvicorn", setup.PYTHON), {"BlackSheep + uvicorn": PLAIN}, lambda: setup.no_peer("blacksheep")
    ),
    Server(
        lambda _: python("benchmarks.peers.robyn_pydantic", "--log-level", "WARN", executable=setup.PYTHON),
        {"Robyn": PLAIN},
        lambda: setup.no_peer("robyn"),
        stop=signal.SIGINT,
    ),
)
