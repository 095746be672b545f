"""In which order a saga's function gets its answers: the journal's, so that a race has one winner in every replay."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from typing import Final

from meristem.sagas.commands import SagaCommand

# Of the event loop: as many turns as a function needs, through nested gathers, to go from an answer to its next step.
_PAUSE: Final = 20


class Ordering:
    """Hands answers out one by one.

    A function with one step under way gets its answer at once. With several, the next answer waits until the
    function has done what it does with the last; `on_quiet` is called when nothing has moved for that long.
    """

    def __init__(
        self, history: Iterable[int], deliver: Callable[[SagaCommand], None], on_quiet: Callable[[], None]
    ) -> None:
        self._expected = sorted(history, reverse=True)  # of the journal, still to be handed out; the next one is last
        self._next = self._first = self._expected[0] + 1 if self._expected else 1
        self.is_live = False  # whether an answer was handed out that was not in the journal when the execution began
        self._deliver = deliver
        self._on_quiet = on_quiet
        self._ready: list[tuple[int, SagaCommand]] = []
        self._writing: set[int] = set()  # numbers that are on their way into the journal
        self._pending = 0  # commands that were issued and not answered
        self._still = 0  # turns of the loop since the function last moved
        self._ticking = False
        self._watching = False

    def is_alone(self, command: SagaCommand) -> bool:
        """Whether the function waits for this answer and for nothing else; in a branch, others may be about to ask."""
        return self._pending == 1 and not command.is_in_branch

    def issued(self) -> None:
        """The function asked for one more answer."""
        self._pending += 1
        self._still = 0

    def moved(self) -> None:
        """The function is still at work on the last answer."""
        self._still = 0

    def reserve(self) -> int:
        """The number of an answer that is about to be journaled: those with higher numbers wait for it."""
        self._next += 1
        self._writing.add(self._next - 1)
        return self._next - 1

    def answered(self, sequence: int, command: SagaCommand) -> None:
        """The answer of this number may be handed out."""
        heapq.heappush(self._ready, (sequence, command))
        self._writing.discard(sequence)
        self._pump()
        if self._watching:
            self._tick_soon()

    def abandon(self, sequence: int) -> None:
        """The answer of this number will never be journaled: wait for it no longer."""
        self._writing.discard(sequence)
        self._pump()
        if self._watching:
            self._tick_soon()

    def watch(self) -> None:
        """Call `on_quiet` once the function has nothing left to do."""
        self._watching = True
        self._still = 0
        self._tick_soon()

    def _pump(self) -> None:
        """Hand out what may be, beginning with the lowest number.

        In a replay an answer of a higher number can be ready before the function has even asked for a lower one, and
        live two can be ready in one turn. Each is held back until the function has stood still for `_PAUSE` turns, so
        that what it does with one answer is done before it sees the next: the first run's order, again.
        """
        while self._ready:
            sequence, command = self._ready[0]
            if self._writing and min(self._writing) < sequence:
                return  # that one will be journaled before: it pumps again
            is_next = not self._expected or self._expected[-1] >= sequence
            is_alone = self._pending == 1 and not command.is_in_branch
            if not (is_next and is_alone) and self._still < _PAUSE:
                self._tick_soon()
                return
            heapq.heappop(self._ready)
            if sequence in self._expected:
                self._expected.remove(sequence)
            self._pending -= 1
            self._still = 0
            # Only now: a branch that still waits for an answer of the journal asks for what may be under way.
            self.is_live = self.is_live or sequence >= self._first
            self._deliver(command)

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
