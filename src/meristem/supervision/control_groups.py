"""Control groups of Linux, versions 1 and 2: what processes take together, bounded by the kernel.

Sources: Documentation/admin-guide/cgroup-v1 (memory.rst, cgroups.rst), cgroup-v2.rst, scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
from pathlib import Path
from typing import Final, NamedTuple

# Short: at a stretch a neighbour waits for what one period gives, and the process itself for the rest of one.
PERIOD: Final = 10_000  # microseconds in which a share of processor time is given out
LEAST_QUOTA: Final = 1_000  # microseconds; the kernel refuses less
CONTROLLERS: Final = {"memory", "cpu"}
SUPERVISOR: Final = "meristem-supervisor"
OURS: Final = re.compile(r"meristem-([1-9][0-9]*)-")  # by whose process id it was made


class Parent(NamedTuple):
    """The group of this process under one controller."""

    path: Path
    version: int


class ControlGroup:
    """A group for one replica under one controller, named after this process; gone with `remove`."""

    def __init__(self, parent: Parent, name: str) -> None:
        self.path = parent.path / f"meristem-{os.getpid()}-{name}"
        self._version = parent.version

    def make(self) -> None:
        """Make the group; raises OSError where this user may not."""
        self.path.mkdir(exist_ok=True)

    def limit_memory(self, size: int) -> None:
        """Let the kernel end what needs more than `size` bytes, swap included."""
        if self._version == 1:
            self._write("memory.limit_in_bytes", size)
            with contextlib.suppress(OSError):  # a kernel that does not account for swap has no such file
                self._write("memory.memsw.limit_in_bytes", size)
            return
        self._write("memory.max", size)
        for file, value in (("memory.swap.max", 0), ("memory.oom.group", 1)):
            with contextlib.suppress(OSError):
                self._write(file, value)

    def limit_cpu(self, processors: float) -> None:
        """Give at most so many processors, and a share in proportion where others want them, too."""
        period = max(PERIOD, math.ceil(LEAST_QUOTA / processors))
        quota = max(LEAST_QUOTA, int(processors * period))
        if self._version == 1:
            self._write("cpu.cfs_period_us", period)
            self._write("cpu.cfs_quota_us", quota)
            self._write("cpu.shares", max(2, int(processors * 1024)))
        else:
            self._write("cpu.max", f"{quota} {period}")
            self._write("cpu.weight", min(10_000, max(1, int(processors * 100))))

    def add(self, pid: int) -> None:
        """Put a process into the group; what it starts from now on is in it, too."""
        self._write("cgroup.procs", pid)

    def kills(self) -> int:
        """How many processes the kernel has ended in it for want of memory."""
        file = self.path / ("memory.oom_control" if self._version == 1 else "memory.events")
        with contextlib.suppress(OSError):
            for line in file.read_text().splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill":
                    return int(value)
        return 0

    def kill(self) -> None:
        """End what still lives in it."""
        with contextlib.suppress(OSError):
            for pid in (self.path / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)

    def remove(self) -> bool:
        """Give it up; false while something still lives in it."""
        try:
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _write(self, file: str, value: object) -> None:
        # Opened as it is, never made: in a folder that is no group there would be files that nobody reads.
        descriptor = os.open(self.path / file, os.O_WRONLY)
        try:
            os.write(descriptor, str(value).encode())
        finally:
            os.close(descriptor)


def parents(mounts: str | None = None, groups: str | None = None) -> dict[str, Parent]:
    """The group of this process under the controllers `memory` and `cpu`, as far as there are any.

    `mounts` and `groups` are the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`.
    """
    try:
        mounts = Path("/proc/self/mountinfo").read_text() if mounts is None else mounts
        groups = Path("/proc/self/cgroup").read_text() if groups is None else groups
    except OSError:
        return {}
    of: dict[str, str] = {}
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        of |= dict.fromkeys(controllers.split(","), path)  # of version 2 the controllers are not named
    found: dict[str, Parent] = {}
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        root, place = before.split()[3:5]
        kind, _, options = after.split()[:3]
        if kind == "cgroup":
            for controller in CONTROLLERS & set(options.split(",")) & of.keys():
                found[controller] = Parent(_below(Path(place), root, of[controller]), 1)
        elif kind == "cgroup2" and "" in of:
            group = _below(Path(place), root, of[""])
            with contextlib.suppress(OSError):
                for controller in CONTROLLERS & set((group / "cgroup.controllers").read_text().split()):
                    found.setdefault(controller, Parent(group, 2))
    return found


def delegate(parent: Parent) -> None:
    """Let groups below one of version 2 have limits; raises OSError where this user may not.

    A group whose children have limits may hold no processes itself: this one moves to a group of its own.
    """
    if parent.version == 1:
        return
    switch = parent.path / "cgroup.subtree_control"
    try:
        switch.write_text("+memory +cpu")
    except OSError:
        own = parent.path / SUPERVISOR
        own.mkdir(exist_ok=True)
        (own / "cgroup.procs").write_text(str(os.getpid()))
        switch.write_text("+memory +cpu")


def remove_left(parent: Parent) -> None:
    """Give up the groups of supervisors that were killed: empty ones whose maker has ended."""
    with contextlib.suppress(OSError):
        for each in list(parent.path.iterdir()):
            if (made := OURS.match(each.name)) and not _lives(int(made[1])):
                with contextlib.suppress(OSError):  # something lives in it, or another run was faster
                    each.rmdir()


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _below(place: Path, root: str, group: str) -> Path:
    """Where a group is, seen from here: a container sees its own at the top, whatever its path outside."""
    inside = group.removeprefix(root) if root != "/" and group.startswith(root) else group
    path = place / inside.lstrip("/")
    return path if path.is_dir() else place
