"""Where services and apps answer on one host: at the sockets of as many replicas as run now."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from meristem.discovery.resolver import Directory
from meristem.lifecycle import Background
from meristem.system.addresses import app_sockets, service_addresses
from meristem.system.replica_file import ReplicaFile

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from meristem.system.plan import Plan

logger = logging.getLogger(__name__)
LOOK: Final = 0.5  # seconds between two looks whether there are more or fewer; who scales waits for two of them


class ScaledResolver(Directory):
    """Knows the sockets of `names`, services and apps of other processes, in the folder `run`."""

    def __init__(self, plan: Plan, run: Path, names: Collection[str]) -> None:
        self._plan = plan
        self._run = run
        self._names = names
        self._counts = ReplicaFile(run)
        self._seen = self._counts.version()
        self._background = Background("replicas")
        super().__init__(self._found())

    async def start(self) -> None:
        self._background.spawn(self._follow(), "look for replicas")

    async def drain(self) -> None:
        """Nothing is in flight here."""

    async def stop(self) -> None:
        await self._background.stop()

    def look(self) -> None:
        """See whether there are more or fewer."""
        if (version := self._counts.version()) != self._seen:
            for name, addresses in self._found().items():
                self.put(name, addresses)
            self._seen = version

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            try:
                self.look()
            except Exception:  # those that are known go on to be asked
                logger.exception("what replicas there are can't be read; it is tried again")

    def _found(self) -> dict[str, tuple[str, ...]]:
        counts = self._counts.read()
        processes = tuple(replace(each, replicas=counts.get(each.name, each.replicas)) for each in self._plan.processes)
        plan = replace(self._plan, processes=processes)
        found = service_addresses(plan, self._run) | app_sockets(plan, self._run)
        return {name: found[name] for name in self._names}
