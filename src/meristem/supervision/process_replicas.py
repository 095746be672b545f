"""The replicas of all processes of a supervised system: how many of each there are, and who keeps them alive."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meristem.lifecycle import together
from meristem.supervision.overview import SupervisedPart
from meristem.supervision.restartable import RunState
from meristem.system.replica_file import ReplicaFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from meristem.supervision.replica import Replica
    from meristem.supervision.restarter import Restarter
    from meristem.system.plan import Plan

LEAVE: Final = 1.5  # seconds in which those who call a process see that it has fewer replicas; see `ScaledResolver`


class ProcessReplicas:
    """Keeps as many replicas of each process of a plan as are wanted; `keep` makes who keeps one, by name and number.

    Others learn by a file in the folder `run` when there are more or fewer than the plan says.
    """

    def __init__(self, plan: Plan, run: Path, keep: Callable[[str, int], Restarter]) -> None:
        self._keep = keep
        self._counts = ReplicaFile(run)
        self._scaled: dict[str, int] = {}
        self._kept = {each.name: [keep(each.name, index) for index in range(each.replicas)] for each in plan.processes}

    @property
    def counts(self) -> Mapping[str, int]:
        """How many there are of each process."""
        return {name: len(kept) for name, kept in self._kept.items()}

    def of(self, process: str) -> list[Restarter]:
        """Who keeps its replicas; none for what is no process."""
        return list(self._kept.get(process, ()))

    def parts(self) -> list[SupervisedPart]:
        """Every replica."""
        return [
            SupervisedPart(process, index, restarter)
            for process, kept in self._kept.items()
            for index, restarter in enumerate(kept)
        ]

    def others_run(self, replica: Replica) -> bool:
        """Whether another replica of its process takes the calls."""
        others = (each for each in self._kept[replica.process] if each.restartable is not replica)
        return any(each.state is RunState.READY for each in others)

    async def scale(self, process: str, count: int, through: Callable[[], None]) -> None:
        """Have so many replicas of a process; `through` is called for each one that is ready or has ended.

        Raises StartError where a new one is not ready: then there are as many as before.
        """
        if count > len(self._kept[process]):
            await self._add(process, count, through)
        else:
            await self._remove(process, count, through)

    async def _add(self, process: str, count: int, through: Callable[[], None]) -> None:
        kept = self._kept[process]
        before = len(kept)
        added = [self._keep(process, index) for index in range(before, count)]
        kept += added  # now, so that they end with the run whatever becomes of them
        try:
            await together(_started(each, through) for each in added)
        except BaseException:
            await asyncio.shield(together(each.stop() for each in added))
            del kept[before:]
            raise
        self._tell(process)

    async def _remove(self, process: str, count: int, through: Callable[[], None]) -> None:
        kept = self._kept[process]
        self._tell(process, count)
        # Who calls them looks elsewhere first: a call that finds nobody is repeated, but it need not come to that.
        await asyncio.sleep(LEAVE)
        for each in reversed(kept[count:]):
            await each.stop()
            kept.remove(each)
            through()

    def _tell(self, process: str, count: int | None = None) -> None:
        self._scaled[process] = len(self._kept[process]) if count is None else count
        self._counts.write(self._scaled)

    def kill(self) -> None:
        """End all at once."""
        for kept in self._kept.values():
            for each in kept:
                each.kill()


async def _started(restarter: Restarter, through: Callable[[], None]) -> None:
    await restarter.start()
    through()
