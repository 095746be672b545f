"""The stretches of ten seconds by the clock of which the history has a row; a row missing says that nothing ran."""

from __future__ import annotations

from math import ceil
from typing import Final, NamedTuple

KEPT: Final = 10.0  # seconds
POINTS: Final = 120  # at most, of a chart
LATE: Final = 4.0  # seconds after its end, by which a stretch is told and written also beside a process that hangs


class Slots:
    """Says when a stretch has ended."""

    def __init__(self, now: float) -> None:
        self._number = now // KEPT

    def ended(self, now: float) -> float | None:
        """The end of the stretch before this one, the first time that is asked in it; `now` in seconds since 1970."""
        if now // KEPT == self._number:
            return None
        self._number = now // KEPT
        return self._number * KEPT


class ChartRange(NamedTuple):
    """What a chart shows: points of `width` seconds, the first of which begins at `since`."""

    since: float
    until: float
    width: float

    @classmethod
    def of(cls, minutes: float, now: float) -> ChartRange:
        """The last minutes in whole points: of one that lasts a rate would be too low."""
        width = max(ceil(minutes * 60 / POINTS / KEPT), 1) * KEPT
        until = (now - LATE) // width * width
        return cls(until - ceil(minutes * 60 / width) * width, until, width)

    def end(self, point: int) -> float:
        """When a point ends."""
        return self.since + (point + 1) * self.width

    @property
    def values(self) -> dict[str, float]:
        """For `POINT` and `WITHIN`."""
        return self._asdict()


POINT: Final = f"CAST((time - {KEPT / 2} - :since) / :width AS INTEGER)"
"""The number of the point to which a row belongs: its `time` is the end of its stretch."""
WITHIN: Final = "time > :since AND time <= :until"
