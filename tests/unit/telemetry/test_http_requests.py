"""A request to an app is recorded as OpenTelemetry's conventions for HTTP servers have it."""

import pytest

from meristem.context import Context, Trace
from meristem.telemetry.http_requests import HttpExchange, HttpRequests
from meristem.telemetry.tracer import Recent, Tracer

PARENT = Trace("1" * 32, "2" * 16, sampled=True)


def recorded(
    exchange: HttpExchange, trace: Trace, parent: Trace | None, error: Exception | None = None, **rates: float
):
    recent = Recent()
    HttpRequests("web", Tracer(recent, **rates)).ended(exchange, Context(trace=trace), parent, 0.5, error)
    return recent.spans()


def test_a_sampled_request_is_a_span_below_the_clients():
    exchange = HttpExchange("GET", "/shop/cart/7", "https", "192.0.2.1", 200, 0.1, whole=True, route="/shop/cart/{id}")
    (span,) = recorded(exchange, PARENT.child(), PARENT)

    assert (span.name, span.kind, span.service) == ("GET /shop/cart/{id}", "server", "web")
    assert (span.trace_id, span.parent_id, span.duration, span.error) == (PARENT.trace_id, PARENT.span_id, 0.5, None)
    assert span.attributes == {
        "http.request.method": "GET",
        "url.path": "/shop/cart/7",
        "url.scheme": "https",
        "http.response.status_code": 200,
        "http.route": "/shop/cart/{id}",
    }


def test_a_failure_names_its_kind():
    exchange = HttpExchange("POST", "/cart", "http", "", 500, 0.1, whole=True)
    (span,) = recorded(exchange, PARENT, None, ValueError("postgresql://app:s3cret@db"))

    assert (span.name, span.attributes["error.type"]) == ("POST", "ValueError")
    assert span.error == "ValueError: postgresql://app:***@db"
    (told,) = recorded(HttpExchange("GET", "/", "http", "", 503, 0.1, whole=True), PARENT, None)
    assert (told.error, told.attributes["error.type"]) == ("503", "503")


@pytest.mark.parametrize(
    ("status", "first", "expected"), [(200, 0.1, 0), (404, 0.1, 0), (500, 0.1, 1), (200, 2.0, 1)], ids=str
)
def test_of_what_is_not_sampled_failures_and_slow_beginnings_are_recorded(status, first, expected):
    unsampled = Trace("1" * 32, "2" * 16)
    spans = recorded(HttpExchange("GET", "/", "http", "", status, first, whole=True), unsampled, unsampled)
    assert len(spans) == expected
    assert all(each.parent_id == "2" * 16 and each.span_id != "2" * 16 for each in spans)
    assert not recorded(
        HttpExchange("GET", "/", "http", "", status, first, whole=True), unsampled, unsampled, late_per_second=0
    )
