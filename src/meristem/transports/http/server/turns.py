"""Who sends without ever having to wait gives way: all of them together hold the event loop for a few milliseconds."""

from __future__ import annotations

import asyncio
from collections import deque
from time import perf_counter
from typing import Final

LONGEST: Final = 0.005  # seconds that senders may take of one turn of the loop
AT_ONCE: Final = 16  # of them that are served in one turn: each sends a part at least, whatever that takes


class Turns:
    """The turns of the loop, as the senders of a server share them.

    A client that reads as fast as it is written to never makes its sender wait, so the loop would not turn. A part by
    itself is too small a measure: a turn for each would cost more than sending it. So time is measured, and all
    senders of a turn share it: a hundred of them must not hold the loop a hundred times as long as one.
    """

    __slots__ = ("_ends", "_share", "_waiting")

    def __init__(self) -> None:
        self._ends: float | None = None  # of the time of whoever sends now; None while nobody has sent in this turn
        self._share = LONGEST
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def give_way(self) -> None:
        """Go on at once while there is time in this turn of the loop, else after others have run, in order."""
        if self._ends is None:
            self._ends = perf_counter() + LONGEST
            asyncio.get_running_loop().call_soon(self._next)
        elif perf_counter() >= self._ends:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
            # Only one sender runs at a time, until it is back here: the end is its own.
            self._ends = perf_counter() + self._share

    def _next(self) -> None:
        """A turn has begun, or its senders have run: the next of those who wait are for the turn after it."""
        waiting = self._waiting
        if not waiting:
            self._ends = None
            return
        count = min(len(waiting), AT_ONCE)
        self._share = LONGEST / count
        self._ends = 0.0  # who sends meanwhile stands behind those who have waited
        for _ in range(count):
            if not (waiter := waiting.popleft()).done():
                waiter.set_result(None)
        asyncio.get_running_loop().call_soon(self._next)
