"""How operations fared in the last minute, over all replicas, from the counts that each of them tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meristem.operators.history_tables import FigureRow
from meristem.operators.operator_contract import Figures, OperationView
from meristem.operators.recent_series import RecentReplicas, RecentSeries
from meristem.telemetry.metrics import quantile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meristem.operators.inspection import ProcessDigest


class Counts(NamedTuple):
    """What is counted of an operation: a kind of `Totals`."""

    time: float
    calls: int = 0
    failed: int = 0
    buckets: tuple[int, ...] = ()

    def at(self, time: float) -> Counts:
        return self._replace(time=time)

    def since(self, other: Counts) -> Counts:
        before = other.buckets or (0,) * len(self.buckets)
        buckets = tuple(now - then for now, then in zip(self.buckets, before, strict=True))
        return Counts(self.time - other.time, self.calls - other.calls, self.failed - other.failed, buckets)


class OperationSeries(RecentSeries[Counts]):
    """The counts of one operation in one process, and how many of its calls are `in_flight`."""

    in_flight = 0


class ReplicaCounts(NamedTuple):
    """What is known of one replica of a process since it began, which was seen first at `began`."""

    life: str
    began: float
    series: dict[tuple[str, str, str], OperationSeries]
    made: dict[tuple[str, str, str], int]


class RecentFigures(RecentReplicas[ReplicaCounts]):
    """Takes the digests of all processes, by process and replica; a replica that began anew begins at nothing."""

    def add(
        self, process: str, replica: int, digest: ProcessDigest, now: float, ended: float | None
    ) -> list[FigureRow]:
        """Take in a digest, `now` by a steady clock; gives what the history is to keep where ten seconds `ended`."""
        known = self._replicas.get((process, replica))
        is_first = known is None
        if known is None or known.life != digest.life:
            known = self._replicas[process, replica] = ReplicaCounts(digest.life, now, {}, {})
        rows = []
        for each in digest.operations:
            key = (each.side, each.service, each.operation)
            counts = Counts(now, each.calls, each.failed, tuple(each.buckets))
            series = known.series.get(key)
            if series is None:
                # One that is first met may have run for days: what it counted until now is not of this minute.
                series = known.series[key] = OperationSeries(counts if is_first else Counts(now), known.began, now)
            series.add(counts)
            series.in_flight = each.in_flight
            if each.side == "server" and ended is not None:
                if row := _row(process, replica, each.service, each.operation, series, ended):
                    rows.append(row)
                series.told = counts
        known.made.update({(each.caller, each.service, each.operation): each.calls for each in digest.made})
        return rows

    def operations(self) -> list[OperationView]:
        """Every operation that is answered, over all replicas."""
        answered: dict[tuple[str, str], list[OperationSeries]] = {}
        for (side, service, operation), each in self._series():
            if side == "server":
                answered.setdefault((service, operation), []).append(each)
        return [
            OperationView(
                service=service,
                operation=operation,
                calls=sum(each.now.calls for each in series),
                figures=figures(series),
            )
            for (service, operation), series in sorted(answered.items())
        ]

    def of_service(self, service: str) -> Figures:
        """How a service fares."""
        return figures([each for key, each in self._series() if key[:2] == ("server", service)])

    def of_app(self, app: str) -> Figures:
        """How the requests to an app or program fare."""
        return figures([each for key, each in self._series() if key[:2] == ("app", app)])

    def requests(self, app: str) -> int:
        """How many requests an app or program has answered."""
        return sum(each.now.calls for key, each in self._series() if key[:2] == ("app", app))

    def of_calls(self, caller: str, service: str) -> Figures | None:
        """How the calls of one part to another fare; None where they are counted as the callee's alone."""
        labels = {key[2] for each in self._replicas.values() for key in each.made if key[:2] == (caller, service)}
        found = [each for key, each in self._series() if key[:2] == ("client", caller) and key[2] in labels]
        return figures(found) if found else None

    def made(self) -> dict[tuple[str, str], int]:
        """How many calls each part made of each other one, by caller and callee."""
        found: dict[tuple[str, str], int] = {}
        for replica in self._replicas.values():
            for (caller, service, _), calls in replica.made.items():
                found[caller, service] = found.get((caller, service), 0) + calls
        return found

    def answered(self) -> dict[str, int]:
        """How many calls each service answered."""
        found: dict[str, int] = {}
        for (side, service, _), each in self._series():
            if side == "server":
                found[service] = found.get(service, 0) + each.now.calls
        return found

    def _series(self) -> Iterator[tuple[tuple[str, str, str], OperationSeries]]:
        for replica in self._replicas.values():
            yield from replica.series.items()


def figures(series: Sequence[OperationSeries]) -> Figures:
    """Several series as one."""
    found = [each.recent() for each in series]
    in_flight = sum(each.in_flight for each in series)
    return figures_of(found, in_flight)


def figures_of(found: Sequence[Counts], in_flight: int) -> Figures:
    """Counts of the same seconds as figures; `time` of each is how many seconds it counted."""
    seconds = max((each.time for each in found), default=0.0)
    calls = sum(each.calls for each in found)
    if not calls or seconds <= 0:
        return Figures(seconds=max(seconds, 0.0), in_flight=in_flight)
    buckets = [sum(each) for each in zip(*(each.buckets for each in found if each.buckets), strict=True)]
    return Figures(
        seconds=seconds,
        rate=calls / seconds,
        failed=sum(each.failed for each in found) / calls,
        p50=quantile(buckets, 0.5),
        p99=quantile(buckets, 0.99),
        in_flight=in_flight,
    )


def _row(
    process: str, replica: int, service: str, operation: str, series: OperationSeries, ended: float
) -> FigureRow | None:
    counted = series.now.since(series.told)
    if not counted.calls and not series.in_flight:
        return None
    return FigureRow(
        ended, counted.time, process, replica, service, operation, counted.calls, counted.failed,
        series.in_flight, list(counted.buckets),
    )  # fmt: skip
