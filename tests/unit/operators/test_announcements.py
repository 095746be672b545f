"""What processes say to one another at a start is no trace of the system's work, unless it failed."""

from __future__ import annotations

from meristem.contracts.contract import operations
from meristem.operators.gatherer import ANNOUNCEMENT, without_announcements
from meristem.operators.operator_contract import SpanView
from meristem.runtime.deliveries import Deliveries


def span(name: str, error: str = "") -> SpanView:
    return SpanView(
        trace_id="1" * 32, span_id="2" * 16, parent_id="", name=name, kind="server", service="events", process="main",
        replica=0, start=0.0, duration=0.1, error=error,
    )  # fmt: skip


def test_announcements_are_left_out_but_for_those_that_failed():
    book, failed = span("shop.v1.Orders/place"), span(ANNOUNCEMENT, "TypeError")
    assert without_announcements([span(ANNOUNCEMENT), book, failed]) == [book, failed]


def test_an_announcement_is_known_by_the_name_of_its_operation():
    announce = operations(Deliveries)["announce"]
    assert f"{announce.contract}/{announce.name}" == ANNOUNCEMENT
