"""A token bucket of one number, by the Generic Cell Rate Algorithm (ITU-T I.371, Annex A): exact, without a timer."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

MOST_KEYS: Final = 100_000  # of which something is remembered: 10 MB


class Withdrawal(NamedTuple):
    """What came of one request: whether it may go on, after `wait` seconds; `left` more could come at once.

    For one that may not, `wait` is after how many seconds it may come again.
    """

    allowed: bool
    wait: float
    left: int
    reset: float  # seconds until all of the burst may come again


class TokenBuckets:
    """A bucket for each key: `rate` a second, and `burst` beyond it at once."""

    def __init__(self, rate: float, burst: int, *, most: int = MOST_KEYS) -> None:
        self._interval = 1.0 / rate
        self._tolerance = burst * self._interval
        self._most = most
        self._due: OrderedDict[str, float] = OrderedDict()  # when the next request of a key would be on time

    def __len__(self) -> int:
        return len(self._due)

    def take(self, key: str, now: float) -> Withdrawal:
        """Have one request come at `now`, seconds of a steady clock."""
        due = max(self._due.get(key, now), now)
        ahead = due - now
        # Of two arrivals at one moment the sum of intervals is not exact: a nanosecond is no request.
        if ahead > self._tolerance + 1e-9:
            return Withdrawal(False, ahead - self._tolerance, 0, ahead)
        self._due[key] = due + self._interval
        self._due.move_to_end(key)
        if len(self._due) > self._most:
            self._forget(now)
        left = int((self._tolerance - ahead) / self._interval + 1e-6)
        return Withdrawal(True, ahead, left, ahead + self._interval)

    def _forget(self, now: float) -> None:
        """Make room: those who asked longest ago have a full bucket again, or else are given one."""
        while len(self._due) > self._most or (self._due and next(iter(self._due.values())) <= now):
            self._due.popitem(last=False)
