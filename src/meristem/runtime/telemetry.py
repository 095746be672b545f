"""What a process tells of itself: figures, spans and logs of calls, statements, events and sagas."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from meristem.baggage import spanned
from meristem.context import CURRENT, EMPTY
from meristem.events.facts import Handled
from meristem.redaction import redact
from meristem.runtime.event_tap import EventTap
from meristem.runtime.reporting import FactReports
from meristem.sagas.facts import StepEnded
from meristem.telemetry.exporting import exporter
from meristem.telemetry.http_requests import HttpRequests, log_request
from meristem.telemetry.metrics import Measure, Registry
from meristem.telemetry.observing import USER, Observed, observing_middleware
from meristem.telemetry.tracer import Recent, Tracer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.contracts.call import Middleware
    from meristem.contracts.operation import Operation
    from meristem.events.facts import Fact as EventFact
    from meristem.events.facts import Observer as OnEventFact
    from meristem.sagas.facts import Fact as SagaFact
    from meristem.sagas.facts import Observer as OnSagaFact
    from meristem.storage.replication import ReadReplicas
    from meristem.system.placement_tables import Telemetry
    from meristem.telemetry.otlp import OtlpSink
    from meristem.telemetry.tracer import Value
    from meristem.transports.http.server.told_connection import AnsweredRequest

PROBED: Final = ("/health", 200)
STATEMENTS: Final = "meristem_statements_total"
STATEMENT_SECONDS: Final = "meristem_statement_seconds_total"
_HANDLING: Final[dict[str, Value]] = {"messaging.system": "meristem", "messaging.operation.type": "process"}


class ProcessTelemetry:
    """The telemetry of one process; the parts it watches emit facts and do not know it."""

    def __init__(self, environment: Mapping[str, str], attributes: Mapping[str, str], wanted: Telemetry) -> None:
        self.registry = Registry()
        self.recent = Recent()
        self.tracer = Tracer(
            self.recent,
            per_second=wanted.traces_per_second,
            slow=wanted.slow,
            late_per_second=wanted.late_per_second,
        )
        self._logged = wanted.access_log
        self._environment = environment
        self._attributes = attributes
        self._exporter: OtlpSink | None = None
        self._statements: Counter[tuple[str, ...]] = Counter()
        self._seconds: dict[tuple[str, ...], float] = {}
        for name, text, labels, counts in (
            (STATEMENTS, "Statements that the database answered.", ("service", "outcome"), self._statements),
            (STATEMENT_SECONDS, "Seconds waited for statements.", ("service",), self._seconds),
        ):
            self.registry.add(Measure(name, text, "counter", labels, counts.copy))
        self._replicas: dict[str, ReadReplicas] = {}
        self.registry.add(
            Measure("meristem_replica_up", "Whether a replica is read from.", "gauge", ("service", "server"), self._up)
        )
        self.on_fact = FactReports(self.registry).report
        self.tap = EventTap()

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

    def requests(self, app: str) -> HttpRequests:
        """What tells of the requests to a hosted app, and counts them."""
        stats = self.registry.operation("app", app, "requests")
        return HttpRequests(app, self.tracer, logged=self._logged, stats=stats)

    def on_answer(self, answered: AnsweredRequest) -> None:
        """Write what was answered at a public address into the access log, under the trace and user of its call.

        Probes that went well are left out: they come every few seconds, without end.
        """
        method, path, client, status, seconds, context, route, refused = answered
        if (path, status) != PROBED:
            policy = {name: text for name, text in (("route", route), ("refused", refused)) if text}
            log_request(method, path, client, status, seconds, context or EMPTY, policy=policy)

    def forwarded(self, process: str) -> HttpRequests:
        """What tells of the requests that an edge hands on to processes, which log them."""
        return HttpRequests(process, self.tracer, logged=False)

    def calling(self, caller: str | None, operation: Operation, system: str) -> Middleware:
        """Count and trace an operation where it is called by wire; `system` is OpenTelemetry's name of that.

        The `caller` is a service or a hosted app; nobody's calls come from outside, by the edge.
        """
        stats = self.registry.operation("client", caller or "edge", operation.label)
        return observing_middleware(stats, self.tracer, operation, system)

    def figures(self, accept: str) -> tuple[str, bytes]:
        """Media type and text of `/metrics`."""
        from meristem.telemetry.exposition import exposition  # noqa: PLC0415 - 3 MB, for a process that is scraped

        body, media = exposition(self.registry, accept)
        return media, body

    def statement(
        self,
        system: str,
        primary: str,
        service: str,
        text: str,
        seconds: float,
        result: int | BaseException,
        replica: str = "",
    ) -> None:
        """A statement of a service's database; `system` is its kind, by OpenTelemetry's name.

        It was answered by the `primary`, unless by a `replica`.
        """
        failed = isinstance(result, BaseException)
        self._statements[service, "error" if failed else "ok"] += 1
        self._seconds[service,] = self._seconds.get((service,), 0.0) + seconds
        trace = CURRENT.get().trace
        # A span only within a trace that is recorded; the counters above have every statement.
        if trace is None or not trace.sampled:
            return
        verb, attributes = _described(system, text, replica or primary)
        self.tracer.fact(verb, "client", service, seconds, attributes, type(result).__name__ if failed else None)

    def watch_replicas(self, service: str, replicas: ReadReplicas) -> None:
        """Tell of the replicas of a service's database: which answer, and which are away."""
        replicas.observers.append(self.on_fact)
        self._replicas[service] = replicas

    def _up(self) -> dict[tuple[str, ...], float]:
        return {
            (service, server): float(problem is None)
            for service, replicas in self._replicas.items()
            for server, problem in replicas.states().items()
        }

    def on_handled(self, service: str) -> OnEventFact:
        """Takes what the inbox of a service tells; each attempt at an event is a span, with what it did below it."""

        def on_fact(fact: EventFact) -> None:
            self.on_fact(fact)
            context = CURRENT.get()
            trace = context.trace
            if not isinstance(fact, Handled) or trace is None or not trace.sampled:
                return
            attributes = _HANDLING | {"messaging.destination.name": fact.type} | spanned(context.baggage)
            if context.user is not None:
                attributes[USER] = context.user.subject
            error = None if fact.error is None else redact(fact.error)
            name = f"process {fact.type}"
            self.tracer.finish(name, "consumer", service, trace.ids(), fact.parent_id, fact.seconds, attributes, error)

        return on_fact

    def on_saga_fact(self, service: str) -> OnSagaFact:
        """Takes the facts of the sagas of a service; their steps are spans besides."""

        def on_fact(fact: SagaFact) -> None:
            self.on_fact(fact)
            if isinstance(fact, StepEnded):
                attributes = {"meristem.saga": fact.saga, "meristem.saga.id": fact.id, "meristem.step": fact.position}
                self.tracer.fact(f"{fact.saga}: {fact.name}", "internal", service, fact.seconds, attributes, fact.error)

        return on_fact


@lru_cache(1000)
def _described(system: str, text: str, server: str) -> tuple[str, Mapping[str, Value]]:
    """The verb of a statement, and what its spans tell of it: the same of each run at a server."""
    verb = text.split(maxsplit=1)[0].upper() if text else "?"
    told: dict[str, Value] = {"db.system.name": system, "db.query.text": text, "db.operation.name": verb}
    if server:
        host, _, port = server.rpartition(":")
        if "," in server or not port.isdecimal():  # several hosts, or the usual port
            told["server.address"] = server
        else:
            told |= {"server.address": host, "server.port": int(port)}
    return verb, told
