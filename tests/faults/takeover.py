"""How long work lies still when its replica is killed, stopped or cut off from the database: `python -m …takeover`.

Two replicas of a service share a database; a third process hears its events. One replica holds the duty of a scheduled
method, sagas in a step, and events that wait behind one another; it is struck, and what it held goes on in the other.
Figures run from the blow to the first effect there. A replica that was stopped goes on afterwards, and none of what it
then writes may count.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.suites.postgresql import DATABASE, SERVER, administrate
from tests.suites.postgresql_servers import Server, servers_of_its_own

from .link import Link
from .network import Network, missing
from .takeover_house import AT_HOME, HERE, House, Seat

BAR = 5.0  # seconds from the blow to the effect
STRANGE = ("unshare", "--uts", "sh", "-c", 'hostname elsewhere; exec "$0" "$@"')  # another machine, as a lease sees it
KILLED, UNSEEN, STOPPED, CUT = "killed", "killed on another machine", "stopped", "cut off from its database"
APART = "on another machine, cut off from its database by the network"
BLOWS = (KILLED, UNSEEN, STOPPED)
Databases = Callable[[str], AbstractContextManager[str]]
KINDS = ("saga", "event", "every", "caller")


@contextmanager
def sqlite(folder: str) -> Iterator[str]:
    """A file for each service."""
    yield f"sqlite:///{folder}/{{service}}.db"


@contextmanager
def postgresql(folder: str) -> Iterator[str]:
    """A schema for each service, named as the folder."""
    name = Path(folder).name.replace("-", "_").lower()
    schemas = [f"{name}_{service}" for service in ("effect", "hear")]
    administrate(*(f"CREATE SCHEMA {each}" for each in schemas))
    try:
        yield f"{SERVER}/{DATABASE}?schema={name}_{{service}}"
    finally:
        administrate(*(f"DROP SCHEMA {each} CASCADE" for each in schemas))


async def takeover(blow: str, databases: Databases = sqlite) -> dict[str, float]:
    """The figures of one takeover in a system that is made for it."""
    with tempfile.TemporaryDirectory(prefix="takeover-") as folder, databases(folder) as url:
        link = Link(SERVER.rpartition("@")[2])
        seen = url.replace(SERVER.rpartition("@")[2], await link.start()) if blow == CUT else ""
        made = House(Path(folder), url, seen=seen, seat=Seat(prefix=STRANGE) if blow == UNSEEN else AT_HOME)
        ways = {
            CUT: (link.cut, link.mend),
            STOPPED: (
                lambda: made.victim.process.send_signal(signal.SIGSTOP),
                lambda: made.victim.process.send_signal(signal.SIGCONT),
            ),
        }
        try:
            await made.start()
            return await made.round(*ways.get(blow, (made.victim.process.kill, None)))
        finally:
            await made.stop()
            if seen:
                await link.stop()


async def takeover_apart() -> dict[str, float]:
    """The figures of one where the victim is in a network of its own, and its way to the database is cut."""
    network = Network()
    network.start()
    try:
        hosts = f"{HERE},{network.database}"
        with tempfile.TemporaryDirectory(prefix="takeover-") as folder, _server(hosts) as server:
            url = f"postgresql://postgres@{HERE}:{server.port}/postgres?schema={{service}}"
            seen, seat = url.replace(HERE, network.database), Seat(network.address, network.prefix)
            made = House(Path(folder), url, seen=seen, host=network.host, seat=seat)
            try:
                await made.start()
                return await made.round(network.cut, network.mend)
            finally:
                await made.stop()
    finally:
        network.stop()


@contextmanager
def _server(hosts: str) -> Iterator[Server]:
    """A server that listens to another network as well."""
    with servers_of_its_own("server", options=(f"listen_addresses={hosts}",)) as [server]:
        server.make()
        server.write("pg_hba.conf", "local all all trust\nhost all all all trust\n")
        server.control("start")
        server.sql("CREATE SCHEMA effect", "CREATE SCHEMA hear")
        yield server


async def measure(rounds: int, databases: Databases, blows: tuple[str, ...]) -> bool:
    """Print the figures of each blow; False where one is beyond the bar."""
    held = True
    for blow in blows:
        found = [await (takeover_apart() if blow == APART else takeover(blow, databases)) for _ in range(rounds)]
        for kind in KINDS:
            figures = sorted(each[kind] for each in found)
            held = held and figures[-1] <= BAR
            median = figures[len(figures) // 2]
            print(f"{blow}, {kind}: median {median:.2f} s, worst of {rounds} {figures[-1]:.2f} s", flush=True)
    return held


if __name__ == "__main__":
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--rounds", type=int, default=10)
    given.add_argument("--postgresql", action="store_true", help="on the tests' server, in place of SQLite")
    asked = given.parse_args()
    if asked.postgresql and (reason := missing()) is not None:
        print(f"{APART}: not measured, {reason}")
    chosen = (postgresql, (*BLOWS, CUT, *(() if missing() else (APART,)))) if asked.postgresql else (sqlite, BLOWS)
    sys.exit(not asyncio.run(measure(asked.rounds, *chosen)))
