"""Strikes the site with the faults of a schedule, several at a time, spread over the bookings of the run."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from benchmarks.soak.broker_server import CABLE, BrokerServer
from benchmarks.soak.cluster import Cluster
from benchmarks.soak.network import Network
from benchmarks.soak.schedule import OF_BUS, OF_POSTGRESQL, REPLICAS, Fault, Kind
from benchmarks.soak.site import Site, lives
from meristem.system.system_status import ReplicaStatus

STOPPING = frozenset({Kind.STOPPED, Kind.STOPPED_LONG, Kind.HUNG})
AT_ONCE = 3  # faults under way
APART = 1.0  # seconds between two, at least
LOOKING = 0.2  # seconds
VICTIM = 60.0  # seconds in which a replica is ready again that is to be struck
REPLACED = 90.0  # seconds within which a replica that hangs is replaced: 30 without a heartbeat, and its start
ORPHANED = 40.0  # seconds within which processes whose supervisor was killed have drained and ended


class Ground(NamedTuple):
    """What is struck."""

    site: Site
    network: Network
    cluster: Cluster | None
    broker: BrokerServer | None = None


class Striker:
    """`done` counts what was done, `wrong` says what did not become of it that should."""

    def __init__(self, ground: Ground, faults: Sequence[Fault]) -> None:
        self.done: Counter[Kind] = Counter()
        self.missed: Counter[Kind] = Counter()
        self.wrong: list[str] = []
        self.under_way: list[Fault] = []
        self._ground = ground
        self._faults = faults
        self._restarting = asyncio.Lock()
        self._at_broker = asyncio.Lock()
        self._stopped: set[int] = set()  # what one fault has stopped, another one would resume too early

    async def strike(self, progress: Callable[[], float]) -> None:
        """Every fault in its turn: the n-th of N once n/N of the run, which `progress` tells, is over."""
        places = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as group:
            running: set[asyncio.Task[None]] = set()
            for number, fault in enumerate(self._faults):
                while progress() < number / len(self._faults):  # noqa: ASYNC110 - guests count, and tell nobody
                    await asyncio.sleep(LOOKING)
                if fault.kind is Kind.SUPERVISOR:
                    # A run that begins while a service has no database ends, and says so: that is no fault of its.
                    await asyncio.gather(*running)
                await places.acquire()
                task = group.create_task(self._one(fault, places))
                running.add(task)
                task.add_done_callback(running.discard)
                if fault.kind is Kind.SUPERVISOR:
                    await task
                await asyncio.sleep(APART)

    async def _one(self, fault: Fault, places: asyncio.Semaphore) -> None:
        self.under_way.append(fault)
        try:
            struck = await self._struck(fault)
        finally:
            self.under_way.remove(fault)
            places.release()
        (self.done if struck else self.missed)[fault.kind] += 1

    async def _struck(self, fault: Fault) -> bool:
        kind = fault.kind
        if kind in OF_POSTGRESQL | OF_BUS:
            await (self._restart(fault) if kind in OF_POSTGRESQL else self._take_broker_away(fault))
            return True
        if kind is Kind.SUPERVISOR:
            return await self._follow()
        if kind in {Kind.CUT, Kind.SERVICE_CUT}:
            return await self._cut(fault)
        if kind is Kind.AWAY:
            return await self._keep_away(fault)
        victims = await self._victims(fault, both=kind is Kind.SERVICE_KILLED)
        if kind in {Kind.KILLED, Kind.SERVICE_KILLED}:
            return _kill(victims)
        return bool(victims) and await self._stop(victims[0], fault)

    async def _restart(self, fault: Fault) -> None:
        assert self._ground.cluster is not None
        mode = "fast" if fault.kind is Kind.DATABASE_FAST else "immediate"
        async with self._restarting:
            await asyncio.to_thread(self._ground.cluster.restart, mode)

    async def _take_broker_away(self, fault: Fault) -> None:
        """It comes back in any case."""
        broker, network = self._ground.broker, self._ground.network
        assert broker is not None
        take_away, bring_back = {
            Kind.BUS_RESTARTED: (broker.stop, broker.start),
            Kind.BUS_CRASHED: (broker.crash, broker.start),
            Kind.BUS_STOPPED: (broker.stand_still, broker.go_on),
            Kind.BUS_CUT: (lambda: network.cut(CABLE), lambda: network.mend(CABLE)),
        }[fault.kind]
        async with self._at_broker:
            await asyncio.to_thread(take_away)
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                await asyncio.to_thread(bring_back)

    async def _follow(self) -> bool:
        """A new run follows at once; what the killed one left ends by itself."""
        began = time.monotonic()
        orphans = await asyncio.to_thread(self._ground.site.follow)
        while any(map(lives, orphans)) and time.monotonic() - began < ORPHANED:  # noqa: ASYNC110 - nobody tells of them
            await asyncio.sleep(LOOKING)
        self.wrong += [f"process {pid} outlived its killed supervisor" for pid in orphans if lives(pid)]
        return True

    async def _cut(self, fault: Fault) -> bool:
        numbers = range(REPLICAS) if fault.kind is Kind.SERVICE_CUT else [fault.replica]
        struck = [f"{fault.service}-{number}" for number in numbers]
        for each in struck:
            self._ground.network.cut(each)
        try:
            await asyncio.sleep(fault.seconds)
        finally:
            for each in struck:
                self._ground.network.mend(each)
        return True

    async def _keep_away(self, fault: Fault) -> bool:
        """Kill a service as often as it comes back."""
        end = time.monotonic() + fault.seconds
        struck = False
        while time.monotonic() < end:
            struck |= _kill(self._ready(fault.service))
            await asyncio.sleep(LOOKING)
        return struck

    async def _stop(self, victim: ReplicaStatus, fault: Fault) -> bool:
        """Stop a replica, for a while or until it is replaced; what was stopped goes on in any case."""
        assert victim.pid is not None
        try:
            handle = os.pidfd_open(victim.pid)  # a pid may be another process's by the time it is resumed
        except ProcessLookupError:
            return False
        self._stopped.add(victim.pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGSTOP)
            if fault.kind is Kind.HUNG:
                await self._wait_until_replaced(victim.pid, fault)
            else:
                await asyncio.sleep(fault.seconds)
        except ProcessLookupError:
            return False
        finally:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGCONT)
            os.close(handle)
            self._stopped.discard(victim.pid)
        return True

    async def _wait_until_replaced(self, pid: int, fault: Fault) -> None:
        began = time.monotonic()
        while lives(pid):
            if time.monotonic() - began > REPLACED:
                self.wrong.append(f"{fault.service}, which hung, was not replaced within {REPLACED:g} s")
                return
            await asyncio.sleep(LOOKING)

    async def _victims(self, fault: Fault, *, both: bool) -> list[ReplicaStatus]:
        """The replicas to strike, once they are ready: what is down already is no victim."""
        began = time.monotonic()
        taken = self._stopped if fault.kind in STOPPING else set()
        while True:
            there = [each for each in self._ready(fault.service) if each.pid not in taken]
            found = [each for each in there if both or each.replica == fault.replica]
            if len(found) == (REPLICAS if both else 1) or time.monotonic() - began > VICTIM:
                return found
            await asyncio.sleep(LOOKING)

    def _ready(self, process: str) -> list[ReplicaStatus]:
        kept = self._ground.site.replicas()
        return [each for each in kept if each.process == process and each.state == "ready" and each.pid is not None]


def _kill(victims: Sequence[ReplicaStatus]) -> bool:
    """Kill all of them; False where each had ended by itself."""
    killed = 0
    for each in victims:
        assert each.pid is not None
        with suppress(ProcessLookupError):
            os.kill(each.pid, signal.SIGKILL)
            killed += 1
    return killed > 0
