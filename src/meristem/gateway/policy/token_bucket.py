"""Token buckets of one number each, by the Generic Cell Rate Algorithm (ITU-T I.371, Annex A), without timers."""

from __future__ import annotations

from array import array
from heapq import heappop, heappush, heapreplace, nlargest
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_KEYS: Final = 100_000  # of which something is remembered, in 30 MB
SHARDS: Final = 1 << 16  # in which those are remembered together that there is no room for
EXACT: Final = 1e-9  # seconds: of two arrivals at one moment the sum of intervals is not exact, and this is no request


class Withdrawal(NamedTuple):
    """What came of one request: whether it may go on, and by how many seconds its key is `ahead` of the rate.

    `left` more could come at once. One that may not go on may come again after `wait` seconds.
    """

    allowed: bool
    ahead: float
    wait: float
    left: int
    reset: float  # seconds until all of the burst may come again


class TokenBuckets:
    """A bucket for each key: `rate` a second, and `burst` beyond it at once.

    Of more than `most` keys that have not had their rest, those that are nearest to it are remembered in shards, each
    with what the one furthest from it owes. So nobody is let off because others come, however many: who is unknown
    while there is no room may have to wait for another, and never the other way round.
    """

    def __init__(self, rate: float, burst: int, *, most: int = MOST_KEYS) -> None:
        self.interval = 1.0 / rate
        self.tolerance = burst * self.interval
        self._most = most
        self._due: dict[str, float] = {}  # when the next request of a key would be on time
        self._order: list[tuple[float, str]] = []  # a heap with one entry a key, which is on time then at the earliest
        self._shards: array[float] | None = None

    def __len__(self) -> int:
        return len(self._due)

    def look(self, key: str, now: float) -> Withdrawal:
        """What would come of a request at `now`, seconds of a steady clock."""
        return withdrawal(max(0.0, self._due_of(key) - now), self.interval, self.tolerance)

    def take(self, key: str, now: float) -> Withdrawal:
        """Have one request come at `now`; one that may not go on costs nothing."""
        found = self.look(key, now)
        if found.allowed:
            self.note(key, now + found.ahead + self.interval, now)
        return found

    def give_back(self, key: str) -> None:
        """Undo what one request took."""
        due = self._due.get(key)
        if due is not None:
            self._due[key] = due - self.interval  # its entry in the order is then too late, so it is kept too long

    def note(self, key: str, due: float, now: float) -> None:
        """Remember when the next request of a key would be on time."""
        known = key in self._due
        self._due[key] = due
        if not known:
            heappush(self._order, (due, key))
            self._forget(now)

    def fullest(self, number: int, now: float) -> Sequence[tuple[str, float]]:
        """The keys that are nearest to a refusal, each with its share of what it may be ahead."""
        owed = nlargest(number, ((due - now, key) for key, due in self._due.items() if due > now))
        return [(key, min(1.0, ahead / (self.tolerance + self.interval))) for ahead, key in owed]

    def _due_of(self, key: str) -> float:
        due = self._due.get(key)
        if due is None:
            return 0.0 if self._shards is None else self._shards[hash(key) % SHARDS]
        return due

    def _forget(self, now: float) -> None:
        """Drop who has had his rest, and whoever is nearest to it where there are too many."""
        order = self._order
        while order and (len(self._due) > self._most or order[0][0] <= now):
            _, key = order[0]
            due = self._due[key]
            if due > order[0][0]:  # it came again since it was put there
                heapreplace(order, (due, key))
                continue
            heappop(order)
            del self._due[key]
            if due > now:
                self._remember_together(key, due)

    def _remember_together(self, key: str, due: float) -> None:
        if self._shards is None:
            self._shards = array("d", bytes(8 * SHARDS))
        shard = hash(key) % SHARDS  # of strings it is another one in each process: nobody can aim at a shard
        self._shards[shard] = max(self._shards[shard], due)


def withdrawal(ahead: float, interval: float, tolerance: float) -> Withdrawal:
    """What comes of a request of a key that is so many seconds ahead of its rate."""
    if ahead > tolerance + EXACT:
        return Withdrawal(False, ahead, ahead - tolerance, 0, ahead)
    left = int((tolerance - ahead) / interval + 1e-6)
    return Withdrawal(True, ahead, 0.0, left, ahead + interval)
