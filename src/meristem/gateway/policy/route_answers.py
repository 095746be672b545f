"""What requests on a route were answered with, and how long they waited for that."""

from __future__ import annotations

from bisect import bisect_left

from meristem.telemetry.metrics import BOUNDS


class RouteAnswers:
    """Answers to requests that were let in: by `statuses`, and by seconds until they began, in the usual buckets.

    499 is a client that left before. A request that is refused costs its client nothing to wait for, and is no answer.
    """

    __slots__ = ("buckets", "seconds", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def record(self, seconds: float, status: int) -> None:
        """Count an answer that began after so many `seconds`."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
        self.statuses[status] = self.statuses.get(status, 0) + 1
