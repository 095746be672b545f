"""The supervisor's side of the process that guards against orphans: who is kept is told to it as it changes."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meristem.supervision import orphan_guard
from meristem.supervision.lifeline import GRACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.supervision.restarter import Restarter

PATIENCE: Final = GRACE + 2.0  # an orphan ends itself within `GRACE`, unless something holds its interpreter
OF_PROGRAMS: Final = 5.0  # seconds between asking an orphaned program to end and making it


class OrphanGuard:
    """Ends what restarters keep, should this process be killed, after `grace` seconds; with `asks` it asks first.

    `held` are descriptors that stay open until all of them have ended, also after this process.
    """

    def __init__(self, grace: float, *, asks: bool = False, held: Sequence[int] = ()) -> None:
        self._arguments = (str(grace), *(["ask"] if asks else []))
        self._held = held
        self._process: asyncio.subprocess.Process | None = None
        self._guarded: dict[Restarter, frozenset[int]] = {}

    async def start(self) -> None:
        """Start it, before anything is told."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-IS",
            str(Path(orphan_guard.__file__)),
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            pass_fds=self._held,
            start_new_session=True,
        )

    def tell(self, restarter: Restarter) -> None:
        """Whom a restarter keeps now."""
        former, pids = self._guarded.get(restarter, frozenset()), restarter.pids
        if pids == former or self._process is None or self._process.stdin is None:
            return
        self._guarded[restarter] = pids
        lines = [*(f"-{pid}\n" for pid in former - pids), *(f"+{pid}\n" for pid in pids - former)]
        with contextlib.suppress(OSError, RuntimeError):
            self._process.stdin.write("".join(lines).encode())

    async def stop(self) -> None:
        """End it, once nothing is kept any more."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()
            self._process = None
