"""The registry's figures as Prometheus and OpenMetrics text."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import CollectorRegistry

from meristem.telemetry.metrics import BOUNDS, HistogramMeasure, Measure, Registry, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from prometheus_client.core import Metric

LABELS: Final = ("service", "operation")
EDGES: Final = (*(str(bound) for bound in BOUNDS), "+Inf")


class Collector:
    """Reads a registry whenever Prometheus scrapes; nothing is kept in between."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """The metric families of every operation, then what other parts publish."""
        snapshots = self._registry.snapshots()
        for side in ("server", "client"):
            of_side = [each for each in snapshots if each.side == side]
            if of_side:
                yield from _families(side, of_side)
        families: dict[str, list[Measure]] = {}
        for measure in self._registry.measures():
            families.setdefault(measure.name, []).append(measure)
        for measures in families.values():
            yield _published(measures)
        yield from map(_durations, self._registry.histograms())


def _families(side: str, snapshots: list[Snapshot]) -> Iterator[Metric]:
    verb = "answered" if side == "server" else "made"
    total = CounterMetricFamily(f"meristem_{side}_requests", f"Calls {verb}, by outcome.", labels=(*LABELS, "code"))
    seconds = HistogramMetricFamily(
        f"meristem_{side}_request_duration_seconds", f"How long the calls {verb} took.", labels=LABELS
    )
    flight = GaugeMetricFamily(
        f"meristem_{side}_requests_in_flight", f"Calls being {verb} at the moment.", labels=LABELS
    )
    for each in snapshots:
        where = (each.service, each.operation)
        for outcome, count in each.outcomes.items():
            total.add_metric((*where, outcome), count)
        seconds.add_metric(where, _cumulative(each.buckets), each.seconds)
        flight.add_metric(where, each.in_flight)
    yield from (total, seconds, flight)


def _published(measures: list[Measure]) -> Metric:
    first = measures[0]
    kind = CounterMetricFamily if first.kind == "counter" else GaugeMetricFamily
    family = kind(first.name, first.help, labels=first.labels)
    for measure in measures:
        for labels, value in measure.read().items():
            family.add_metric(labels, value)
    return family


def _durations(measure: HistogramMeasure) -> Metric:
    family = HistogramMetricFamily(measure.name, measure.help, labels=measure.labels)
    for labels, (buckets, seconds) in measure.read().items():
        family.add_metric(labels, _cumulative(buckets), seconds)
    return family


def _cumulative(buckets: Iterable[int]) -> list[tuple[str, int]]:
    return list(zip(EDGES, accumulate(buckets), strict=True))


def exposition(registry: Registry, accept: str = "") -> tuple[bytes, str]:
    """The body and content type of `/metrics`: OpenMetrics where the Accept header asks for it, else Prometheus."""
    encode, content_type = choose_encoder(accept)
    # To describe itself the collector would gather all figures once more.
    collectors = CollectorRegistry(auto_describe=False)
    collectors.register(Collector(registry))
    return encode(collectors), content_type
