"""Which traces are recorded: all at human speed, a bounded number per second under load."""

from __future__ import annotations

from typing import Final

ROUNDING: Final = 1e-6  # seconds


class Allowance:
    """A token bucket: `per_second` on average, as many at once after a quiet second; `now` in seconds, any clock's."""

    __slots__ = ("_full", "_gap", "opens")

    def __init__(self, per_second: float, now: float) -> None:
        self._gap = 1 / per_second if per_second > 0 else float("inf")
        self._full = max(1.0, self._gap) + ROUNDING if per_second > 0 else 0.0  # how much may be taken in advance
        self.opens = now + self._gap - self._full  # nothing is left before this time

    def take(self, now: float) -> bool:
        """Whether one more is allowed."""
        if now < self.opens:
            return False
        self.opens = max(self.opens, now + self._gap - self._full) + self._gap
        return True
