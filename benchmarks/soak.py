"""Minutes of guests at the hotel site, split into processes, while everything that may happen to processes happens.

They are killed and stopped for a while at random; one subscriber is away for a third of the time, one process hangs
until it is replaced, and the supervisor is killed and followed by a new run.

    python -m benchmarks.soak [--minutes 5] [--quick] [--seed N]

At the end every booking must be complete or undone, bank and ledger agree, every mail have come once, memory and open
files be bounded, and nothing be left behind. The exit code says whether all of that is so.
"""

from __future__ import annotations

import argparse
import asyncio
import email
import json
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import uvloop

from benchmarks import audit, journeys
from benchmarks.audit import Sample, Seen
from benchmarks.machine import CLIENT, descendants, memory_mb, open_files
from benchmarks.processes import output_of, python
from benchmarks.trouble import Site, Trouble, lives
from benchmarks.visitors import Visitors

SAMPLING = 2.0  # seconds
SETTLING = 150.0
FILES = 40  # connections that a pool may keep
RESTING = 120.0  # seconds: a server closes connections that were idle for 75


class Soak:
    """One run."""

    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.seconds = 30.0 if given.quick else given.minutes * 60.0
        self.folder = folder
        self.rng = random.Random(given.seed)
        self.samples: dict[tuple[str, int], list[Sample]] = defaultdict(list)
        self.wrong: list[str] = []

    def run(self) -> None:
        """Everything; what is wrong is in `wrong`."""
        site = self.folder / "site"
        with journeys.parties(self.folder / "parties") as third:
            journeys.seed(site, third)
            with Site(site, journeys.hotel_variables(third, self.folder)) as hotels:
                bookings = uvloop.run(self._work(hotels, third))
                self.wrong += self._commands(site)
                family = descendants(hotels.supervisor)
            self.wrong += [f"process {pid} outlived its supervisor" for pid in family if lives(pid)]
            self.wrong += [f"{each.name} was left behind" for each in (site / ".meristem").rglob("*.sock")]
            bank = _bank(third.url)
        ledger = _ledger(site / ".meristem" / "hotels" / "payments.db")
        self.wrong += audit.money_astray(bookings, bank, ledger)
        self.wrong += audit.mail_astray(bookings, _mails(third.mailbox))
        self.wrong += audit.too_heavy(self.samples)
        self.wrong += audit.leaking_files(self.samples, FILES)
        kinds = Counter(each.status for each in bookings)
        say(f"bookings: {', '.join(f'{count} {status}' for status, count in sorted(kinds.items()))}")

    async def _work(self, site: Site, third: journeys.Parties) -> list[Seen]:
        trouble = Trouble(site, self.rng)
        async with aiohttp.ClientSession(site.address, timeout=aiohttp.ClientTimeout(total=40.0)) as http:
            visitors = Visitors(http, self.rng)
            await visitors.arrive()
            end = time.monotonic() + self.seconds
            sampling = asyncio.create_task(self._sample(site))
            async with asyncio.TaskGroup() as group:
                group.create_task(trouble.make(end - 3.0))
                group.create_task(trouble.go_through(self.seconds))
                for number in range(visitors.count):
                    group.create_task(visitors.stay(number, end))
            say(f"trouble: {', '.join(f'{what} {count} times' for what, count in sorted(trouble.done.items()))}")
            say(f"guests: {', '.join(f'{what} {count}' for what, count in sorted(visitors.outcomes.items()))}")
            bookings = await self._settle(visitors, third.mailbox)
            self.wrong += trouble.wrong + visitors.wrong
            self.wrong += audit.unfinished(bookings)
            self.wrong += audit.promises_broken(visitors.promised, bookings)
            sampling.cancel()
            await asyncio.sleep(SAMPLING)
        await self._rest(site)
        return bookings

    async def _rest(self, site: Site) -> None:
        """Give the pools time to let go of the connections of the busiest moment; what stays open leaks."""
        began = time.monotonic()
        self._take(site)
        while audit.leaking_files(self.samples, FILES) and time.monotonic() - began < RESTING:
            await asyncio.sleep(SAMPLING)
            self._take(site)
        say(f"connections at rest after {time.monotonic() - began:.0f} s")

    async def _settle(self, visitors: Visitors, mailbox: Path) -> list[Seen]:
        """Wait until nothing is under way any more."""
        began = time.monotonic()
        while True:
            bookings = await visitors.all_bookings()
            finished = not audit.unfinished(bookings)
            if finished and len(list((mailbox / "new").iterdir())) >= len(audit.expected_mails(bookings)):
                say(f"settled after {time.monotonic() - began:.1f} s")
                return bookings
            if time.monotonic() - began > SETTLING:
                say(f"not settled within {SETTLING:g} s")
                return bookings
            await asyncio.sleep(0.5)

    async def _sample(self, site: Site) -> None:
        while True:
            self._take(site)
            await asyncio.sleep(SAMPLING)

    def _take(self, site: Site) -> None:
        named = {each.pid: f"{each.process}-{each.replica}" for each in site.replicas() if each.state == "ready"}
        for pid, name in {**named, site.supervisor: "supervisor"}.items():
            if pid is not None and (memory := memory_mb(pid)):
                self.samples[name, pid].append(Sample(time.monotonic(), memory, open_files(pid)))

    def _commands(self, site: Path) -> list[str]:
        """What the command line says is stuck."""
        system = ["--system", "hotels.system:system", "--placement", str(journeys.PLACEMENT), "--json"]
        wrong = []
        for words, what in (
            (["sagas", "list", "--state", "parked"], "parked saga"),
            (["events", "dead"], "dead event"),
        ):
            found = json.loads(output_of(python("meristem", *words, *system), core=CLIENT, folder=site))
            wrong += [f"{service}: {what} {each}" for service, all_ in found.items() for each in all_]
        return wrong

    def weights(self) -> list[str]:
        """The last weight of each process that lives at the end."""
        last = {name: all_[-1] for (name, _), all_ in self.samples.items()}
        return [f"{name}: {each.memory:.0f} MB, {each.files} files" for name, each in sorted(last.items())]


