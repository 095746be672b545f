"""The lines of the map: who calls whom, by what was counted, and who asks apps and programs."""

from __future__ import annotations

import time

import pytest

from meristem.operators.health import SystemParts
from meristem.operators.inspection import CallsMade, OperationCounts, ProcessDigest
from meristem.operators.map_edges import MapEdges
from meristem.operators.operator_contract import MapEdge, MapNode, SpanView
from meristem.operators.recent_figures import RecentFigures
from meristem.operators.seen_calls import SeenCalls

PARTS = SystemParts(
    [
        MapNode(id=f"{kind}:{name}", kind=kind, name=name)
        for kind, name in (
            ("service", "payments"), ("service", "stock"), ("app", "web"), ("app", "bank"), ("program", "ratings"),
        )
    ],
    [MapEdge(source="service:payments", target="app:bank", kind="call")],
)  # fmt: skip


def counts(side, name, calls, failed=0):
    return OperationCounts(
        side=side, service=name, operation="requests" if side == "app" else f"{name}.do", calls=calls, failed=failed,
        in_flight=0, buckets=[0, calls, *[0] * 16],
    )  # fmt: skip


def digest(operations, made=()):
    return ProcessDigest(
        life="first", seen=0, lost=0, spans=[], operations=operations, made=list(made), cpu=1.0, memory=1
    )


def span(service, span_id, parent=""):
    return SpanView(
        trace_id="c" * 32, span_id=span_id, parent_id=parent, name="x", kind="server", service=service,
        process="main", replica=0, start=time.time(), duration=0.1,
    )  # fmt: skip


def edges(*digests, spans=()):
    figures, seen = RecentFigures(), SeenCalls()
    for number, each in enumerate(digests):
        figures.add("main", 0, each, 100.0 + 10 * number, 0.0)
    seen.add(spans)
    return {(each.source, each.target): each for each in MapEdges(PARTS, figures, seen).all()}


def test_requests_to_an_app_are_told_of_who_names_it_in_its_settings():
    found = edges(digest([counts("app", "bank", 2)]), digest([counts("app", "bank", 10, failed=4)]))

    edge = found["service:payments", "app:bank"]
    assert (edge.declared, edge.calls) == (True, None)  # nobody counts by whom
    assert edge.figures is not None
    assert edge.figures.rate > 0
    assert edge.figures.failed == pytest.approx(0.5)
    assert edge.figures.p99 > 0
    assert ("outside", "app:bank") not in found


def test_who_asked_for_an_app_without_naming_it_is_known_by_the_traces_and_others_came_from_outside():
    asked = [span("web", "b", "a"), span("stock", "a"), span("ratings", "c", "b")]
    found = edges(digest([counts("app", "web", 3), counts("app", "ratings", 1)]), spans=asked)

    assert found["service:stock", "app:web"].declared is False
    assert found["app:web", "program:ratings"].declared is True
    assert ("outside", "app:web") in edges(digest([counts("app", "web", 3)]))


def test_calls_of_an_app_are_its_own_and_what_nobody_here_made_came_from_outside():
    made = [
        CallsMade(caller="web", service="stock", operation="stock.do", calls=3),
        CallsMade(caller="", service="stock", operation="stock.do", calls=2),
    ]
    found = edges(digest([counts("server", "stock", 9)], made))

    assert (found["app:web", "service:stock"].declared, found["app:web", "service:stock"].calls) == (True, 3)
    assert found["outside", "service:stock"].calls == 6


def test_what_is_called_for_the_first_time_has_a_minute_as_all_others_have():
    figures = RecentFigures()
    often = [counts("server", "stock", 600)]
    for number in range(21):
        figures.add("main", 0, digest([counts("server", "stock", 30 * number)]), 100.0 + 5 * number, None)
    figures.add("main", 0, digest([*often, counts("server", "payments", 6)]), 200.0, None)

    assert (figures.of_service("payments").seconds, figures.of_service("payments").rate) == (60.0, 0.1)
    assert (figures.of_service("stock").seconds, figures.of_service("stock").rate) == (60.0, 6.0)
