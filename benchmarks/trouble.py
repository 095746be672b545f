"""The hotel site, split into processes, and what happens to them while guests are there."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec

from benchmarks import journeys
from benchmarks.machine import descendants, free_port
from meristem.system.state_directory import ReplicaStatus, SystemStatus

SUBSCRIBER, HANGING = "notifications", "documents"
NOTICED = 60.0  # seconds within which a process that hangs is replaced: 30 without a heartbeat, and its start
ORPHANED = 40.0  # seconds within which processes whose supervisor was killed have drained and ended


class Site:
    """`meristem run` of the split hotel system; killed, it is run again at the same port."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        self.address = ""
        self.supervisor = 0
        self._folder = folder
        self._variables = variables
        self._port = free_port()
        self._runs = ExitStack()

    def __enter__(self) -> Site:
        self._run()
        return self

    def __exit__(self, *_: object) -> None:
        self._runs.close()

    def _run(self) -> None:
        run = journeys.meristem(self._folder, self._variables, "--placement", str(journeys.PLACEMENT), port=self._port)
        server, self.address = self._runs.enter_context(run)
        self.supervisor = server.pid

    def replicas(self) -> list[ReplicaStatus]:
        """The processes that the supervisor keeps."""
        announced = self._folder / ".meristem" / "hotels" / "running.json"
        return list(msgspec.json.decode(announced.read_bytes(), type=SystemStatus).replicas)

    def follow(self) -> list[int]:
        """Kill the supervisor and run the site anew at once; the processes that it left alone."""
        orphans = descendants(self.supervisor)
        os.kill(self.supervisor, signal.SIGKILL)
        self._run()
        return orphans


class Trouble:
    """What happens to the site: `done` counts it, `wrong` says what did not become of it that should."""

    def __init__(self, site: Site, rng: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._site = site
        self._rng = rng
        self._striking = asyncio.Lock()  # pids are read and used within it: those of a run that was killed are others'

    async def make(self, end: float) -> None:
        """Kill processes, or stop them for a while, until then; what was stopped goes on in any case."""
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, self._rng.uniform(1.5, 5.0)))
            async with self._striking:
                if ready := self._ready():
                    await self._strike(self._rng.choice(ready))

    async def go_through(self, seconds: float) -> None:
        """What takes longer, each once: a subscriber away, a hang if there is time for it, a supervisor killed."""
        await asyncio.sleep(0.1 * seconds)
        await self.keep_away(SUBSCRIBER, 0.3 * seconds)
        if seconds >= 4 * NOTICED:
            await self.hang(HANGING)
        else:
            await asyncio.sleep(0.2 * seconds)
        await self.kill_supervisor()

    async def keep_away(self, process: str, seconds: float) -> None:
        """Kill a process as often as it comes back."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            async with self._striking:
                for each in self._ready(process):
                    self._send(each, signal.SIGKILL)
            await asyncio.sleep(0.1)
        self.done[f"{process} away for {seconds:.0f} s"] += 1

    async def hang(self, process: str) -> None:
        """Stop a process for good: it must be replaced."""
        async with self._striking:
            victims = self._ready(process)
            hung = [each.pid for each in victims if self._send(each, signal.SIGSTOP)]
        began = time.monotonic()
        while any(pid is not None and lives(pid) for pid in hung):
            if time.monotonic() - began > NOTICED:
                self.wrong.append(f"{process}, which hangs, was not replaced within {NOTICED:g} s")
                break
            await asyncio.sleep(0.2)
        self.done[f"{process} replaced {time.monotonic() - began:.0f} s after it hung"] += 1

    async def kill_supervisor(self) -> None:
        """A new run follows at once; what the killed one left ends by itself."""
        async with self._striking:
            began = time.monotonic()
            orphans = await asyncio.to_thread(self._site.follow)
            self.done[f"supervisor followed {time.monotonic() - began:.0f} s after it was killed"] += 1
        await asyncio.sleep(max(0.0, began + ORPHANED - time.monotonic()))
        self.wrong += [f"process {pid} outlived its killed supervisor" for pid in orphans if lives(pid)]

    def _ready(self, process: str | None = None) -> list[ReplicaStatus]:
        found = [each for each in self._site.replicas() if each.state == "ready" and each.pid is not None]
        return [each for each in found if process in (None, each.process)]

    async def _strike(self, victim: ReplicaStatus) -> None:
        if self._rng.random() < 0.5:
            if self._send(victim, signal.SIGKILL):
                self.done[f"{victim.process} killed"] += 1
        elif self._send(victim, signal.SIGSTOP):
            self.done[f"{victim.process} stopped for a while"] += 1
            try:
                await asyncio.sleep(self._rng.uniform(0.2, 3.0))
            finally:
                self._send(victim, signal.SIGCONT)

    def _send(self, victim: ReplicaStatus, what: signal.Signals) -> bool:
        assert victim.pid is not None
        try:
            os.kill(victim.pid, what)
        except ProcessLookupError:
            return False  # it ended by itself
        return True


def lives(pid: int) -> bool:
    """Whether a process runs, or is stopped: has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
