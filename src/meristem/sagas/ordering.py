"""In which order a saga's function gets its answers: the journal's, so that a race has one winner in every replay."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from typing import Final

from meristem.sagas.ops import Op

# Of the event loop: as many turns as a function needs, through nested gathers, to go from an answer to its next step.
_PAUSE: Final = 20


class Ordering:
    """Hands answers out one by one.

    A function with one step under way gets its answer at once. With several, the next answer waits until the
    function has done what it does with the last; `on_quiet` is called when nothing has moved for that long.
    """

    def __init__(self, history: Iterable[int], deliver: Callable[[Op], None], on_quiet: Callable[[], None]) -> None:
        self._expected = sorted(history, reverse=True)
        self._next = self._expected[0] + 1 if self._expected else 1
        self._deliver = deliver
        self._on_quiet = on_quiet
        self._ready: list[tuple[int, Op]] = []
        self._writing: set[int] = set()
        self._pending = 0
        self._still = 0
        self._ticking = False
        self._watching = False

    def is_alone(self, op: Op) -> bool:
        """Whether the function waits for this answer and for nothing else; in a branch, others may be about to ask."""
        return self._pending == 1 and not op.is_in_branch

    def issued(self) -> None:
        """The function asked for one more answer."""
        self._pending += 1
        self._still = 0

    def reserve(self) -> int:
        """The number of an answer that is about to be journaled."""
        self._next += 1
        self._writing.add(self._next - 1)
        return self._next - 1

    def settled(self, sequence: int) -> None:
        """The answer of this number is journaled, or never will be."""
        self._writing.discard(sequence)
        self._pump()
        if self._watching:
            self._tick_soon()

    def ready(self, sequence: int, op: Op) -> None:
        """An answer may be handed out."""
        heapq.heappush(self._ready, (sequence, op))
        self._pump()

    def watch(self) -> None:
        """Call `on_quiet` once the function has nothing left to do."""
        self._watching = True
        self._still = 0
        self._tick_soon()

    def _pump(self) -> None:
        while self._ready:
            sequence, op = self._ready[0]
            if self._writing and min(self._writing) < sequence:
                return
            in_order = not self._expected or self._expected[-1] >= sequence
            if not (in_order and self.is_alone(op)) and self._still < _PAUSE:
                self._tick_soon()
                return
            self._hand_out()

    def _hand_out(self) -> None:
        sequence, op = heapq.heappop(self._ready)
        if sequence in self._expected:
            self._expected.remove(sequence)
        self._pending -= 1
        self._still = 0
        self._deliver(op)

    def _tick_soon(self) -> None:
        if not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        self._ticking = False
        self._still += 1
        self._pump()
        if self._watching and not self._ready:
            if self._still < _PAUSE:
                self._tick_soon()
            else:
                self._watching = False
                self._on_quiet()
