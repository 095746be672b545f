"""Which exporter the environment asks for; nothing of OpenTelemetry is imported when it asks for none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.telemetry.otlp import OtlpSink

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def exporter(environment: Mapping[str, str], attributes: Mapping[str, str] | None = None) -> OtlpSink | None:
    """The sink for OTLP when an endpoint is set; raises ConfigurationError when its extra is not installed."""
    # OpenTelemetry's own switch, which is to hold for whatever exports by it.
    disabled = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if disabled or not any(environment.get(name) for name in ENDPOINTS):
        return None
    from meristem.telemetry.otlp import OtlpSink  # noqa: PLC0415 - 50 ms that only exporters pay

    return OtlpSink(attributes=attributes)
