"""gRPC with one end of ours: a stock client on our server, and our client on a stock server, beside stock at both."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import ours
from benchmarks.echo import Load, Results, Round, merge
from benchmarks.machine import CLIENT, SERVER, free_port
from benchmarks.peers import setup
from benchmarks.processes import Failed, answer_of, python, started

WORKS = [("echo", 64), ("list", 64)]
ROUNDS = 10

STOCK = "grpc.aio at both ends"
SERVED = "grpc.aio on Meristem"
CALLING = "Meristem on grpc.aio"
PEER = "benchmarks.peers.grpc_aio"


class Pair(NamedTuple):
    """Two ends: how the server is started at a port, which module calls, and the address that it is given."""

    serve: Callable[[int], Sequence[str]]
    load: str
    address: str


def _stock(port: int) -> Sequence[str]:
    return python("benchmarks.end", "serve", PEER, f"127.0.0.1:{port}")


def _ours(port: int) -> Sequence[str]:
    # Its port for HTTP is not asked: a process has one for its probes.
    options = ["--listen", "tcp://127.0.0.1:0", "--public", f"grpc://127.0.0.1:{port}"]
    return python("meristem", "process", "benchmarks.ours_grpc:system", *options)


PAIRS = {
    STOCK: Pair(_stock, PEER, "127.0.0.1:{port}"),
    SERVED: Pair(_ours, PEER, "127.0.0.1:{port}"),
    CALLING: Pair(_stock, "benchmarks.ours", "grpc://127.0.0.1:{port}"),
}


def run(load: Load, rounds: int, say: Callable[[str], None]) -> Results:
    """All pairs in turn, several times over: a round of one is compared with the round of another beside it."""
    if (reason := setup.missing("grpc")) is not None:
        return Results({}, dict.fromkeys(PAIRS, reason))
    found: dict[str, list[Round]] = {name: [] for name in PAIRS}
    skipped: dict[str, str] = {}
    for number in range(rounds):
        for name, pair in PAIRS.items():
            say(f"gRPC, round {number + 1} of {rounds}: {name}")
            try:
                found[name].append(_round(pair, load))
            except Failed as failure:
                skipped[name] = f"it failed: {str(failure).strip().splitlines()[-1]}"
    return Results({name: merge(all_) for name, all_ in found.items() if all_ and name not in skipped}, skipped)


def _round(pair: Pair, load: Load) -> Round:
    port, variables = free_port(), {ours.SECRET: secrets.token_hex(32)}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        with started(pair.serve(port), core=SERVER, folder=folder, variables=variables) as server:
            options = ["--works", json.dumps(load.works), "--seconds", str(load.seconds), "--server", str(server.pid)]
            command = python("benchmarks.end", "load", pair.load, pair.address.format(port=port), *options)
            found: Round = json.loads(answer_of(command, core=CLIENT, folder=folder, variables=variables))
    return found
