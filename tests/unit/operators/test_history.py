"""What operators look back on: it survives restarts and damage, stays bounded, and is found by what it says."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from meristem.operators import history_file as kept
from meristem.operators.history_file import History, Keeping
from meristem.operators.history_search import find_errors, find_figures, find_lines, find_spans, find_traces
from meristem.operators.history_slots import ChartRange
from meristem.operators.history_tables import FigureRow, LineRow
from meristem.operators.operator_contract import LogSearch, SpanView, TraceSearch
from meristem.operators.route_views import DurationCount

NOW = time.time()


def span(trace, number, parent="", *, name="Stock/take", service="stock", start=0.0, duration=0.1, error="", **more):
    given = {"kind": "server", "process": "main", "replica": 0, "attributes": {"rpc.method": name}} | more
    return SpanView(
        trace_id=trace * 32,
        span_id=f"{number:016x}",
        parent_id=parent and f"{int(parent):016x}",
        name=name,
        service=service,
        start=NOW + start,
        duration=duration,
        error=error,
        **given,
    )


def line(message, level=20, trace="", **more):
    given = {"logger": "shop", "service": "stock", "operation": "", "span_id": "", "traceback": "", "fields": {}} | more
    return LineRow(NOW, level, "main", 0, trace_id=trace * 32, message=message, **given)


@asynccontextmanager
async def opened(path, keeping=None):
    history = History(path / "history.db", keeping)
    await history.start()
    try:
        yield history
    finally:
        await history.stop()


async def written(history):
    """Wait until all that was taken in is in the file."""
    before = history.counters
    async with asyncio.timeout(10):
        while history.counters == before:
            await asyncio.sleep(0.01)


async def found(history, search=None):
    search = search or TraceSearch()
    return [each.trace_id[0] for each in await history.read(lambda rows: find_traces(rows, search))]


async def test_a_trace_is_told_by_its_root_however_its_spans_arrive(tmp_path):
    async with opened(tmp_path) as history:
        history.add_spans([span("a", 2, "1", start=0.2, duration=0.3, error="it broke")])
        await written(history)
        history.add_spans([span("a", 1, name="Shop/order", service="shop", duration=0.6)])
        history.add_spans([span("a", 3, "2", name="SELECT", kind="client", start=0.25)])
        await written(history)
        [trace] = await history.read(lambda rows: find_traces(rows, TraceSearch()))
        spans = await history.read(lambda rows: find_spans(rows, "A" * 32))
    assert (trace.name, trace.service, trace.duration) == ("Shop/order", "shop", 0.6)
    assert (trace.spans, trace.failed, trace.services) == (3, 1, ["shop", "stock"])
    assert [each.name for each in spans] == ["Shop/order", "Stock/take", "SELECT"]
    assert spans[1].attributes == {"rpc.method": "Stock/take"}


async def test_traces_are_found_by_what_is_asked_of_them(tmp_path):
    async with opened(tmp_path) as history:
        history.add_spans([
            span("a", 1, name="Shop/order", service="shop", start=1),
            span("b", 2, name="Shop/refund", service="shop", start=2, duration=2.0),
            span("c", 3, name="100%_odd", start=3, error="no"),
        ])  # fmt: skip
        await written(history)
        assert await found(history) == ["c", "b", "a"]
        assert await found(history, TraceSearch(service="shop")) == ["b", "a"]
        assert await found(history, TraceSearch(service="shop", operation="refund")) == ["b"]
        assert await found(history, TraceSearch(status="failed")) == ["c"]
        assert await found(history, TraceSearch(status="ok")) == ["b", "a"]
        assert await found(history, TraceSearch(at_least=1.0)) == ["b"]
        assert await found(history, TraceSearch(text="%_")) == ["c"]
        assert await found(history, TraceSearch(text="bbbb")) == ["b"]
        assert await found(history, TraceSearch(before=NOW + 2)) == ["a"]
        assert await found(history, TraceSearch(most=1)) == ["c"]


async def test_a_trace_is_found_by_the_user_whom_any_of_its_calls_was_made_for(tmp_path):
    async with opened(tmp_path) as history:
        history.add_spans(
            [span("a", 2, "1", attributes={"user.id": "ann"}), span("b", 3, attributes={"user.id": "bo"})]
        )
        await written(history)
        history.add_spans([span("a", 1, name="GET /book", start=-1)])
        await written(history)
        assert await found(history, TraceSearch(user="ann")) == ["a"]
        assert await found(history, TraceSearch(user="an")) == []
        [newest, _] = await history.read(lambda rows: find_traces(rows, TraceSearch()))
    assert newest.user == "bo"


async def test_lines_are_followed_forward_and_searched_backward(tmp_path):
    async with opened(tmp_path) as history:
        for number in range(5):
            history.add_line(line(f"line {number}", level=40 if number == 3 else 20, fields={"room": f"r{number}"}))
        await written(history)

        async def lines(**asked):
            search = LogSearch(**asked)
            return [each.message for each in await history.read(lambda rows: find_lines(rows, search))]

        assert await lines(most=2) == ["line 4", "line 3"]
        assert await lines(before=4, most=2) == ["line 2", "line 1"]
        assert await lines(after=3) == ["line 3", "line 4"]
        assert await lines(level="error") == ["line 3"]
        assert await lines(text="r2") == ["line 2"]
        assert await lines(service="nobody") == []


async def test_errors_that_are_alike_are_one_and_those_of_the_caller_are_not_counted_again(tmp_path):
    async with opened(tmp_path) as history:
        history.add_spans([
            span("a", 1, error="TimeoutError: room 17 of '5f0c1e2d'"),
            span("b", 2, error="TimeoutError: room 18 of 'abcdef'"),
            span("b", 3, kind="client", error="TimeoutError: room 18 of 'abcdef'"),
        ])  # fmt: skip
        history.add_line(line("it failed", level=40, traceback="Traceback …\nKeyError: 'room'\n", service="shop"))
        await written(history)
        errors = await history.read(lambda rows: find_errors(rows, 10))
    assert {(each.service, each.message, each.count) for each in errors} == {
        ("stock", "TimeoutError: room 18 of 'abcdef'", 2),
        ("shop", "it failed: KeyError: 'room'", 1),
    }


async def test_figures_of_replicas_are_one_point(tmp_path):
    rows = [
        FigureRow(NOW, 10.0, "main", replica, "stock", "Stock.take", 50, replica, 2, [0, 50, *[0] * 16])
        for replica in (0, 1)
    ]
    async with opened(tmp_path) as history:
        history.add_figures(rows)
        await written(history)
        shown = ChartRange.of(10, NOW + 20)
        points = await history.read(lambda rows: find_figures(rows, shown, "stock", ""))
        others = await history.read(lambda rows: find_figures(rows, shown, "shop", ""))
    [point] = points
    assert (point.figures.rate, point.figures.failed, point.figures.in_flight) == (
        pytest.approx(10.0, rel=0.01),
        0.01,
        4,
    )
    assert point.durations == [DurationCount(over=0.0001, up_to=0.00025, calls=100)]
    assert others == []


async def test_history_survives_a_restart_and_begins_anew_where_its_file_is_damaged(tmp_path, caplog):
    async with opened(tmp_path) as history:
        history.add_spans([span("a", 1)])
    async with opened(tmp_path) as history:
        assert await found(history) == ["a"]
    (tmp_path / "history.db").write_bytes(b"no database" * 1000)
    async with opened(tmp_path) as history:
        assert await found(history) == []
        history.add_spans([span("b", 1)])
        await written(history)
        assert await found(history) == ["b"]
    assert "history begins anew" in caplog.text
    assert (tmp_path / "history.db").stat().st_mode & 0o077 == 0


async def test_history_stays_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "PRUNING", 0.0)
    async with opened(tmp_path, Keeping(days=1.0, spans=100, lines=50)) as history:
        history.add_spans([span("o", 1, start=-2 * 86400)])
        history.add_spans([span("a", number, start=number / 1000) for number in range(300)])
        for number in range(80):
            history.add_line(line(f"line {number}"))
        await written(history)
        count = await history.read(lambda rows: rows.execute("SELECT count(*) FROM spans").fetchone()[0])
        lines = await history.read(lambda rows: find_lines(rows, LogSearch(most=1000)))
        assert (count, len(lines), lines[0].message) == (100, 50, "line 79")
        assert await found(history) == ["a"]


async def test_what_cannot_be_written_costs_history_and_nothing_else(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(kept, "WAITING", 10)
    async with opened(tmp_path) as history:
        await history.read(lambda _: None)
        assert history._writer is not None
        history._writer.execute("PRAGMA query_only = ON")
        history.add_spans([span("a", number) for number in range(25)])
        assert history.dropped == 15
        while "can't be written" not in caplog.text:
            await asyncio.sleep(0.02)
        history._writer.execute("PRAGMA query_only = OFF")
        history.add_spans([span("b", 1)])
        await written(history)
        assert await found(history) == ["b"]
