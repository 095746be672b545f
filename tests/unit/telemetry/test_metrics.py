"""Figures of operations: what is counted, when, and how it is shown to Prometheus."""

import asyncio
import math
import random
from time import monotonic

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_prometheus

from meristem.context import Context
from meristem.contracts.call import Call, Handler
from meristem.errors import CallError, Code, Fault
from meristem.telemetry.exposition import exposition
from meristem.telemetry.metrics import BOUNDS, Measure, OperationStats, Registry
from meristem.telemetry.observing import observing_middleware
from meristem.telemetry.tracer import Tracer
from tests.suites.operations import an_operation


class CardDeclined(Fault):
    reason: str


def a_call() -> Call:
    return Call(an_operation(), None, Context())


def stats() -> OperationStats:
    return OperationStats("server", "payments", "Bank.ping")


def counted(figures: OperationStats, handler: Handler, *, stream: bool = False) -> Handler:
    return observing_middleware(figures, Tracer(), an_operation(stream=stream))(handler)


async def test_an_answered_call_is_counted_once_with_its_duration():
    figures, began = stats(), monotonic()

    async def handler(_: Call) -> str:
        assert figures.snapshot().in_flight == 1
        await asyncio.sleep(0.005)
        return "pong"

    assert await counted(figures, handler)(a_call()) == "pong"
    seen = figures.snapshot()
    assert (seen.outcomes, seen.total, seen.in_flight, seen.failed) == ({"ok": 1}, 1, 0, 0)
    assert 0.002 <= seen.seconds <= monotonic() - began
    assert sum(seen.buckets[: BOUNDS.index(0.001) + 1]) == 0


@pytest.mark.parametrize(
    ("error", "outcome", "failed"),
    [
        (CallError(Code.UNAVAILABLE, "down"), "unavailable", 1),
        (CardDeclined(reason="empty"), "fault:CardDeclined", 0),
        (ValueError("bug"), "internal", 1),
        (asyncio.CancelledError(), "canceled", 1),
    ],
)
async def test_each_kind_of_failure_is_counted_as_what_it_is(error, outcome, failed):
    figures = stats()

    async def handler(_: Call) -> None:
        raise error

    with pytest.raises(type(error)):
        await counted(figures, handler)(a_call())
    seen = figures.snapshot()
    assert seen.outcomes == {"ok": 0, outcome: 1}
    assert (seen.in_flight, seen.failed) == (0, failed)


async def test_a_stream_is_in_flight_until_its_last_item():
    figures = stats()

    async def handler(_: Call):
        async def items():
            yield 1
            yield 2

        return items()

    stream = await counted(figures, handler, stream=True)(a_call())
    assert await anext(stream) == 1
    assert (figures.snapshot().in_flight, figures.snapshot().total) == (1, 0)
    assert [item async for item in stream] == [2]
    assert (figures.snapshot().in_flight, figures.snapshot().outcomes) == (0, {"ok": 1})


async def test_a_stream_that_fails_or_is_left_is_counted_once():
    figures = stats()

    async def handler(_: Call):
        async def items():
            yield 1
            raise CallError(Code.ABORTED, "broken")

        return items()

    wrapped = counted(figures, handler, stream=True)
    left = await wrapped(a_call())
    await anext(left)
    await left.aclose()
    await left.aclose()
    with pytest.raises(CallError):
        [item async for item in await wrapped(a_call())]
    assert figures.snapshot().outcomes == {"ok": 1, "aborted": 1}
    assert figures.snapshot().in_flight == 0


def test_quantiles_are_near_the_true_ones():
    """Within the resolution of the buckets: a factor of two and a half."""
    rng = random.Random(5)
    durations = sorted(rng.lognormvariate(math.log(0.02), 1) for _ in range(20_000))
    figures = stats()
    for seconds in durations:
        figures.record(seconds)
    for fraction in (0.5, 0.95, 0.99):
        true = durations[int(fraction * len(durations))]
        assert true / 1.3 < figures.snapshot().quantile(fraction) < true * 1.3


def test_quantiles_of_nothing_and_of_the_slowest():
    figures = stats()
    assert figures.snapshot().quantile(0.99) == 0.0
    figures.record(1000.0)
    assert figures.snapshot().quantile(0.5) == BOUNDS[-1]


def a_registry() -> Registry:
    registry = Registry()
    figures = registry.operation("server", "payments", "Bank.ping")
    figures.record(0.003)
    figures.record(0.3, "unavailable")
    figures.begun = 4
    registry.operation("client", "payments", "Bank.ping").record(0.003)
    for service, depth in (("payments", 3.0), ("rooms", 4.0)):
        values = {(service,): depth}
        registry.add(Measure("meristem_outbox_events", "Events to deliver.", "gauge", ("service",), lambda v=values: v))
    registry.add(Measure("meristem_db_statements_total", "Statements.", "counter", (), lambda: {(): 9.0}))
    return registry


@pytest.mark.parametrize(
    ("accept", "content_type", "read"),
    [
        ("", "text/plain; version=0.0.4", read_prometheus),
        ("text/html,*/*;q=0.8", "text/plain; version=0.0.4", read_prometheus),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
            "application/openmetrics-text",
            read_openmetrics,
        ),
    ],
)
def test_every_figure_is_exposed_in_both_formats(accept, content_type, read):
    body, kind = exposition(a_registry(), accept)
    assert kind.startswith(content_type)
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in read(body.decode())
        for sample in family.samples
    }
    where = (("operation", "Bank.ping"), ("service", "payments"))
    assert samples["meristem_server_requests_total", ("code", "ok"), *where] == 1
    assert samples["meristem_server_requests_total", ("code", "unavailable"), *where] == 1
    assert samples["meristem_client_requests_total", ("code", "ok"), *where] == 1
    assert samples["meristem_server_requests_in_flight", *where] == 2
    histogram = "meristem_server_request_duration_seconds"
    assert samples[f"{histogram}_bucket", ("le", "0.0025"), *where] == 0
    assert samples[f"{histogram}_bucket", ("le", "0.005"), *where] == 1
    assert samples[f"{histogram}_bucket", ("le", "+Inf"), *where] == 2
    assert samples[f"{histogram}_count", *where] == 2
    assert samples[f"{histogram}_sum", *where] == pytest.approx(0.303)
    assert samples["meristem_outbox_events", ("service", "payments")] == 3
    assert samples["meristem_outbox_events", ("service", "rooms")] == 4
    assert samples["meristem_db_statements_total",] == 9


def test_a_figure_that_is_removed_is_no_longer_exposed():
    registry = Registry()
    measure = Measure("meristem_gone", "Gone.", "gauge", (), lambda: {(): 1.0})
    registry.add(measure)
    assert b"meristem_gone 1.0" in exposition(registry)[0]
    registry.remove(measure)
    assert b"meristem_gone" not in exposition(registry)[0]
