"""How each kind of fact is reported: what counts it, and what the log says of it."""

from __future__ import annotations

import logging
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from meristem.events.facts import Away, DeadLettered, Delivered, DeliveryRetried, Handled, Published
from meristem.resilience.facts import BreakerChanged, CallRetried, Ejected, Hedged, RetryRefused, Shed
from meristem.sagas.facts import SagaBegan, SagaEnded, SagaLost, StepEnded
from meristem.services.facts import RunSkipped
from meristem.storage.facts import PrimaryRead, ReplicaAway, ReplicaBack, ReplicaRead
from meristem.telemetry.metrics import Measure
from meristem.telemetry.sampling import Allowance

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.telemetry.metrics import Registry

logger = logging.getLogger(__name__)

QUIET: Final = 10.0  # seconds between two lines of one kind about one thing, where facts come by the thousand


class Line(NamedTuple):
    """A warning about a fact, with the fact's fields in braces.

    Where `about` names a field, one line at most is written in ten seconds for each of its values.
    """

    text: str
    about: str | None = None


class Report(NamedTuple):
    """The counter of one kind of fact, its labels with the values that a fact gives them, and its line in the log."""

    metric: str
    help: str
    labels: tuple[str, ...]
    values: Callable[[Any], tuple[str, ...]]
    line: Line | None = None


# what has no line is either the ordinary course, or logged with its traceback where it happens
REPORTS: Final[dict[type[msgspec.Struct], Report]] = {
    Published: Report(
        "meristem_events_published_total",
        "Events committed to an outbox.",
        ("type",),
        lambda fact: (fact.type,),
    ),
    Delivered: Report(
        "meristem_events_delivered_total",
        "Deliveries that a subscriber acknowledged.",
        ("type", "subscriber"),
        lambda fact: (fact.type, fact.subscriber),
    ),
    Handled: Report(
        "meristem_events_handled_total",
        "Attempts of a subscriber to handle an event.",
        ("type", "subscriber", "outcome"),
        lambda fact: (fact.type, fact.subscriber, "error" if fact.error else "ok"),
    ),
    DeliveryRetried: Report(
        "meristem_events_retried_total",
        "Deliveries that failed and are tried again.",
        ("type", "subscriber"),
        lambda fact: (fact.type, fact.subscriber),
    ),
    DeadLettered: Report(
        "meristem_events_dead_lettered_total",
        "Events that became dead letters.",
        ("type", "subscriber"),
        lambda fact: (fact.type, fact.subscriber),
    ),
    Away: Report(
        "meristem_subscribers_away_total",
        "Times that a subscriber could not be reached and its events had to wait.",
        ("subscriber",),
        lambda fact: (fact.subscriber,),
        Line("{subscriber} cannot be reached, its events wait {delay:.1f} s: {reason}", about="subscriber"),
    ),
    SagaBegan: Report(
        "meristem_sagas_begun_total",
        "Sagas that were accepted, or taken up again.",
        ("saga", "resumed"),
        lambda fact: (fact.name, "true" if fact.resumed else "false"),
    ),
    StepEnded: Report(
        "meristem_saga_steps_total",
        "Steps of sagas that were journaled.",
        ("saga", "step", "outcome"),
        lambda fact: (fact.saga, fact.name, "error" if fact.error else "ok"),
    ),
    SagaEnded: Report(
        "meristem_sagas_ended_total",
        "Sagas that came to rest.",
        ("saga", "state"),
        lambda fact: (fact.name, fact.state),
    ),
    SagaLost: Report(
        "meristem_sagas_lost_total",
        "Sagas that another replica took over while this one worked on them.",
        ("saga",),
        lambda fact: (fact.name,),
    ),
    RunSkipped: Report(
        "meristem_scheduled_runs_skipped_total",
        "Runs of a scheduled method that were left out, because it ended its process each time.",
        ("service", "method"),
        lambda fact: (fact.service, fact.method),
    ),
    CallRetried: Report(
        "meristem_retries_total",
        "Calls that were tried again.",
        ("operation",),
        lambda fact: (fact.operation,),
    ),
    RetryRefused: Report(
        "meristem_retries_refused_total",
        "Calls that were not tried again, because the retry budget of their dependency was used up.",
        ("operation", "dependency"),
        lambda fact: (fact.operation, fact.dependency),
        Line("the retry budget of {dependency} is used up: {operation} is not tried again", about="dependency"),
    ),
    Hedged: Report(
        "meristem_hedges_total",
        "Calls sent to a second endpoint because the first one fell silent.",
        ("operation",),
        lambda fact: (fact.operation,),
    ),
    BreakerChanged: Report(
        "meristem_breaker_changes_total",
        "Circuit breakers that changed their state.",
        ("endpoint", "state"),
        lambda fact: (fact.name, fact.after),
        Line("circuit breaker of {name}: {before} → {after}, {reason}"),
    ),
    Ejected: Report(
        "meristem_ejections_total",
        "Times that an endpoint got no calls for a while because it did worse than the others.",
        ("dependency", "endpoint"),
        lambda fact: (fact.dependency, fact.address),
        Line("{dependency}: {address} gets no calls for {seconds:.1f} s"),
    ),
    ReplicaRead: Report(
        "meristem_replica_reads_total",
        "Reads that a replica of a service's database answered.",
        ("service", "server"),
        lambda fact: (fact.service, fact.server),
    ),
    PrimaryRead: Report(
        "meristem_replica_fallbacks_total",
        "Reads that might have gone to a replica and went to the primary, by the reason.",
        ("service", "reason"),
        lambda fact: (fact.service, fact.reason.value),
    ),
    ReplicaAway: Report(
        "meristem_replicas_away_total",
        "Times that a replica got no reads any more because something was wrong with it.",
        ("service", "server"),
        lambda fact: (fact.service, fact.server),
        Line("{service} reads no more from the replica {server}: {problem}", about="server"),
    ),
    ReplicaBack: Report(
        "meristem_replicas_back_total",
        "Times that a replica was found sound, at first or again.",
        ("service", "server"),
        lambda fact: (fact.service, fact.server),
    ),
    Shed: Report(
        "meristem_shed_total",
        "Calls turned away at a limit of concurrent calls.",
        ("name",),
        lambda fact: (fact.name,),
        Line("{name} turns calls away: {limit} at once are its limit", about="name"),
    ),
}


