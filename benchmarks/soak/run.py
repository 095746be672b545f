"""One run of the soak: makes the site, lets guests and faults come, waits until all has settled, and looks."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import uvloop

from benchmarks import journeys
from benchmarks.machine import descendants, memory_mb, open_files
from benchmarks.soak import weights
from benchmarks.soak.audit import BOOKED, CHECKS
from benchmarks.soak.broker_server import CABLE, BrokerServer, broker_running
from benchmarks.soak.cluster import Cluster, running
from benchmarks.soak.evidence import Databases, Evidence, owed, read
from benchmarks.soak.guests import Guests
from benchmarks.soak.network import Network, network_for
from benchmarks.soak.schedule import SERVICES, Fault
from benchmarks.soak.site import Site, lives, names
from benchmarks.soak.striker import Ground, Striker

TELLING = 5.0  # seconds between two lines
SAMPLING = 5.0
SETTLING = 240.0
FILES = 40  # connections that a pool may keep
RESTING = 120.0  # seconds: a server closes connections that were idle for 75
CATALOGUE = 60.0


class Asked(NamedTuple):
    """What a run is to do; `cuts` is whether there are network namespaces, `bus` a broker's kind or empty."""

    bookings: int
    seed: int
    guests: int
    faults: list[Fault]
    postgresql: bool
    durable: bool
    cuts: bool
    log: Path
    bus: str = ""


