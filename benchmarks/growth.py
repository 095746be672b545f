"""What an event, a saga, a start and a look cost as a database grows: finished history, a backlog, sagas at rest.

    python -m benchmarks.growth [--sizes 0,10000,1000000] [--database sqlite] [--kind finished]

Three ways to grow, each in databases of its own, which are filled by inserts straight into the tables:

- `finished`: N sagas that have ended, of which a tenth failed, with two steps each; N events that were handled, which
  the subscriber remembers; N stored answers of `@once`.
- `backlog`: N events in the outbox that are owed to a subscriber which is away.
- `resting`: N / 10 sagas that are parked, and as many that sleep for a year.

Each size is measured by a process of its own. Commits wait for no disk, whose pace changes more than what is looked
for. On PostgreSQL the tables have been vacuumed and analysed before, as the
server's own daemon does in time.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import asyncpg

from benchmarks.figures import short
from benchmarks.postgresql_server import no_server, own_server
from benchmarks.processes import output_of, python
from benchmarks.tables import skipped, table

SIZES = (0, 10_000)
KINDS = ("finished", "backlog", "resting")
DATABASES = ("SQLite", "PostgreSQL")
SERVICES = ("shop", "ledger", "away")
PATIENCE = 1200.0  # seconds of one filling


class Results(NamedTuple):
    """By database, kind and size, what each work costs; and the reasons why something is missing."""

    figures: dict[str, dict[str, dict[int, dict[str, float]]]]
    skipped: dict[str, str]


def run(
    up_to: tuple[int, ...],
    say: Callable[[str], None],
    databases: tuple[str, ...] = DATABASES,
    kinds: tuple[str, ...] = KINDS,
) -> Results:
    """Fill and measure, from the smallest size to the largest."""
    missing = {}
    if "PostgreSQL" in databases and (why := no_server()) is not None:
        databases = tuple(each for each in databases if each != "PostgreSQL")
        missing["growth on PostgreSQL"] = why
    found: dict[str, dict[str, dict[int, dict[str, float]]]] = {}
    for database in databases:
        found[database] = {}
        for kind in kinds:
            with ExitStack() as stack:
                url = _home(database, stack)
                found[database][kind] = _grown(url, f"{database}, {kind}", up_to, say)
    return Results(found, missing)


def sizes(written: str) -> tuple[int, ...]:
    """The numbers of a list with commas; raises ValueError."""
    return tuple(sorted(int(each) for each in written.split(",")))


def _home(database: str, stack: ExitStack) -> str:
    """The URL of databases of their own for all services, gone at the end."""
    if database == "SQLite":
        folder = tempfile.mkdtemp(prefix="bench-growth-", dir="/tmp")
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        return f"sqlite:///{folder}/{{service}}.db?synchronous=normal"
    server = stack.enter_context(own_server())

    async def make() -> None:
        connection = await asyncpg.connect(f"{server}/postgres")
        for service in SERVICES:
            await connection.execute(f"CREATE SCHEMA {service}")
        await connection.close()

    asyncio.run(make())
    return f"{server}/postgres?schema={{service}}"


def _grown(url: str, what: str, up_to: tuple[int, ...], say: Callable[[str], None]) -> dict[int, dict[str, float]]:
    found, there = {}, 0
    _child("growth_works", url, "--operations", "5", "--keep")  # the tables, and a row of each kind to be copied
    for size in up_to:
        if size > there:
            say(f"growth on {what}: filling up to {size:,}")
            kind = what.rpartition(" ")[2]
            _child("growth_filling", url, "--kind", kind, "--first", str(there), "--last", str(size))
            there = size
        say(f"growth on {what}: measuring at {size:,}")
        found[size] = dict(json.loads(_child("growth_works", url)))
    return found


def _child(module: str, url: str, *options: str) -> str:
    command = python(f"benchmarks.{module}", url, *options)
    return output_of(command, core=None, folder=Path("/tmp"), seconds=PATIENCE).splitlines()[-1]


def rows_of(figures: Mapping[int, Mapping[str, float]]) -> list[tuple[str, ...]]:
    """One row for each work, one cell for each size."""
    works = next(iter(figures.values()))
    return [(work, *(short(each[work]) for each in figures.values())) for work in works]


def section(found: Results | None) -> list[str]:
    """What the page of results says of it."""
    if found is None:
        return []
    parts = [
        "## Growth",
        (
            "What work costs as databases grow, by their size; one process for each size, after the tables were filled "
            "by inserts. `finished`: as many ended sagas with two steps each, handled events and stored answers. "
            "`backlog`: as many events owed to a subscriber that is away. `resting`: a tenth as many parked sagas, and "
            "as many that sleep. No commit waits for a disk. An event and a saga are medians of sixty, starts and "
            "looks the quickest of some. What grows how is told in `docs/reliability.md`."
        ),
    ]
    for database, kinds in found.figures.items():
        for kind, figures in kinds.items():
            head = (f"{database}, {kind}", *(f"{size:,}" for size in figures))
            parts.append(table(head, rows_of(figures)))
    return [*parts, *skipped(found.skipped)]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=sizes, default=SIZES)
    parser.add_argument("--database", action="append", type=str.lower, choices=["sqlite", "postgresql"])
    parser.add_argument("--kind", action="append", choices=KINDS)
    given = parser.parse_args()
    databases = tuple(each for each in DATABASES if given.database is None or each.lower() in given.database)

    def say(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    found = run(given.sizes, say, databases, tuple(given.kind or KINDS))
    for database, kinds in found.figures.items():
        for kind, figures in kinds.items():
            print(f"\n{database}, {kind}")
            for work, *cells in [("", *(f"{size:,}" for size in figures)), *rows_of(figures)]:
                print(f"{work:52}" + "".join(f"{cell:>12}" for cell in cells))


if __name__ == "__main__":
    main()
