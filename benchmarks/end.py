"""One end of a contestant in a process of its own.

    python -m benchmarks.end serve MODULE ADDRESS
    python -m benchmarks.end load MODULE ADDRESS --works '[["echo", 16]]' --seconds 1 --server PID

MODULE has `async serve(address, ready)` and `calling(address)`, an async context manager that gives calls by name.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
from typing import Any

import uvloop


def say_ready() -> None:
    """Tell the parent that the server accepts connections."""
    print("ready", flush=True)


async def load(module: Any, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Put load on the server, from this process."""
    from benchmarks.load import measure  # noqa: PLC0415 - a server does without it

    works = [(name, in_flight) for name, in_flight in json.loads(given.works)]
    async with module.calling(given.address) as calls:
        for call in calls.values():
            await call()  # whoever connects at the first call does so now
        return await measure(calls, works, given.seconds, given.server)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("role", choices=["serve", "load"])
    parser.add_argument("module")
    parser.add_argument("address")
    parser.add_argument("--works", default="[]")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--server", type=int, default=0)
    given = parser.parse_args()
    module = importlib.import_module(given.module)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if given.role == "serve":
            runner.run(module.serve(given.address, say_ready))
        else:
            print(json.dumps(runner.run(load(module, given))))


if __name__ == "__main__":
    main()
