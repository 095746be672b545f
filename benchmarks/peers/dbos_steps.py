"""DBOS on SQLite: a workflow of three steps, many in flight, in the peers' own environment.

    python -m benchmarks.peers.dbos_steps --seconds 3

The file is put into WAL mode first: by itself DBOS leaves SQLite's rollback journal on, which is several times slower.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys

import uvloop
from dbos import DBOS

from benchmarks.load import keep_in_flight

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


async def per_second(seconds: float) -> float:
    """Workflows that end per second."""
    DBOS.launch()
    await work(0)
    count, took = await keep_in_flight(lambda: work(0), IN_FLIGHT, seconds)
    DBOS.destroy()
    return count / took


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    seconds = parser.parse_args().seconds
    connection = sqlite3.connect(FILE)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    DBOS(config={"name": "steps", "system_database_url": f"sqlite:///{FILE}", "log_level": "ERROR"})
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(json.dumps(runner.run(per_second(seconds))), file=sys.stdout, flush=True)


if __name__ == "__main__":
    main()
