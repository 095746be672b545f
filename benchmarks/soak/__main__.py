"""Thousands of bookings at the split hotel site, two replicas of each service, while faults strike it.

    python -m benchmarks.soak [--postgresql] [--bus nats] [--bookings 10000] [--faults 120] [--seed N] [--no-fsync]

Replicas are killed, stopped for less and for more than their lease, hang, and are cut off from the network by a
network namespace each (as root); whole services are killed and kept away; PostgreSQL is restarted and crashes; the
supervisor is killed and followed. With --bus events go over a broker, which is restarted, killed, stopped and cut off
as well. Which fault comes when, and whom it strikes, follows from the seed.

At the end every acknowledged booking must exist, bank, ledger and bookings agree to the cent, no room be given twice,
each letter have come once, and each event have been heard once by each subscriber; the broker have nothing left; memory
and open files be bounded, and nothing be left behind. Exit codes: 0 all of that is so, 1 something is not, 130 it was
ended by Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from asyncio import CancelledError
from pathlib import Path

from benchmarks.soak.broker_server import BUSES
from benchmarks.soak.cluster import Missing
from benchmarks.soak.network import possible
from benchmarks.soak.run import Asked, Soak, end_cleanly, say
from benchmarks.soak.schedule import kinds_for, schedule

INTERRUPTED = 130
SHOWN = 50  # of what is wrong


def main(argv: list[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--postgresql", action="store_true", help="on a server of its own; else on SQLite")
    parser.add_argument("--bus", choices=BUSES, default="", help="events go over a broker of the soak's own")
    parser.add_argument("--no-fsync", action="store_true", help="PostgreSQL does not wait for the disk")
    parser.add_argument("--bookings", type=int, default=1000, help="how many are to be acknowledged")
    parser.add_argument("--faults", type=int, default=30)
    parser.add_argument("--guests", type=int, default=24, help="how many ask at the same time")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="what random choices follow from")
    parser.add_argument("--log", type=Path, default=Path(os.devnull), help="a file for what the site's processes say")
    given = parser.parse_args(argv)
    if min(given.bookings, given.guests) < 1 or given.faults < 0:
        parser.error("give at least one booking and one guest, and no negative number of faults")
    reason = possible()
    kinds = kinds_for(postgresql=given.postgresql, namespaces=not reason, bus=bool(given.bus))
    asked = Asked(
        given.bookings,
        given.seed,
        given.guests,
        schedule(given.seed, given.faults, kinds),
        postgresql=given.postgresql,
        durable=not given.no_fsync,
        cuts=not reason,
        log=given.log,
        bus=given.bus,
    )
    cuts = f"nobody is cut off, since {reason}" if reason else "a network namespace for each replica"
    say(f"seed {given.seed}; {_below(asked)}; {cuts}")
    began = time.monotonic()
    end_cleanly()
    try:
        with tempfile.TemporaryDirectory(prefix="soak-") as folder:
            soak = Soak(asked, Path(folder))
            soak.run()
    except (KeyboardInterrupt, CancelledError):
        say("ended before it was done; everything that it started has ended")
        return INTERRUPTED
    except Missing as missing:
        say(str(missing))
        return 1
    for line in soak.weights():
        say(line)
    for each in soak.wrong[:SHOWN]:
        say(f"WRONG: {each}")
    outcome = "All is well" if not soak.wrong else f"{len(soak.wrong)} things are wrong"
    say(f"{outcome}: seed {given.seed}, {_below(asked)}, {(time.monotonic() - began) / 60:.1f} minutes.")
    return 1 if soak.wrong else 0


def _below(asked: Asked) -> str:
    fsync = f"PostgreSQL, fsync {'on' if asked.durable else 'off'}"
    database = fsync if asked.postgresql else "SQLite, synchronous=full"
    return f"{database}; events over {asked.bus or 'no broker'}"


if __name__ == "__main__":
    sys.exit(main())