class Soak:
    """One run; `wrong` says what is not as it must be."""

    def __init__(self, asked: Asked, folder: Path) -> None:
        self.asked = asked
        self.wrong: list[str] = []
        self._folder = folder
        self._began = time.monotonic()
        self._samples: dict[tuple[str, int], list[weights.Sample]] = defaultdict(list)

    def run(self) -> None:
        """Everything; raises KeyboardInterrupt when it is told to end before."""
        home = self._folder / "site"
        home.mkdir()
        with (
            network_for([*names(), CABLE], divided=self.asked.cuts) as network,
            self._cluster(network) as cluster,
            self._broker(network) as broker,
            journeys.parties(self._folder / "parties", network.host) as third,
        ):
            say("starting the site: two replicas of each of seven services, and of the edge")
            template = None if cluster is None else cluster.template()
            variables = journeys.hotel_variables(third, self._folder)
            databases = Databases(home, cluster)
            bus = None if broker is None else broker.url
            with Site(home, variables, network, template, self.asked.log, bus) as site:
                promised = uvloop.run(self._work(Ground(site, network, cluster, broker), databases))
                end_cleanly()  # the loop has left the signal to kill again
                family = descendants(site.supervisor)
            self.wrong += [f"process {pid} outlived its supervisor" for pid in family if lives(pid)]
            self.wrong += [f"{each.name} was left behind" for each in (home / ".meristem").rglob("*.sock")]
            self._look(read(databases, third, promised, () if broker is None else site.subscribers()))
        self.wrong += weights.too_heavy(self._samples) + weights.leaking_files(self._samples, FILES)

    @contextmanager
    def _cluster(self, network: Network) -> Iterator[Cluster | None]:
        if not self.asked.postgresql:
            yield None
            return
        with running(SERVICES, network.host, network.network, durable=self.asked.durable) as cluster:
            yield cluster

    @contextmanager
    def _broker(self, network: Network) -> Iterator[BrokerServer | None]:
        if not self.asked.bus:
            yield None
            return
        with broker_running(self.asked.bus, network) as broker:
            yield broker

    async def _work(self, ground: Ground, databases: Databases) -> dict[str, str]:
        """Guests and faults, until both are done and all has settled; what the guests were told."""
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        timeout, pool = aiohttp.ClientTimeout(total=40.0), aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(ground.site.address, timeout=timeout, connector=pool) as http:
            guests = Guests(http, self.asked.seed, self.asked.guests)
            await self._catalogue(databases)
            await guests.arrive()
            striker = Striker(ground, self.asked.faults)
            struck = False

            async def strike() -> None:
                nonlocal struck
                await striker.strike(lambda: guests.booked / self.asked.bookings)
                struck = True

            async with asyncio.TaskGroup() as watched:
                watching = watched.create_task(self._watch(ground.site, guests, striker))
                async with asyncio.TaskGroup() as group:
                    group.create_task(strike())
                    for number in range(guests.count):
                        group.create_task(guests.stay(number, lambda: struck and guests.booked >= self.asked.bookings))
                watching.cancel()
            self._tell(guests, striker)
            for kind, count in sorted(striker.done.items(), key=lambda each: each[0].value):
                say(f"fault: {count} x {kind.value}")
            for kind, count in striker.missed.items():
                say(f"fault missed, as its victim was down already: {count} x {kind.value}")
            say(f"guests: {', '.join(f'{what} {count}' for what, count in sorted(guests.outcomes.items()))}")
            self.wrong += striker.wrong + guests.wrong
            await self._settle(databases, None if ground.broker is None else ground.site)
        await self._rest(ground.site)
        return guests.promised

    async def _catalogue(self, databases: Databases) -> None:
        """Wait until the search knows every hotel."""
        began = time.monotonic()
        while databases.rows("search", "SELECT count(*) FROM hotels")[0][0] < journeys.HOTELS:
            if time.monotonic() - began > CATALOGUE:
                raise RuntimeError(f"the search does not know every hotel within {CATALOGUE:g} s")
            await asyncio.sleep(0.5)

    async def _settle(self, databases: Databases, over_broker: Site | None) -> None:
        """Wait until nothing is under way any more; what stays so is what the audit finds."""
        began = time.monotonic()

        def is_done() -> bool:
            if any(databases.waiting().values()):
                return False
            return over_broker is None or not any(owed(over_broker.subscribers()).values())

        rounds = 0
        # Over a broker twice: an event may be on its way from where is looked next to where was looked before.
        while (rounds := rounds + 1 if await asyncio.to_thread(is_done) else 0) < (1 if over_broker is None else 2):
            if time.monotonic() - began > SETTLING:
                say(f"not settled within {SETTLING:g} s")
                return
            await asyncio.sleep(0.5)
        say(f"settled after {time.monotonic() - began:.1f} s")

    async def _rest(self, site: Site) -> None:
        """Give the pools time to let go of the connections of the busiest moment; what stays open leaks."""
        began = time.monotonic()
        self._take(site)
        while weights.leaking_files(self._samples, FILES) and time.monotonic() - began < RESTING:
            await asyncio.sleep(SAMPLING)
            self._take(site)
        say(f"connections at rest after {time.monotonic() - began:.0f} s")

    async def _watch(self, site: Site, guests: Guests, striker: Striker) -> None:
        while True:
            self._take(site)
            self._tell(guests, striker)
            await asyncio.sleep(TELLING)

    def _tell(self, guests: Guests, striker: Striker) -> None:
        seconds = int(time.monotonic() - self._began)
        struck = striker.done.total() + striker.missed.total()
        under_way = "; ".join(map(str, striker.under_way)) or "none under way"
        say(
            f"{seconds // 60:3}:{seconds % 60:02}  {guests.booked}/{self.asked.bookings} bookings  "
            f"{struck}/{len(self.asked.faults)} faults ({under_way})"
        )

    def _take(self, site: Site) -> None:
        named = {each.pid: f"{each.process}-{each.replica}" for each in site.replicas() if each.state == "ready"}
        for pid, name in {**named, site.supervisor: "supervisor"}.items():
            if pid is not None and (memory := memory_mb(pid)):
                self._samples[name, pid].append(weights.Sample(time.monotonic(), memory, open_files(pid)))

    def _look(self, found: Evidence) -> None:
        """Hold the evidence against every check, and tell the counts."""
        kinds = Counter(each.status for each in found.bookings)
        say(f"bookings: {', '.join(f'{count} {status}' for status, count in sorted(kinds.items()))}")
        kept = sum(found.bank.values())
        booked = sum(each.status in BOOKED for each in found.bookings)
        events = sum(map(len, found.heard.values()))
        say(f"the bank keeps {kept} of {booked} bookings that were confirmed; {found.receipts.total()} receipts")
        say(f"{len(found.arrived)} letters; {len(found.holds)} holds; {events} events heard")
        for name, check in CHECKS.items():
            wrong = check(found)
            say(f"{'ok   ' if not wrong else 'WRONG'} {name}")
            self.wrong += wrong

    def weights(self) -> list[str]:
        """The last weight of each process that lives at the end."""
        last = {name: all_[-1] for (name, _), all_ in self._samples.items()}
        return [f"{name}: {each.memory:.0f} MB, {each.files} files" for name, each in sorted(last.items())]


def end_cleanly() -> None:
    """Have SIGTERM do what Ctrl-C does, so that nothing is left behind by either."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def say(what: str) -> None:
    """Tell the person who watches."""
    print(what, flush=True)