def _bank(url: str) -> dict[str, Decimal]:
    """What the bank keeps, by booking."""
    kept: dict[str, Decimal] = defaultdict(Decimal)
    for line in journeys.fetch(f"{url}/bank/statement"):
        kept[line["reference"]] += Decimal(line["net"])
    return dict(kept)


def _ledger(path: Path) -> dict[str, Decimal]:
    """What the ledger says was kept, by booking."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    with sqlite3.connect(path) as connection:
        for kind, booking, amount in connection.execute("SELECT kind, booking_id, amount FROM ledger"):
            signed = Decimal(str(amount)) * (1 if kind == "charge" else -1)
            found[str(UUID(bytes=booking) if isinstance(booking, bytes) else UUID(booking))] += signed
    connection.close()
    return dict(found)


def _mails(mailbox: Path) -> list[str]:
    """The Message-IDs of what arrived, without their domain."""
    raw = (each.read_bytes() for each in (mailbox / "new").iterdir())
    ids: list[Any] = [email.message_from_bytes(each)["Message-ID"] for each in raw]
    return [str(each).strip().lstrip("<").partition("@")[0] for each in ids]


def say(what: str) -> None:
    """Tell the person who watches."""
    print(what, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--quick", action="store_true", help="30 seconds of guests")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="what random choices follow from")
    given = parser.parse_args(argv)
    say(f"seed {given.seed}")
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = Soak(given, Path(folder))
        soak.run()
    for line in soak.weights():
        say(line)
    for each in soak.wrong:
        say(f"WRONG: {each}")
    say("All is well." if not soak.wrong else f"{len(soak.wrong)} things are wrong.")
    return 1 if soak.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
