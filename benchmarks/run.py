"""Runs every benchmark in turn, each peer beside us, and writes benchmarks/RESULTS.md and docs/images/benchmarks.png.

    python -m benchmarks.run [--quick] [--only PART] [--only PART] … [--rounds N] [--seconds S]

The parts are colocated, calls, grpc, rest, storage, postgresql, computing, hotels, steps, backlog, growth, takeover and
start. A full run takes less than twenty-five minutes on an idle machine, a quick one five. With `--quick` or `--only`
nothing is written unless `--write` asks for it: the page holds full runs. Growth up to a million rows takes some ten
minutes more: `--sizes 0,10000,100000,1000000`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import echo, growth, grpc_ends, journeys, plot, rest, startup, steps, takeover
from benchmarks.bars import Bar
from benchmarks.figures import Spread, spreads
from benchmarks.machine import SERVER, facts, versions
from benchmarks.processes import ROOT, output_of, python
from benchmarks.results import Findings, document

PAGE = ROOT / "benchmarks" / "RESULTS.md"
PICTURE = ROOT / "docs" / "images" / "benchmarks.png"
PARTS = (
    "colocated", "calls", "grpc", "rest", "storage", "postgresql", "computing", "hotels", "steps", "backlog",
    "growth", "takeover", "start",
)  # fmt: skip
CLOSE = 10  # rounds of what is close to its bar


def colocated(rounds: int) -> dict[str, Spread]:
    """Calls within one process beside plain awaits, in processes of their own: where code lies in memory counts."""
    return spreads(_json("benchmarks.colocated", "--quick", "--json") for _ in range(rounds))


def drained(rounds: int, quick: bool) -> dict[str, Spread]:
    """A backlog of events beside the same events as they come."""
    less = ["--events", "20000", "--seconds", "5"] if quick else []
    return spreads(_json("benchmarks.backlog", *less, core=None) for _ in range(rounds))


def storage(rounds: int) -> dict[str, Spread]:
    """Transactions and reads beside SQLAlchemy + aiosqlite."""
    found = []
    for _ in range(rounds):
        said = _json("benchmarks.storage", "--quick", "--json", core=None)
        flat = {}
        for work, row in said["per_second"].items():
            flat |= {f"ours, {work}": row["meristem"], f"peer, {work}": row["sqlalchemy + aiosqlite"]}
        flat["event loop late, p99.9 ms"] = said["loop_stalls"]["meristem"]["p99.9_ms"]
        flat["event loop late with nothing to do, p99.9 ms"] = said["loop_stalls"]["idle"]["p99.9_ms"]
        found.append(flat)
    return spreads(found)


def on_postgresql(rounds: int, seconds: float) -> dict[str, Spread]:
    """Transactions and reads beside SQLAlchemy + asyncpg, on servers of the benchmark's own."""
    options = ("--rounds", str(rounds), "--seconds", str(seconds))
    return spreads(_json("benchmarks.postgresql", "--json", *options, core=None))


def _json(module: str, *options: str, core: int | None = SERVER) -> Any:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return json.loads(output_of(python(module, *options), core=core, folder=Path(folder)))


def measure(
    parts: list[str],
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
    *,
    quick: bool,
    sizes: tuple[int, ...] = growth.SIZES,
) -> Findings:
    """Run the parts."""
    more = 0 if quick else max(0, CLOSE - rounds)
    runs: dict[str, Callable[[], Any]] = {
        "colocated": lambda: colocated(rounds + more),
        "calls": lambda: echo.run(echo.Load(echo.WORKS, seconds), rounds, say, more),
        "grpc": lambda: grpc_ends.run(
            echo.Load(grpc_ends.WORKS, seconds), 1 if quick else max(rounds, grpc_ends.ROUNDS), say
        ),
        "rest": lambda: rest.run(seconds, rounds, say, more),
        "storage": lambda: storage(rounds),
        "postgresql": lambda: on_postgresql(rounds + more, seconds),
        "computing": lambda: spreads(_json("benchmarks.computing", "--json", core=None) for _ in range(rounds)),
        "hotels": lambda: journeys.run(seconds * 3, rounds, say, more),
        "steps": lambda: steps.run(rounds + more, seconds * 2, say),
        "backlog": lambda: drained(1 if quick else 2, quick),
        "growth": lambda: growth.run(sizes, say),
        "takeover": lambda: takeover.run(rounds, say),
        "start": lambda: startup.run(rounds + more, say),
    }
    found = {}
    for part in parts:
        say(part)
        found[part] = runs[part]()
    return Findings(**found)


def verdicts(bars: list[Bar]) -> str:
    """The bars in plain words, those that were missed last."""
    lines = [
        f"  {bar.verdict:<12} {bar.name}: {bar.found}, wanted {bar.wanted}" for bar in bars if bar.met is not False
    ]
    missed = [f"  {bar.name}: found {bar.found}, wanted {bar.wanted}" for bar in bars if bar.met is False]
    return "\n".join(["Bars:", *lines, *([f"MISSED, {len(missed)}:", *missed] if missed else ["None was missed."])])


def main(argv: list[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one short round, about four minutes")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be repeated")
    parser.add_argument("--rounds", type=int, help="how often every stack has its turn (3)")
    parser.add_argument("--seconds", type=float, help="how long one work of a stack is measured (0.7)")
    parser.add_argument("--write", action="store_true", help="write the page and the picture of a partial run too")
    parser.add_argument("--sizes", type=growth.sizes, default=growth.SIZES, help="of the growth: 0,10000,1000000")
    given = parser.parse_args(argv)
    rounds = given.rounds or (1 if given.quick else 3)
    seconds = given.seconds or (0.15 if given.quick else 0.7)
    machine, began = facts(), time.monotonic()

    def say(what: str) -> None:
        print(f"[{time.monotonic() - began:5.0f} s] {what}", file=sys.stderr, flush=True)

    found = measure(given.only or list(PARTS), rounds, seconds, say, quick=given.quick, sizes=given.sizes)
    words = shlex.join(["python", "-m", "benchmarks.run", *(sys.argv[1:] if argv is None else argv)])
    page = document(found, day=date.today(), machine=machine, versions=versions(), command=words, rounds=rounds)  # noqa: DTZ011
    if given.write or not (given.quick or given.only):
        PAGE.write_text(page)
        plot.draw(found, PICTURE)
        print(f"written: {PAGE.relative_to(ROOT)}, {PICTURE.relative_to(ROOT)}")
    else:
        print(page)
    print(verdicts(found.bars()))
    say("done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
