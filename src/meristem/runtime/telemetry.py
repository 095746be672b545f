"""What a process tells of itself: figures, spans and logs of calls, statements, events and sagas."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from meristem.context import current
from meristem.events.facts import Buried, Delivered, DeliveryRetried, Published
from meristem.resilience.facts import BreakerChanged, Ejected, Hedged
from meristem.sagas.facts import SagaEnded, StepEnded
from meristem.telemetry.exporting import exporter
from meristem.telemetry.exposition import exposition
from meristem.telemetry.metrics import Measure, Registry
from meristem.telemetry.observing import Observed, observing_middleware
from meristem.telemetry.tracer import Recent, Tracer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.contracts.call import Middleware
    from meristem.contracts.operation import Operation
    from meristem.system.placement import Telemetry
    from meristem.telemetry.otlp import OtlpSink

logger = logging.getLogger(__name__)

COUNTED: Final = {
    "meristem_statements_total": ("Statements that the database answered.", ("service", "outcome")),
    "meristem_statement_seconds_total": ("Seconds waited for statements.", ("service",)),
    "meristem_events_published_total": ("Events committed to an outbox.", ("type",)),
    "meristem_events_delivered_total": ("Deliveries that a subscriber acknowledged.", ("type", "subscriber")),
    "meristem_events_retried_total": ("Deliveries that failed and are tried again.", ("type", "subscriber")),
    "meristem_events_buried_total": ("Events that became dead letters.", ("type", "subscriber")),
    "meristem_sagas_ended_total": ("Sagas that came to rest.", ("saga", "state")),
    "meristem_saga_steps_total": ("Steps of sagas that were journaled.", ("saga", "step", "outcome")),
    "meristem_retries_total": ("Calls that were tried again.", ("operation",)),
    "meristem_hedges_total": ("Calls sent to a second endpoint because the first one fell silent.", ("operation",)),
    "meristem_breaker_changes_total": ("Circuit breakers that changed their state.", ("endpoint", "state")),
    "meristem_shed_total": ("Calls turned away at a limit of concurrent calls.", ("name",)),
}


class ProcessTelemetry:
    """The telemetry of one process; the parts it watches tell it facts and do not know it."""

    def __init__(self, environment: Mapping[str, str], attributes: Mapping[str, str], wanted: Telemetry) -> None:
        self.registry = Registry()
        self.recent = Recent()
        self.tracer = Tracer(
            self.recent,
            per_second=wanted.traces_per_second,
            slow=wanted.slow,
            late_per_second=wanted.late_per_second,
        )
        self._environment = environment
        self._attributes = attributes
        self._exporter: OtlpSink | None = None
        self._counts: dict[str, Counter[tuple[str, ...]]] = {name: Counter() for name in COUNTED}
        for name, (text, labels) in COUNTED.items():
            self.registry.add(Measure(name, text, "counter", labels, self._reader(name)))

    async def start(self) -> None:
        """Export spans where the environment says so (`OTEL_EXPORTER_OTLP_ENDPOINT`)."""
        self._exporter = exporter(self._environment, self._attributes)
        if self._exporter is not None:
            self.tracer.sinks.append(self._exporter)

    async def drain(self) -> None:
        """What was recorded is sent by `stop`."""

    async def stop(self) -> None:
        if self._exporter is not None:
            self.tracer.sinks.remove(self._exporter)
            self._exporter.stop()
            self._exporter = None

    def serving(self, service: str, operation: Operation) -> Observed:
        """What counts and traces an operation where it is answered."""
        return Observed(self.registry.operation("server", service, operation.label), self.tracer, operation)

    def calling(self, caller: str | None, operation: Operation) -> Middleware:
        """Count and trace an operation where it is called by wire."""
        stats = self.registry.operation("client", caller or "edge", operation.label)
        return observing_middleware(stats, self.tracer, operation, "connectrpc")

    def figures(self, accept: str) -> tuple[str, bytes]:
        """Media type and text of `/metrics`."""
        body, media = exposition(self.registry, accept)
        return media, body

    def statement(self, service: str, text: str, seconds: float, result: int | BaseException) -> None:
        """A statement of a service's database."""
        failed = isinstance(result, BaseException)
        self._count("meristem_statements_total", service, "error" if failed else "ok")
        self._counts["meristem_statement_seconds_total"][service,] += seconds  # type: ignore[assignment] # a float count
        trace = current().trace
        if trace is None or not trace.sampled:
            return
        verb = text.split(maxsplit=1)[0].upper() if text else "?"
        attributes = {"db.system.name": "sqlite", "db.query.text": text, "db.operation.name": verb}
        self.tracer.fact(verb, "client", service, seconds, attributes, type(result).__name__ if failed else None)

    def event(self, fact: Any) -> None:
        """What the event machinery did."""
        if isinstance(fact, Published):
            self._count("meristem_events_published_total", fact.type)
        elif isinstance(fact, Delivered):
            self._count("meristem_events_delivered_total", fact.type, fact.subscriber)
        elif isinstance(fact, DeliveryRetried):
            self._count("meristem_events_retried_total", fact.type, fact.subscriber)
        elif isinstance(fact, Buried):
            self._count("meristem_events_buried_total", fact.type, fact.subscriber)

    def saga(self, service: str) -> Any:
        """A listener for what the sagas of a service did."""

        def heard(fact: Any) -> None:
            if isinstance(fact, StepEnded):
                self._count("meristem_saga_steps_total", fact.saga, fact.name, "error" if fact.error else "ok")
                attributes = {"meristem.saga": fact.saga, "meristem.saga.id": fact.id, "meristem.step": fact.position}
                self.tracer.fact(f"{fact.saga}: {fact.name}", "internal", service, fact.seconds, attributes, fact.error)
            elif isinstance(fact, SagaEnded):
                self._count("meristem_sagas_ended_total", fact.name, fact.state)

        return heard

    def resilience(self, fact: Any) -> None:
        """What the policies of resilience did."""
        if isinstance(fact, BreakerChanged):
            logger.warning("circuit breaker of %s: %s → %s, %s", fact.name, fact.before, fact.after, fact.reason)
            self._count("meristem_breaker_changes_total", fact.name, fact.after)
        elif isinstance(fact, Ejected):
            logger.warning("%s: %s gets no calls for %.1f s", fact.dependency, fact.address, fact.seconds)
        elif isinstance(fact, Hedged):
            self._count("meristem_hedges_total", fact.operation)
        elif hasattr(fact, "attempt"):
            self._count("meristem_retries_total", fact.operation)
        elif hasattr(fact, "limit"):
            self._count("meristem_shed_total", fact.name)

    def _count(self, name: str, *labels: str) -> None:
        self._counts[name][labels] += 1

    def _reader(self, name: str) -> Any:
        return lambda: dict(self._counts[name])
