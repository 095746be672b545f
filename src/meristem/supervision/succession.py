"""A run that follows one which was killed: it waits until that one's processes have ended, and frees nothing before."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meristem.errors import OperationError
from meristem.supervision.lifeline import GRACE
from meristem.supervision.replica import RUN

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.system.state_directory import StateDirectory

LOOK: Final = 0.05  # seconds between two looks whether they have ended
PATIENCE: Final = GRACE + 5.0  # an orphan ends itself within `GRACE`, unless it is stopped
KILLED: Final = 5.0  # seconds for the kernel to free what was killed


async def succeed(
    state: StateDirectory,
    run: Path,
    say: Callable[[str], None],
    *,
    patience: float = PATIENCE,
    killed: float = KILLED,
) -> None:
    """Return when nobody of an earlier run lives, whose sockets, ports and files are then this one's.

    What stands still (a stopped process) is killed after `patience` seconds. Raises OperationError when even then
    somebody holds on.
    """
    if state.presence.take():
        return
    left = [each for each in state.former if _is_of(each.pid, run)]
    names = ", ".join(f"{each.process}-{each.replica} (process {each.pid})" for each in left) or "its processes"
    say(f"the run before was killed; waiting until {names} have finished what is in flight")
    if await _taken(state, patience):
        return
    stuck = [each.pid for each in state.former if each.pid is not None and _is_of(each.pid, run)]
    say(f"after {patience:g} s they still live; killing {', '.join(map(str, stuck)) or 'none that is known'}")
    for pid in stuck:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    if not await _taken(state, killed):
        raise OperationError(
            f"a process of an earlier run still holds {state.presence.path}: see `fuser {state.presence.path}`, end it "
            "and run again"
        )


async def _taken(state: StateDirectory, patience: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience):
            while not state.presence.take():  # noqa: ASYNC110 - another process frees it
                await asyncio.sleep(LOOK)
            return True
    return False


def _is_of(pid: int | None, run: Path) -> bool:
    """Whether a process is one of the system that runs in `run`: its pid may be another program's by now."""
    try:
        return f"{RUN}={run}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is another user's, or there is no such file on this system
        return False
