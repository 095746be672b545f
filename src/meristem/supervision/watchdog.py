"""Kills what hangs: then it has ended, and is started again like whatever ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from meristem.supervision.child import Child

LOOKS: Final = 6  # without a sign of life, then it hangs
SILENCE: Final = 2  # looks without one, then it counts as silent


class Watchdog:
    """Asks a child for signs of life; one that gives none for `hung` seconds is killed, with its stacks written before.

    `running` is the child that is to be watched now, `lives` whether it gave a sign since it was asked last. `heard`
    gets whether it does, as that changes; `silence` tells what is the matter with one that does not. Looks are counted,
    not the time between them: a pause of this very process makes nobody look silent.
    """

    def __init__(
        self,
        hung: float,
        *,
        running: Callable[[], Child | None],
        lives: Callable[[Child], Awaitable[bool]],
        heard: Callable[[bool], None],
        say: Callable[[str], None],
        silence: Callable[[], str],
    ) -> None:
        self._hung = hung
        self._running = running
        self._lives = lives
        self._heard = heard
        self._say = say
        self._silence = silence

    async def run(self) -> None:
        """Watch until cancelled."""
        watched, missed = None, 0
        while True:
            await asyncio.sleep(self._hung / LOOKS)
            child = self._running()
            if child is None or child is not watched:
                watched, missed = child, 0
            elif await self._lives(child):
                if missed >= SILENCE:
                    self._heard(True)
                missed = 0
            else:
                missed += 1
                await self._missed(child, missed)

    async def _missed(self, child: Child, looks: int) -> None:
        if looks == SILENCE:
            self._heard(False)
        if looks >= LOOKS and not child.ended.is_set():
            self._say(f"{self._silence()} for {self._hung:g} s and is killed")
            await child.kill_with_its_stacks()
