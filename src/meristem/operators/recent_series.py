"""What is counted of one thing in one process, remembered for a minute, and of which processes."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Generic, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

SPAN: Final = 60.0  # seconds over which figures are told
STEP: Final = 5.0  # seconds between two counts that are remembered


class Totals(Protocol):
    """Counts at a `time`; they only grow while a process lives."""

    @property
    def time(self) -> float: ...

    def at(self, time: float) -> Self:
        """The same counts at another time."""
        ...

    def since(self, other: Self) -> Self:
        """What was counted since then, over so many seconds as `time`."""
        ...


TotalsT = TypeVar("TotalsT", bound=Totals)
ReplicaT = TypeVar("ReplicaT")


class RecentReplicas(Generic[ReplicaT]):
    """What is known of the replicas that live, by process and replica."""

    def __init__(self) -> None:
        self._replicas: dict[tuple[str, int], ReplicaT] = {}

    def keep(self, alive: Iterable[tuple[str, int]]) -> None:
        """Forget the replicas that are not among these."""
        for gone in set(self._replicas) - set(alive):
            del self._replicas[gone]


class RecentSeries(Generic[TotalsT]):
    """The counts of the last minute; `told` is up to where the history has them.

    `first` is what is known of before `now`, from `began` on: what is called for the first time was not called until
    then, and its minute is no shorter than that of others.
    """

    def __init__(self, first: TotalsT, began: float, now: float) -> None:
        self.now = self.told = first.at(now - STEP)
        self._kept: deque[TotalsT] = deque(first.at(each) for each in _steps(began, now))

    def add(self, taken: TotalsT) -> None:
        self.now = taken
        if taken.time - self._kept[-1].time >= STEP:
            self._kept.append(taken)
        while len(self._kept) > 1 and taken.time - self._kept[1].time >= SPAN:
            self._kept.popleft()

    def recent(self) -> TotalsT:
        return self.now.since(self._kept[0])


def _steps(began: float, now: float) -> list[float]:
    """The times of the minute until a step ago at which counts would have been remembered since `began`."""
    before = now - STEP
    many = int((before - max(began, now - SPAN)) / STEP)
    return [before - STEP * each for each in range(max(many, 0), -1, -1)]
