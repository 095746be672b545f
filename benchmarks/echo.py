"""Calls between two processes: a message of four fields, and a list of a hundred, for every stack in turn."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import ours
from benchmarks.figures import Spread, spreads
from benchmarks.machine import CLIENT, SERVER, free_port
from benchmarks.peers import setup
from benchmarks.processes import Failed, answer_of, python, started

IN_FLIGHT = (1, 16, 64)
WORKS = [("echo", each) for each in IN_FLIGHT] + [("list", each) for each in IN_FLIGHT]

OURS = "Meristem, Unix socket"
LOCAL = "Meristem, one process"
TCP = "Meristem, TCP"
HTTPX = "FastAPI + uvicorn + httpx"
GRPC = "grpc.aio on uvloop"
CONNECT = "connectrpc on uvicorn"
MOLECULER = "Moleculer, TCP"
LIMIT = "bare multiplexed msgpack"
CLOSE = (OURS, MOLECULER, LIMIT)  # so near to their bar that they have more rounds, of this alone
CLOSE_WORKS = [("echo", 64)]

Round = dict[str, dict[str, float]]


class Load(NamedTuple):
    """What a contestant is asked to do in one round."""

    works: list[tuple[str, int]]
    seconds: float


class Contestant(NamedTuple):
    """A stack: how one round of it is run, and why it may be missing here."""

    name: str
    round: Callable[[Path, Load], Round]
    absent: Callable[[], str | None] = lambda: None


class Results(NamedTuple):
    """What was found of each stack: by work and number in flight, calls per second and CPU; and who is missing."""

    figures: dict[str, dict[str, dict[str, Spread]]]
    skipped: dict[str, str]


def run(load: Load, rounds: int, say: Callable[[str], None], more: int = 0) -> Results:
    """All stacks in turn, several times over; then `more` rounds of those that are close to their bar."""
    present, skipped = [], {}
    for each in CONTESTANTS:
        reason = each.absent()
        if reason is None:
            present.append(each)
        else:
            skipped[each.name] = reason
    found: dict[str, list[Round]] = {each.name: [] for each in present}
    close = [each for each in present if each.name in CLOSE]
    turns = [(each, load) for _ in range(rounds) for each in present]
    turns += [(each, load._replace(works=CLOSE_WORKS)) for _ in range(more) for each in close]
    for number, (each, asked) in enumerate(turns):
        if each.name not in skipped:
            say(f"calls, {number + 1} of {len(turns)}: {each.name}")
            try:
                found[each.name].append(_round(each, asked))
            except Failed as failure:
                skipped[each.name] = f"it failed: {str(failure).strip().splitlines()[-1]}"
    kept = {name: all_ for name, all_ in found.items() if all_ and name not in skipped}
    return Results({name: merge(all_) for name, all_ in kept.items()}, skipped)


def _round(contestant: Contestant, load: Load) -> Round:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return contestant.round(Path(folder), load)


def merge(rounds: list[Round]) -> dict[str, dict[str, Spread]]:
    return {work: spreads(each[work] for each in rounds if work in each) for work in rounds[0]}


def _load(folder: Path, module: str, address: str, load: Load, pid: int, **options: Any) -> Round:
    arguments = ["--works", json.dumps(load.works), "--seconds", str(load.seconds), "--server", str(pid)]
    executable = {"executable": options["executable"]} if "executable" in options else {}
    command = python("benchmarks.end", "load", module, address, *arguments, **executable)
    found: Round = json.loads(answer_of(command, core=CLIENT, folder=folder, variables=options.get("variables")))
    return found


def _meristem(kind: str) -> Callable[[Path, Load], Round]:
    """Both ends as a placement in several processes has them."""

    def one_round(folder: Path, load: Load) -> Round:
        address = f"unix:{folder}/offers.sock" if kind == "unix" else f"tcp://127.0.0.1:{free_port()}"
        variables = {ours.SECRET: secrets.token_hex(32)}
        placement = str(ours.write_placement(folder))
        options = ["--placement", placement, "--process", ours.SERVER, "--listen", address]
        command = python("meristem", "process", "benchmarks.ours:system", *options)
        with started(command, core=SERVER, folder=folder, variables=variables) as server:
            return _load(folder, "benchmarks.ours", address, load, server.pid, variables=variables)

    return one_round


def _meristem_local(folder: Path, load: Load) -> Round:
    return _load(folder, "benchmarks.ours", "local", load, 0)


def _peer(module: str, address: str, **options: Any) -> Callable[[Path, Load], Round]:
    """A server and a client of one module; `around` gives the address of something that stands between them.

    `client` is a module for the client alone, which then runs in the peers' own environment.
    """
    around, client = options.pop("around", None), options.pop("client", module)
    server_of = {"executable": options["executable"]} if "executable" in options else {}
    client_of = server_of if client == module else {"executable": setup.PYTHON}

    def one_round(folder: Path, load: Load) -> Round:
        with around(folder) if around else nullcontext(address.format(folder=folder, port=free_port())) as bound:
            command = python("benchmarks.end", "serve", module, bound, **server_of)
            with started(command, core=SERVER, folder=folder) as server:
                return _load(folder, client, bound, load, server.pid, **client_of)

    return one_round


def _fastapi(client: str) -> Callable[[Path, Load], Round]:
    """FastAPI with a client that is not among what the framework itself is tested with."""
    return _peer("benchmarks.peers.fastapi_httpx", "http://127.0.0.1:{port}", client=f"benchmarks.peers.{client}")


@contextmanager
def _nats(folder: Path) -> Iterator[str]:
    """A NATS server of our own, on the server's core: what passes through it is the server's work."""
    port = str(free_port())
    command = ["nats-server", "-a", "127.0.0.1", "-p", port, "-l", str(folder / "nats.log")]
    # it writes its log where we don't read it, so it is ready when it listens
    shell = f"{' '.join(command)} & pid=$!; trap 'kill $pid; wait $pid' TERM; "
    wait = f"until (: >/dev/tcp/127.0.0.1/{port}) 2>/dev/null; do sleep 0.05; done; echo ready; wait $pid"
    with started(["bash", "-c", shell + wait], core=SERVER, folder=folder):
        yield f"nats://127.0.0.1:{port}"


def _moleculer(role: str) -> Callable[[Path, Load], Round]:
    def one_round(folder: Path, load: Load) -> Round:
        ports = f"{free_port()},{free_port()}"
        program = ["node", str(setup.MOLECULER / "peer.js")]
        asked = [ports, json.dumps(load.works), str(load.seconds)]
        with ExitStack() as stack:
            pid = 0
            if role == "load":
                serving = started([*program, "serve", ports], core=SERVER, folder=folder)
                pid = stack.enter_context(serving).pid
            said = answer_of([*program, role, *asked, str(pid)], core=CLIENT, folder=folder)
        found: Round = json.loads(said)
        return found

    return one_round


CONTESTANTS = (
    Contestant(LOCAL, _meristem_local),
    Contestant(OURS, _meristem("unix")),
    Contestant(TCP, _meristem("tcp")),
    Contestant(
        HTTPX,
        _peer("benchmarks.peers.fastapi_httpx", "http://127.0.0.1:{port}"),
        lambda: setup.missing("fastapi", "httpx"),
    ),
    Contestant(
        "FastAPI + uvicorn + aiohttp",
        _peer("benchmarks.peers.fastapi_aiohttp", "http://127.0.0.1:{port}"),
        lambda: setup.missing("fastapi", "aiohttp"),
    ),
    Contestant("FastAPI + uvicorn + httpx2", _fastapi("fastapi_httpx2"), lambda: setup.no_peer("httpx2")),
    Contestant("FastAPI + uvicorn + pyreqwest", _fastapi("fastapi_pyreqwest"), lambda: setup.no_peer("pyreqwest")),
    Contestant(GRPC, _peer("benchmarks.peers.grpc_aio", "127.0.0.1:{port}"), lambda: setup.missing("grpc")),
    Contestant(
        CONNECT,
        _peer("benchmarks.peers.connect_rpc", "http://127.0.0.1:{port}"),
        lambda: setup.missing("connectrpc"),
    ),
    Contestant(
        "FastStream RPC on NATS",
        _peer("benchmarks.peers.faststream_nats", "", around=_nats, executable=setup.PYTHON),
        setup.no_faststream,
    ),
    Contestant("nameko RPC on RabbitMQ", _meristem_local, setup.no_nameko),
    Contestant("Moleculer, one process", _moleculer("local"), setup.no_moleculer),
    Contestant(MOLECULER, _moleculer("load"), setup.no_moleculer),
    Contestant(LIMIT, _peer("benchmarks.peers.bare", "unix:{folder}/bare.sock")),
)
