"""DBOS: a workflow of three steps, many in flight, in the peers' own environment.

    python -m benchmarks.peers.dbos_steps [--database URL] [--seconds 3]

It is configured as its documentation does: a name and a URL, all else by default (a pool of 20 connections, LISTEN and
NOTIFY). On SQLite the file is put into WAL mode first: by itself DBOS leaves the rollback journal on, which is several
times slower.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import time

import uvloop
from dbos import DBOS

from benchmarks.load import WARM, keep_in_flight

IN_FLIGHT = 16
FILE = "steps.db"


@DBOS.step()
async def step(number: int) -> int:
    """One durable step."""
    return number + 1


@DBOS.workflow()
async def work(number: int) -> int:
    """Three steps, one after the other."""
    return await step(await step(await step(number)))


async def measure(seconds: float) -> dict[str, float]:
    """Workflows that end per second, and the CPU microseconds of this process for each."""
    DBOS.launch()
    await keep_in_flight(lambda: work(0), IN_FLIGHT, seconds * WARM)
    cpu = time.process_time()
    count, took = await keep_in_flight(lambda: work(0), IN_FLIGHT, seconds)
    found = {"per_second": count / took, "cpu_us": (time.process_time() - cpu) / max(count, 1) * 1e6}
    DBOS.destroy()
    return found


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--database", help="a PostgreSQL server's URL, without a database; else a SQLite file")
    given = parser.parse_args()
    if given.database is None:
        url = f"sqlite:///{FILE}"
        connection = sqlite3.connect(FILE)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    else:
        url = f"{given.database}/steps_dbos_sys"
    DBOS(config={"name": "steps", "system_database_url": url, "log_level": "ERROR"})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(measure(given.seconds))), file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()
