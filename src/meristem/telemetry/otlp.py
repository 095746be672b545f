"""Exports spans by OTLP over HTTP, to any collector that speaks OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError

try:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
except ImportError as error:  # an extra
    raise ConfigurationError(
        "OTEL_EXPORTER_OTLP_ENDPOINT is set, but the exporter is not installed: pip install 'meristem[otlp]'"
    ) from error
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace.export import SpanExporter

    from meristem.telemetry.tracer import Kind, Span

KINDS: Final[dict[Kind, SpanKind]] = {
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "internal": SpanKind.INTERNAL,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
SCOPE: Final = InstrumentationScope("meristem")


class OtlpSink:
    """Batches finished spans and sends them from a thread of its own; each service is a resource of that name.

    The exporter reads the standard `OTEL_EXPORTER_OTLP_…` variables; `attributes` are added to every resource.
    """

    def __init__(self, exporter: SpanExporter | None = None, attributes: Mapping[str, str] | None = None) -> None:
        self._processor = BatchSpanProcessor(exporter or OTLPSpanExporter())
        self._attributes = dict(attributes or {})
        self._resources: dict[str, Resource] = {}

    def __call__(self, span: Span) -> None:
        self._processor.on_end(self._readable(span))

    def stop(self) -> None:
        """Send what is left and end the thread."""
        self._processor.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: Span) -> ReadableSpan:
        trace_id = int(span.trace_id, 16)
        state = TraceState.from_header([span.state]) if span.state else None
        # Also of a call that was recorded after the fact: the SDK's processor passes over spans without the flag.
        sampled = TraceFlags(TraceFlags.SAMPLED)
        parent = None
        if span.parent_id is not None:
            parent = SpanContext(trace_id, int(span.parent_id, 16), span.kind in ("server", "consumer"), sampled)
        return ReadableSpan(
            span.name,
            SpanContext(trace_id, int(span.span_id, 16), is_remote=False, trace_flags=sampled, trace_state=state),
            parent,
            self._resource(span.service),
            span.attributes,
            kind=KINDS[span.kind],
            status=Status(StatusCode.ERROR, span.error) if span.error is not None else Status(StatusCode.UNSET),
            start_time=span.start,
            end_time=span.start + int(span.duration * 1e9),
            instrumentation_scope=SCOPE,
        )

    def _resource(self, service: str) -> Resource:
        found = self._resources.get(service)
        if found is None:
            own = {**self._attributes, SERVICE_NAME: service} if service else self._attributes
            found = self._resources[service] = Resource.create(own)
        return found
