"""What became of requests on each route of the gateway in the last minute, from what each replica of the edge tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from meristem.operators.history_routes import RouteRow
from meristem.operators.recent_series import RecentReplicas, RecentSeries
from meristem.operators.route_views import RouteFigures
from meristem.telemetry.http_requests import FAILED
from meristem.telemetry.metrics import BOUNDS, quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.operators.inspection import ProcessDigest, RouteCounts

CLASSES: Final = 5  # of statuses: the first is that of a WebSocket that was opened


class RouteTotals(NamedTuple):
    """Counts at a time: requests, answers by the classes of their statuses, and durations."""

    time: float
    admitted: int = 0
    refused: int = 0
    classes: tuple[int, ...] = (0,) * CLASSES
    buckets: tuple[int, ...] = (0,) * (len(BOUNDS) + 1)

    def at(self, time: float) -> RouteTotals:
        return self._replace(time=time)

    def since(self, other: RouteTotals) -> RouteTotals:
        return RouteTotals(
            self.time - other.time,
            self.admitted - other.admitted,
            self.refused - other.refused,
            tuple(now - then for now, then in zip(self.classes, other.classes, strict=True)),
            tuple(now - then for now, then in zip(self.buckets, other.buckets, strict=True)),
        )


class EdgeReplica(NamedTuple):
    """What is known of one replica since it began, which was seen first at `began`."""

    life: str
    began: float
    series: dict[str, RecentSeries[RouteTotals]]


class RecentRoutes(RecentReplicas[EdgeReplica]):
    """Takes the digests of all processes, by process and replica; one that began anew begins at nothing."""

    def add(self, process: str, replica: int, digest: ProcessDigest, now: float, ended: float | None) -> list[RouteRow]:
        """Take in a digest, `now` by a steady clock; gives what the history is to keep where ten seconds `ended`."""
        known = self._replicas.get((process, replica))
        is_first = known is None
        if known is None or known.life != digest.life:
            known = self._replicas[process, replica] = EdgeReplica(digest.life, now, {})
        rows = []
        for each in digest.routes:
            taken = _taken(each, now)
            series = known.series.get(each.route)
            if series is None:  # of one that may have run for days, what it counted until now is not of this minute
                first = taken if is_first else RouteTotals(now)
                series = known.series[each.route] = RecentSeries(first, known.began, now)
            series.add(taken)
            if ended is not None:
                counted = taken.since(series.told)
                if counted.admitted or counted.refused or any(counted.buckets):
                    rows.append(RouteRow(ended, process, replica, each.route, *counted[1:]))
                series.told = taken
        return rows

    def of(self, route: str) -> RouteFigures:
        """How a route fared, over all replicas."""
        found = [each.series[route].recent() for each in self._replicas.values() if route in each.series]
        return route_figures(found, max((each.time for each in found), default=0.0))


def route_figures(found: Sequence[RouteTotals], seconds: float) -> RouteFigures:
    """Counts of the same seconds as figures."""
    if not found or seconds <= 0:
        return RouteFigures(seconds=max(seconds, 0.0))
    buckets = [sum(each) for each in zip(*(each.buckets for each in found), strict=True)]
    answered = sum(buckets)
    return RouteFigures(
        seconds=seconds,
        admitted=sum(each.admitted for each in found) / seconds,
        refused=sum(each.refused for each in found) / seconds,
        failed=sum(each.classes[-1] for each in found) / answered if answered else 0.0,
        p50=quantile(buckets, 0.5) if answered else None,
        p99=quantile(buckets, 0.99) if answered else None,
    )


def _taken(told: RouteCounts, now: float) -> RouteTotals:
    classes = [0] * CLASSES
    for status, count in told.statuses.items():
        classes[min(int(status), FAILED) // 100 - 1] += count
    return RouteTotals(now, told.admitted, told.refused, tuple(classes), tuple(told.buckets))
