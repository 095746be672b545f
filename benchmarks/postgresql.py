"""Transactions and reads on PostgreSQL, beside SQLAlchemy Core over asyncpg, on one server without syncs and one with.

    python -m benchmarks.postgresql [--rounds N] [--seconds S] [--json]

A transaction is an insert, an update and one event row, committed together. The servers are the benchmark's own, from
Debian's package. Without fsync what is compared is the way there and back, and the client's processor time; with it,
mostly the disk. Both sides have ten connections, and their turns come one after the other in every round.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
import time

import asyncpg
import uvloop
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks import storage
from benchmarks.figures import spreads
from benchmarks.postgresql_server import own_server
from meristem.storage.database import database_for

CONNECTIONS = 10
PEER = "sqlalchemy + asyncpg"
WITHOUT, SYNCED = "", ", synced"  # how a figure's name ends
WORKS = {WITHOUT: ("transact", "read"), SYNCED: ("transact",)}  # a read waits for no sync


class Ours(storage.Ours):
    """The bench's work on a Meristem database."""

    def __init__(self, server: str) -> None:
        options = f"?schema=bench_ours&pool={CONNECTIONS + 1}&server_pool={CONNECTIONS + 1}"
        self.database = database_for(f"{server}/postgres{options}", name="bench")
        self.database.before_commit.append(self._outbox)


class Peer(storage.Peer):
    """The same work on SQLAlchemy Core over asyncpg, as its documentation shows it."""

    name = PEER

    def __init__(self, server: str) -> None:
        self.engine = create_async_engine(
            f"{server.replace('postgresql:', 'postgresql+asyncpg:')}/postgres",
            pool_size=CONNECTIONS,
            max_overflow=0,
            connect_args={"server_settings": {"search_path": "bench_peer"}},
        )


class Turn:
    """Both sides on one server."""

    def __init__(self, server: str, synced: str) -> None:
        self._server = server
        self._synced = synced
        self._sides: dict[str, Ours | Peer] = {}

    async def start(self) -> None:
        """Make the schemas, and open both sides."""
        connection = await asyncpg.connect(f"{self._server}/postgres")
        await connection.execute("CREATE SCHEMA bench_ours; CREATE SCHEMA bench_peer")
        await connection.close()
        self._sides = {"ours": Ours(self._server), "peer": Peer(self._server)}
        for side in self._sides.values():
            await side.start()

    async def round(self, seconds: float) -> dict[str, float]:
        """Each work by each side: operations a second, and the client's processor time for each."""
        found = {}
        for work in WORKS[self._synced]:
            for in_flight in (1, 16):
                for who, side in self._sides.items():
                    gc.collect()
                    began = time.process_time()
                    speed = await storage.rate(getattr(side, work), in_flight, seconds, [])
                    name = f"{who}, {work} x{in_flight}{self._synced}"
                    found[name] = speed
                    found[f"{name}, µs of CPU"] = (time.process_time() - began) / (speed * seconds) * 1e6
        return found

    async def stop(self) -> None:
        """Close both sides."""
        for side in self._sides.values():
            await side.stop()


async def measure(servers: dict[str, str], rounds: int, seconds: float) -> list[dict[str, float]]:
    """All rounds, the sides in turn, on each of the servers."""
    turns = [Turn(server, synced) for synced, server in servers.items()]
    for turn in turns:
        await turn.start()
        await turn.round(seconds / 5)  # statements are compiled, connections opened
    found: list[dict[str, float]] = []
    for _ in range(rounds):
        figures: dict[str, float] = {}
        for turn in turns:
            figures |= await turn.round(seconds)
        found.append(figures)
    for turn in turns:
        await turn.stop()
    return found


def main(argv: list[str] | None = None) -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print every round's figures as JSON")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of one work by one side")
    given = parser.parse_args(argv)
    with own_server() as without, own_server(fsync=True) as synced:
        servers = {WITHOUT: without, SYNCED: synced}
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            found = runner.run(measure(servers, given.rounds, given.seconds))
    if given.json:
        print(json.dumps(found))
        return
    figures = spreads(found)
    for name, ours in figures.items():
        if name.startswith("ours"):
            theirs = figures[name.replace("ours", "peer")]
            ratio = ours.against(theirs)
            told = f"ours {ours.median:9,.1f}   peer {theirs.median:9,.1f}"
            print(f"{name[6:]:32} {told}   ratio {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})")


if __name__ == "__main__":
    main(sys.argv[1:])
