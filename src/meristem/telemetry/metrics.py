"""Counts and durations of operations in a few plain arrays: cheap to record, read when somebody looks."""

from __future__ import annotations

from bisect import bisect_left
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import msgspec

from meristem.errors import CallError, Code, Fault
from meristem.telemetry.streams import EndingStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from meristem.contracts.call import Call, Handler, Middleware

Side: TypeAlias = Literal["server", "client"]

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
    for index, count in enumerate(counts[:-1]):
        if count and below + count >= rank:
            low = BOUNDS[index - 1] if index else 0.0
            return low + (BOUNDS[index] - low) * (rank - below) / count
        below += count
    return BOUNDS[-1] if counts[-1:] > [0] else 0.0


class OperationStats:
    """The figures of one operation on one side of the call."""

    __slots__ = ("buckets", "in_flight", "operation", "outcomes", "seconds", "service", "side")

    def __init__(self, side: Side, service: str, operation: str) -> None:
        self.side = side
        self.service = service
        self.operation = operation
        self.in_flight = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.outcomes: dict[str, int] = {OK: 0}

    def record(self, seconds: float, outcome: str = OK) -> None:
        """Count one call that took `seconds` and ended with `outcome`: "ok", a code, or "fault:CardDeclined"."""
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds
        try:
            self.outcomes[outcome] += 1
        except KeyError:
            self.outcomes[outcome] = 1

    def snapshot(self) -> Snapshot:
        """The figures of now."""
        return Snapshot(
            self.side,
            self.service,
            self.operation,
            dict(self.outcomes),
            self.in_flight,
            sum(self.buckets),
            self.seconds,
            tuple(self.buckets),
        )


class Measure(msgspec.Struct, frozen=True):
    """A figure that another part keeps and the registry reads on demand: the depth of an outbox, the states of sagas.

    `read` gives a value for each combination of label values; a counter's name ends in `_total`.
    """

    name: str
    help: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    read: Callable[[], dict[tuple[str, ...], float]]


class Registry:
    """All figures of one process."""

    def __init__(self) -> None:
        self._operations: dict[tuple[str, str, str], OperationStats] = {}
        self._measures: list[Measure] = []

    def operation(self, side: Side, service: str, operation: str) -> OperationStats:
        """The figures of an operation, made when first asked for."""
        key = (side, service, operation)
        found = self._operations.get(key)
        if found is None:
            found = self._operations[key] = OperationStats(side, service, operation)
        return found

    def add(self, measure: Measure) -> None:
        """Publish a figure that somebody else keeps; several parts may give values under one name."""
        self._measures.append(measure)

    def remove(self, measure: Measure) -> None:
        """Publish it no longer."""
        self._measures.remove(measure)

    def snapshots(self) -> list[Snapshot]:
        """The figures of every operation."""
        return [stats.snapshot() for stats in self._operations.values()]

    def measures(self) -> list[Measure]:
        """What other parts publish."""
        return list(self._measures)


def outcome_of(error: BaseException) -> str:
    """How an error is counted."""
    if isinstance(error, Fault):
        return f"fault:{type(error).__name__}"
    if isinstance(error, CallError):
        return error.code.value
    return Code.INTERNAL.value if isinstance(error, Exception) else Code.CANCELED.value


def metrics_middleware(stats: OperationStats, *, stream: bool = False) -> Middleware:
    """Record each call in `stats`; a stream counts as one call that lasts until its last item."""
    return lambda handler: _recorded_stream(handler, stats) if stream else _recorded(handler, stats)


def _recorded(handler: Handler, stats: OperationStats) -> Handler:
    buckets, outcomes = stats.buckets, stats.outcomes

    async def recorded(call: Call) -> Any:
        stats.in_flight += 1
        started = perf_counter()
        try:
            reply = await handler(call)
        except BaseException as error:
            stats.in_flight -= 1
            stats.record(perf_counter() - started, outcome_of(error))
            raise
        seconds = perf_counter() - started
        stats.in_flight -= 1
        buckets[bisect_left(BOUNDS, seconds)] += 1  # what `record` does, without the cost of a call
        stats.seconds += seconds
        outcomes[OK] += 1
        return reply

    return recorded


def _recorded_stream(handler: Handler, stats: OperationStats) -> Handler:
    async def recorded(call: Call) -> Any:
        stats.in_flight += 1
        started = perf_counter()

        def ended(error: BaseException | None) -> None:
            stats.in_flight -= 1
            stats.record(perf_counter() - started, OK if error is None else outcome_of(error))

        try:
            return EndingStream(await handler(call), ended)
        except BaseException as error:
            ended(error)
            raise

    return recorded
