"""Keeps a replica within its bounds: by control groups where they may be made, else as well as it can be done."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.supervision.batch_scheduling import schedule_as_batch
from meristem.supervision.control_groups import ControlGroup, Parent, delegate, parents, remove_left

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.system.plan import Plan
    from meristem.system.resource_bounds import Bounds

LOOK: Final = 0.25  # seconds between two looks at the memory of a process that no group bounds
ROUNDS: Final = 20  # tries to give up the group of a replica that has ended
PAUSE: Final = 0.05  # seconds between them
BACKSTOP: Final = 512 << 20  # bytes of data beyond the limit at which the kernel refuses, should a look come too late
STEP: Final = 1.25  # by which a step of niceness divides a process's share


class Means(NamedTuple):
    """What this machine and user allow: the groups below which new ones may be made, and why there are none."""

    groups: dict[str, Parent]
    problem: str = ""

    @classmethod
    def here(cls) -> Means:
        """Find out by making a group."""
        found: dict[str, Parent] = {}
        problem = "this system has none"
        for controller, parent in parents().items():
            trial = ControlGroup(parent, "trial")
            try:
                delegate(parent)
                trial.make()
            except OSError as error:
                problem = f"{parent.path}: {error.strerror}"
            else:
                found[controller] = parent
                trial.remove()
        return cls(found, "" if len(found) == 2 else problem)

    def remove_left(self) -> None:
        """Give up the groups that supervisors which were killed have left."""
        for parent in self.groups.values():
            remove_left(parent)

    def remark(self) -> str:
        """What an operator should know of how bounds are kept here; nothing where groups do all of it."""
        if not self.problem:
            return ""
        instead = []
        if "memory" not in self.groups:
            instead.append("memory= is kept by a look every quarter of a second")
        if "cpu" not in self.groups:
            instead.append("cpu= by affinity and priority")
        return f"no control group may be made here ({self.problem}): {', '.join(instead)}"


class Confinement:
    """The bounds of one start of a replica."""

    def __init__(self, name: str, bounds: Bounds, means: Means) -> None:
        self._bounds = bounds
        wanted = {"memory": bounds.memory, "cpu": bounds.cpu}
        self._groups = {
            controller: ControlGroup(parent, name)
            for controller, parent in means.groups.items()
            if wanted[controller] is not None
        }
        self._over = False

    def confine(self, pid: int) -> None:
        """Bound a process that has just been started, before it does its work."""
        memory, cpu = self._bounds.memory, self._bounds.cpu
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            self._enter(pid)
            if memory is not None and "memory" not in self._groups:
                _limit_data(pid, memory + BACKSTOP)
            if cpu is not None and "cpu" not in self._groups:
                _make_way(pid, cpu)
            elif cpu is not None and cpu < 1:
                # Only here, where a quota ends each long piece: elsewhere others would wait for the whole of it.
                schedule_as_batch(pid)

    def _enter(self, pid: int) -> None:
        for controller, group in self._groups.items():
            group.make()
            if controller == "memory" and self._bounds.memory is not None:
                group.limit_memory(self._bounds.memory)
            if controller == "cpu" and self._bounds.cpu is not None:
                group.limit_cpu(self._bounds.cpu)
            group.add(pid)

    @property
    def is_watched(self) -> bool:
        """Whether its memory must be looked at: no group bounds it."""
        return self._bounds.memory is not None and "memory" not in self._groups

    def is_over(self, pid: int) -> bool:
        """Whether a process, as it is now, takes more memory than it may."""
        limit = self._bounds.memory
        self._over = limit is not None and _resident(pid) > limit
        return self._over

    def was_over(self) -> bool:
        """Whether a process that has ended did so for its memory."""
        group = self._groups.get("memory")
        return self._over or (group is not None and group.kills() > 0)

    async def release(self) -> None:
        """End what a replica has left behind within its bounds, and give up what was made for it."""
        left = list(self._groups.values())
        for _ in range(ROUNDS):
            for group in left:
                group.kill()
            left = [group for group in left if not group.remove()]
            if not left:
                return
            await asyncio.sleep(PAUSE)  # the kernel takes a moment to bury what was killed

    def reason(self) -> str:
        """Why it was ended, in words."""
        assert self._bounds.memory is not None
        return f"over its memory limit of {self._bounds.memory / (1 << 20):.4g} MiB, memory= in the placement"


def confinements(plan: Plan, say: Callable[[str], None]) -> Callable[[str, str], Confinement | None]:
    """What bounds a start of a replica, given its process and label; `say` is told where the kernel alone does not."""
    bounds = {each.name: each.bounds for each in plan.processes if each.bounds}
    if not bounds:
        return lambda _process, _label: None
    means = Means.here()
    means.remove_left()
    if means.problem:
        say(means.remark())
    return lambda process, label: (
        Confinement(f"{plan.system}-{label.replace('/', '-')}", bounds[process], means) if process in bounds else None
    )


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError):  # it has ended, or this system tells it in another way
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _limit_data(pid: int, size: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(PermissionError, ValueError):
            resource.prlimit(pid, resource.RLIMIT_DATA, (size, size))


def _make_way(pid: int, processors: float) -> None:
    """Leave the other processors to the others, and let them go first on these."""
    if sys.platform == "linux":
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(pid, allowed[-math.ceil(processors) :])
    else:
        allowed = list(range(os.cpu_count() or 1))
    nice = round(math.log(max(1.0, len(allowed) / processors), STEP))
    nice = min(19, os.getpriority(os.PRIO_PROCESS, 0) + nice)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
    # A session has a group of its own in the scheduler, whose niceness alone counts outside (sched(7), autogroup).
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))
