"""A gate: so many calls inside at once, so many waiting before it, for so long."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Gate:
    """Counts the calls inside; those that must wait are let in in the order of their coming."""

    __slots__ = ("_waiting", "inside", "limit", "queue", "wait")

    def __init__(self, limit: int, queue: int, wait: float) -> None:
        self.limit = limit
        self.queue = queue
        self.wait = wait
        self.inside = 0
        self._waiting: deque[asyncio.Future[bool]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def try_enter(self) -> bool:
        """Enter if there is room now."""
        if self.inside < self.limit and not self._waiting:  # a call that came before goes in before
            self.inside += 1
            return True
        return False

    async def enter(self) -> bool:
        """Enter, waiting for room; False when the queue is full or the wait too long."""
        if self.try_enter():
            return True
        if len(self._waiting) >= self.queue:
            return False
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[bool] = loop.create_future()
        self._waiting.append(turn)
        timer = loop.call_later(self.wait, self._give_up, turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.result():  # let in and cancelled in the same moment
                self.leave()
            raise
        finally:
            timer.cancel()
            if turn in self._waiting:
                self._waiting.remove(turn)

    def _give_up(self, turn: asyncio.Future[bool]) -> None:
        if not turn.done():
            turn.set_result(False)

    def leave(self) -> None:
        """Leave, and let in who waits first."""
        self.inside -= 1
        if self._waiting:  # asked here, as most gates never have a queue and a call is spared
            self.admit()

    def admit(self) -> None:
        """Let in as many as there is room for; to be called when the limit has grown."""
        while self._waiting and self.inside < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self.inside += 1  # for the one who wakes up later: no newcomer may take the place meanwhile
                turn.set_result(True)


class LeavingStream:
    """A stream that stays inside a gate until it ends, fails or is closed."""

    def __init__(self, items: AsyncIterator[Any], leave: Callable[[], None]) -> None:
        self._items = items
        self._leave: Callable[[], None] | None = leave

    def __aiter__(self) -> LeavingStream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await anext(self._items)
        except BaseException:
            self._end()
            raise

    async def aclose(self) -> None:
        """End the stream early."""
        self._end()
        close = getattr(self._items, "aclose", None)
        if close is not None:
            await close()

    def _end(self) -> None:
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