class Seldom:
    """Lets one line in `QUIET` seconds through for each key, and says how many it held back before."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._allowed: dict[tuple[type, str], Allowance] = {}
        self._held: Counter[tuple[type, str]] = Counter()

    def take(self, kind: type, about: str) -> int | None:
        """How many lines were held back since the last one; None holds this one back, too."""
        key, now = (kind, about), self._clock()
        allowance = self._allowed.get(key)
        if allowance is None:
            allowance = self._allowed[key] = Allowance(1 / QUIET, now)
        if not allowance.take(now):
            # Counted rather than dropped: the next line says how many it stands for.
            self._held[key] += 1
            return None
        return self._held.pop(key, 0)


class FactReports:
    """Counts and logs facts as `REPORTS` says; metrics are published in `registry`."""

    def __init__(self, registry: Registry, clock: Callable[[], float] = monotonic) -> None:
        self._counts: dict[type, Counter[tuple[str, ...]]] = {kind: Counter() for kind in REPORTS}
        self._seldom = Seldom(clock)
        for kind, report in REPORTS.items():
            registry.add(Measure(report.metric, report.help, "counter", report.labels, self._counts[kind].copy))

    def report(self, fact: msgspec.Struct) -> None:
        """Take a fact of any room."""
        kind = type(fact)
        report = REPORTS[kind]
        self._counts[kind][report.values(fact)] += 1
        if report.line is not None:
            self._log(fact, report.line)

    def _log(self, fact: msgspec.Struct, line: Line) -> None:
        held = 0 if line.about is None else self._seldom.take(type(fact), getattr(fact, line.about))
        if held is None:
            return
        text = line.text.format(**msgspec.structs.asdict(fact))
        logger.warning(
            "%s (%d more times since the last such line)" if held else "%s", *((text, held) if held else (text,))
        )
