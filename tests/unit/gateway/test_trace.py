"""A trace through the edge: one decision, a span on each side where it is recorded, nothing from outside believed."""

from typing import Any

from meristem import App

from .test_forwarding import Bench

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CLIENT = f"00-{TRACE}-00f067aa0ba902b7-0"


async def spans(system: Any, sampled: str, **fields: str) -> tuple[list[Any], list[Any], str]:
    """The spans of the edge and of the app's process for one request, and the `traceparent` that the app saw."""
    headers = {"traceparent": CLIENT + sampled, **fields} if sampled else fields
    told = (await system.browser.get("/bench/head", headers=headers)).text
    seen = next(line.partition(": ")[2] for line in told.splitlines() if line.startswith("traceparent"))
    app = system.replicas["bench-0"].assembly.telemetry.recent
    return system.edge.assembly.telemetry.recent.spans(), app.spans(), seen


async def test_a_trace_of_a_client_is_continued_by_the_edge_and_below_it_by_the_app(divided):
    async with divided(App("bench", Bench(), mount="/bench")) as system:
        [outer], [inner], seen = await spans(system, "1")

    assert outer.trace_id == inner.trace_id == TRACE
    assert (outer.parent_id, inner.parent_id) == ("00f067aa0ba902b7", outer.span_id)
    assert (outer.service, inner.service) == ("edge", "bench")
    assert outer.kind == inner.kind == "server"
    assert outer.attributes["http.response.status_code"] == 200
    assert seen == f"00-{TRACE}-{inner.span_id}-01"


async def test_what_a_client_has_not_recorded_is_not_recorded_and_keeps_its_trace(divided):
    async with divided(App("bench", Bench(), mount="/bench")) as system:
        outer, inner, seen = await spans(system, "0")

    assert (outer, inner) == ([], [])
    assert seen.startswith(f"00-{TRACE}-")
    assert seen.endswith("-00")


async def test_a_trace_that_begins_at_the_edge_is_the_apps_too(divided):
    async with divided(App("bench", Bench(), mount="/bench")) as system:
        [outer], [inner], _ = await spans(system, "")

    assert (outer.parent_id, inner.parent_id, inner.trace_id) == (None, outer.span_id, outer.trace_id)


async def test_of_values_that_travel_those_of_the_system_are_not_believed_of_a_client(divided):
    async with divided(App("bench", Bench(), mount="/bench")) as system:
        told = (await system.browser.get("/bench/head", headers={"baggage": "secret=1"})).text

    assert "baggage" not in told
