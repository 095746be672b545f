"""Partitions: a subscriber's deliveries in order per key, side by side across keys."""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from meristem.events.delivery import Delivery

Attempt: TypeAlias = "Callable[[Partitions, Delivery], Awaitable[float | None]]"
"""Tries a delivery: None when its row is settled, else the time at which to try it again."""


class Partitions:
    """The deliveries of one subscriber that are in memory.

    A partition holds the events of one key; only its first is ever in flight, and while that waits for a retry the
    partition waits. `width` partitions are served at once, and one after the other while there are `suspects`: events
    that the subscriber's process had when it ended, one of which may be why. Times are on the clock's steady time.
    """

    def __init__(
        self,
        subscriber: str,
        attempt: Attempt,
        *,
        width: int,
        now: Callable[[], float],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        wake_at: Callable[[float], None],
        changed: Callable[[], None],
    ) -> None:
        self.subscriber = subscriber
        self.held: set[tuple[str, str]] = set()  # by name and key, as rows are: of a repeated one the key may differ
        self.suspects: set[str] = set()
        self.rejections = 0  # attempts in a row that did not reach the subscriber
        self.outages = 0  # attempts in a row that met an outage of what its handlers need
        self._attempt = attempt
        self._width = width
        self._now = now
        self._spawn = spawn
        self._wake_at = wake_at
        self._changed = changed
        self._partitions: dict[str, deque[Delivery]] = {}
        self._ready: deque[str] = deque()
        self._express: deque[str] = deque()  # ready too: of events that came straight from their commit
        self._express_is_next = False
        self._later: list[tuple[float, int, str]] = []
        self._order = count()
        self._paused_until = 0.0
        self._workers = 0
        self._fewer = asyncio.Event()
        self._starting = 0  # workers that have not looked for a partition yet
        self._open = True

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is in flight."""
        return not self._partitions and not self._workers

    @property
    def in_flight(self) -> bool:
        """Whether a delivery is under way."""
        return self._workers > 0

    @property
    def has_time(self) -> bool:
        """Whether more could be under way than there is."""
        return self._workers < self._most and not self._ready and not self._express

    @property
    def is_alone(self) -> bool:
        """Whether one delivery at most is under way."""
        return self._workers <= 1

    async def isolate(self, event_id: str) -> None:
        """Begin nothing beside this event until it is cleared; returns when nothing else is under way."""
        self.suspects.add(event_id)
        while not self.is_alone:
            self._fewer.clear()
            await self._fewer.wait()

    async def forgotten(self, suspect: Delivery) -> None:
        """Return when a suspect's row is gone, or let go of."""
        while (suspect.event_id, suspect.key) in self.held:
            self._fewer.clear()
            await self._fewer.wait()

    def clear(self, event_id: str) -> None:
        """An event is done with: where it was the last suspect, the others go side by side again."""
        self.suspects.discard(event_id)
        self._fewer.set()
        self._staff()

    def has(self, key: str) -> bool:
        """Whether events of this key are here."""
        return key in self._partitions

    def put(self, delivery: Delivery) -> None:
        """Append a delivery to its partition; one that is here already is not taken twice."""
        if (delivery.event_id, delivery.key) in self.held:
            return
        self.held.add((delivery.event_id, delivery.key))
        name = delivery.key or delivery.event_id
        partition = self._partitions.get(name)
        if partition is None:
            self._partitions[name] = deque((delivery,))
            self._place(name, delivery.due_at, self._express if delivery.is_new else self._ready)
        else:
            partition.append(delivery)

    def pause(self, until: float) -> bool:
        """Hold every partition until then; False when they are held already."""
        if self._is_paused:
            return False
        self._paused_until = until
        return True

    def resume(self) -> None:
        """Serve at once what waited for the subscriber to be there, or for what its handlers need."""
        self._paused_until = 0.0
        self.rejections = self.outages = 0
        later, self._later = self._later, []
        for _, _, name in sorted(later):
            first = self._partitions[name][0]
            self._place(name, 0.0 if first.outages else first.due_at)

    @property
    def _is_paused(self) -> bool:
        return self._paused_until > 0 and self._now() < self._paused_until

    def wake(self) -> None:
        """Serve the partitions whose time has come."""
        now = self._now()
        while self._later and self._later[0][0] <= now:
            self._ready.append(heapq.heappop(self._later)[2])
        self._staff()

    def close(self) -> None:
        """Begin no further delivery."""
        self._open = False

    def _place(self, name: str, due_at: float, ready: deque[str] | None = None) -> None:
        due_at = max(due_at, self._paused_until)
        if due_at <= self._now():
            (self._ready if ready is None else ready).append(name)
            self._staff()
        else:
            heapq.heappush(self._later, (due_at, next(self._order), name))
            self._wake_at(due_at)

    def _staff(self) -> None:
        while self._open and self._workers < self._most and self._starting < len(self._ready) + len(self._express):
            # Counted before it runs: this may be called many times before the loop gives the first worker its turn.
            self._workers += 1
            self._starting += 1
            self._spawn(self._work())

    @property
    def _most(self) -> int:
        return 1 if self.suspects else self._width

    async def _work(self) -> None:
        self._starting -= 1
        try:
            while self._open and self._workers <= self._most and (name := self._next()) is not None:
                if self._is_paused:
                    self._place(name, self._paused_until)
                else:
                    await self._serve(name)
        finally:
            self._workers -= 1
            self._fewer.set()
            self._changed()

    def _next(self) -> str | None:
        """The partition that has waited longest: of a backlog and of what is new in turn, for neither waits behind all
        of the other.
        """
        first, second = (self._express, self._ready) if self._express_is_next else (self._ready, self._express)
        ready = first or second
        self._express_is_next = ready is self._ready
        return ready.popleft() if ready else None

    async def _serve(self, name: str) -> None:
        partition = self._partitions[name]
        # It stays first while it is tried, so that a later event of its key can't overtake it.
        again = await self._attempt(self, partition[0])
        if again is not None:
            self._place(name, again)
            return
        partition.popleft()
        if partition:
            self._place(name, partition[0].due_at)  # behind the other keys: a busy one must not starve them
        else:
            del self._partitions[name]
