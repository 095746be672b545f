"""The crash matrix: the market is killed at every write to a socket and to a database, one run for each.

    python -m tests.faults.crash.matrix [--every N] [--seed N] [--jobs N] [--database postgresql]
    python -m tests.faults.crash.matrix --point front:disk:70:after [--database postgresql]

A run orders, kills one process at one point, has it started again, and looks at what is there. All points take hours:
`--every 10` takes each tenth. They come in an order that the seed gives, so that what has run when it is stopped is a
sample of all; those after a write come first, since who dies before the next one mostly leaves the same behind. Ends
with 1 where anything was wrong.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, nullcontext
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, Final
from uuid import uuid4

from tests.faults.crash.shim import compiled, missing
from tests.faults.crash.trial import ALONE, Point, Trial
from tests.suites.postgresql import schemas_for

PROCESSES: Final = {"sqlite": (ALONE, "front", "back"), "postgresql": ("front", "back")}
SIDES: Final = ("before", "after")


class Matrix:
    """Runs trials below a folder; each has databases of its own."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder = folder
        self.database = database
        self.shim = compiled(folder)

    @contextmanager
    def trial(self, process: str, **options: Any) -> Iterator[Trial]:
        """A trial, whose files and schemas are gone behind the block."""
        folder = self.folder / f"trial-{uuid4().hex[:8]}"
        with schemas_for("stock", "orders", "sales") if self.database != "sqlite" else nullcontext("") as url:
            try:
                yield Trial(folder, self.shim, process, database=url, **options)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def points(self, process: str) -> Iterator[Point]:
        """Every point of a process, as many as it passes when nothing is killed."""
        with self.trial(process) as trial:
            found = trial.points()
        for kind, number in found.items():
            for each, side in product(range(1, number + 1), SIDES):
                yield Point(process, kind, each, side)

    def run(self, point: Point, **options: Any) -> tuple[bool, list[str]]:
        """Whether a process died at the point, and what is wrong afterwards."""
        with self.trial(point.process, **options) as trial:
            wrong = trial.run(point)
            return trial.died, wrong


def asked(text: str) -> Point:
    """The point that `front:disk:70:after` names."""
    process, kind, number, side = text.split(":")
    return Point(process, kind, int(number), side)


def main() -> int:
    """Run every point of every process, or those that are asked for; tells of each that finds something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seed", type=int, default=int(os.environ.get("PARITY_SEED", "1")))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--database", choices=PROCESSES, default="sqlite")
    parser.add_argument("--point", type=asked, action="append", default=[])
    given = parser.parse_args()
    if (reason := missing()) is not None:
        print(f"The crash matrix can't run: {reason}.")
        return 0
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        matrix = Matrix(Path(folder), given.database)
        points = given.point or [
            point for process in PROCESSES[given.database] for point in [*matrix.points(process)][:: given.every]
        ]
        Random(given.seed).shuffle(points)
        points.sort(key=lambda point: SIDES.index(point.side), reverse=True)
        print(f"{len(points)} points on {given.database}, seed {given.seed}", flush=True)
        return _all(matrix, points, given.jobs)


def _all(matrix: Matrix, points: list[Point], jobs: int) -> int:
    reached = bad = 0
    sides = Counter(point.side for point in points)
    print(", ".join(f"{sides[side]} {side} a write" for side in reversed(SIDES)), flush=True)
    with ThreadPoolExecutor(jobs) as pool:
        runs = {pool.submit(matrix.run, point): point for point in points}
        for number, run in enumerate(as_completed(runs), 1):
            died, wrong = run.result()
            reached += died
            bad += bool(wrong)
            if not died:
                print(f"not reached: {runs[run]}", flush=True)
            for each in wrong:
                print(f"WRONG at {runs[run]}: {each}", flush=True)
            if number % 20 == 0 or number == len(points):
                print(f"{number} of {len(points)}: {reached} died at their point, {bad} are wrong", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
