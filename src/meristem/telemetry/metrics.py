"""Counts and durations of operations in a few plain arrays: cheap to record, read when Prometheus asks."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import msgspec

from meristem.errors import CallError, Code, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Side: TypeAlias = Literal["server", "client", "app"]  # of an operation; requests to an app have one side alone

OK: Final = "ok"
BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
)  # fmt: skip


class Snapshot(msgspec.Struct, frozen=True):
    """What an operation did since the process started; durations in seconds."""

    side: Side
    service: str
    operation: str
    outcomes: dict[str, int]
    in_flight: int
    total: int
    seconds: float
    buckets: tuple[int, ...]

    @property
    def failed(self) -> int:
        """Calls that ended with a call error; a declared fault is an answer, not a failure."""
        return sum(count for code, count in self.outcomes.items() if code != OK and not code.startswith("fault:"))

    def quantile(self, fraction: float) -> float:
        """The duration that `fraction` of the calls did not exceed, interpolated inside its bucket."""
        return quantile(self.buckets, fraction)


def quantile(buckets: Iterable[int], fraction: float) -> float:
    """Estimate a quantile from bucket counts as Prometheus' `histogram_quantile` does; 0 without any calls."""
    counts = list(buckets)
    rank = fraction * sum(counts)
    below = 0
    # The last bucket has no upper edge: what falls there is told as the largest bound.
    for index, count in enumerate(counts[:-1]):
        if count and below + count >= rank:
            low = BOUNDS[index - 1] if index else 0.0
            return low + (BOUNDS[index] - low) * (rank - below) / count
        below += count
    return BOUNDS[-1] if counts[-1:] > [0] else 0.0


class OperationStats:
    """The figures of one operation on one side of the call."""

    __slots__ = ("begun", "buckets", "operation", "others", "seconds", "service", "side")

    def __init__(self, side: Side, service: str, operation: str) -> None:
        self.side = side
        self.service = service
        self.operation = operation
        self.begun = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.others: dict[str, int] = {}  # outcomes other than "ok", which is the rest: the fewer counts in each call

    def record(self, seconds: float, outcome: str = OK) -> None:
        """Count the end of a call that took `seconds`: `outcome` is "ok", a code, or "fault:CardDeclined"."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
        if outcome != OK:
            self.others[outcome] = self.others.get(outcome, 0) + 1

    def snapshot(self) -> Snapshot:
        """The figures of now."""
        total = sum(self.buckets)
        return Snapshot(
            self.side,
            self.service,
            self.operation,
            {OK: total - sum(self.others.values()), **self.others},
            # Told by the two others: a counter less for each call.
            self.begun - total,
            total,
            self.seconds,
            tuple(self.buckets),
        )


class MadeCalls:
    """How many calls one part made of an operation, wherever that is answered; an app has no name as caller."""

    __slots__ = ("caller", "calls", "operation", "service")

    def __init__(self, caller: str, service: str, operation: str) -> None:
        self.caller = caller
        self.service = service
        self.operation = operation
        self.calls = 0


class Measure(msgspec.Struct, frozen=True):
    """A figure that another part keeps and the registry reads on demand: the depth of an outbox, the states of sagas.

    `read` gives a value for each combination of label values; a counter's name ends in `_total`.
    """

    name: str
    help: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    read: Callable[[], Mapping[tuple[str, ...], float]]


class HistogramMeasure(msgspec.Struct, frozen=True):
    """Durations that another part counts: `read` gives for each combination of label values the buckets and the sum.

    The buckets are those of `BOUNDS`, each for itself.
    """

    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[], Mapping[tuple[str, ...], tuple[Sequence[int], float]]]


class Registry:
    """All figures of one process."""

    def __init__(self) -> None:
        self._operations: dict[tuple[str, str, str], OperationStats] = {}
        self._made: dict[tuple[str, str, str], MadeCalls] = {}
        self._measures: list[Measure] = []
        self._histograms: list[HistogramMeasure] = []

    def operation(self, side: Side, service: str, operation: str) -> OperationStats:
        """The figures of an operation, made when first asked for."""
        key = (side, service, operation)
        found = self._operations.get(key)
        if found is None:
            found = self._operations[key] = OperationStats(side, service, operation)
        return found

    def calls(self, caller: str, service: str, operation: str) -> MadeCalls:
        """The count of the calls that one part makes of another's operation, made when first asked for."""
        key = (caller, service, operation)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = MadeCalls(*key)
        return found

    def made(self) -> list[MadeCalls]:
        """The counts of calls by who makes them."""
        return list(self._made.values())

    def add(self, measure: Measure) -> None:
        """Publish a figure that another part keeps; several parts may give values under one name."""
        self._measures.append(measure)

    def add_histogram(self, measure: HistogramMeasure) -> None:
        """Publish durations that another part counts; there is one part for each name."""
        self._histograms.append(measure)

    def remove(self, measure: Measure) -> None:
        """Publish it no longer."""
        self._measures.remove(measure)

    def snapshots(self) -> list[Snapshot]:
        """The figures of every operation."""
        return [stats.snapshot() for stats in self._operations.values()]

    def measures(self) -> list[Measure]:
        """What other parts publish."""
        return list(self._measures)

    def histograms(self) -> list[HistogramMeasure]:
        """The durations that other parts publish."""
        return list(self._histograms)


def outcome_of(error: BaseException) -> str:
    """How an error is counted."""
    if isinstance(error, Fault):
        return f"fault:{type(error).__name__}"
    if isinstance(error, CallError):
        return error.code.value
    return Code.INTERNAL.value if isinstance(error, Exception) else Code.CANCELED.value
