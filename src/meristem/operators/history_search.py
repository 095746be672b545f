"""Finds what the history keeps: traces, their spans, lines of the log, errors and figures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from meristem.operators.history_slots import POINT, WITHIN
from meristem.operators.history_tables import BUCKETS, LEVELS
from meristem.operators.load_search import points_alive
from meristem.operators.operator_contract import (
    ErrorView,
    FigurePoint,
    Figures,
    LogView,
    SpanView,
    TraceView,
)
from meristem.operators.recent_figures import Counts, figures_of
from meristem.operators.route_views import DurationCount
from meristem.telemetry.metrics import BOUNDS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from meristem.operators.history_slots import ChartRange
    from meristem.operators.operator_contract import LogSearch, TraceSearch

_NAMES: Final = {number: name for name, number in LEVELS.items()}


class Conditions:
    """What a statement asks for, and the values for it."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._texts: list[str] = []

    def add(self, text: str, *values: Any) -> None:
        self._texts.append(text)
        self.values.extend(values)

    def __str__(self) -> str:
        return f" WHERE {' AND '.join(self._texts)}" if self._texts else ""


def find_traces(connection: sqlite3.Connection, search: TraceSearch) -> list[TraceView]:
    """The traces that are looked for, the newest first."""
    wanted = Conditions()
    if search.before is not None:
        wanted.add("start < ?", search.before)
    if search.status:
        wanted.add("failed > 0" if search.status == "failed" else "failed = 0")
    if search.at_least > 0:
        wanted.add("duration >= ?", search.at_least)
    if search.user:
        wanted.add("user = ?", search.user)
    if search.text:
        wanted.add(
            "(name LIKE ? ESCAPE '\\' OR trace_id >= ? AND trace_id < ?)",
            _part(search.text),
            search.text.lower(),
            search.text.lower() + "g",
        )
    if search.service or search.operation:
        of = Conditions()
        of.add("spans.trace_id = traces.trace_id")
        if search.service:
            of.add("service = ?", search.service)
        if search.operation:
            of.add("name LIKE ? ESCAPE '\\'", _part(search.operation))
        wanted.add(f"EXISTS (SELECT 1 FROM spans{of})", *of.values)  # noqa: S608 - of this module's own pieces
    text = f"SELECT * FROM traces{wanted} ORDER BY start DESC LIMIT ?"  # noqa: S608 - of this module's own pieces
    return [
        TraceView(
            trace_id=row["trace_id"],
            name=row["name"],
            service=row["service"],
            start=row["start"],
            duration=row["duration"],
            spans=row["spans"],
            failed=row["failed"],
            services=row["services"].split(),
            user=row["user"],
        )
        for row in connection.execute(text, (*wanted.values, search.most))
    ]


def find_spans(connection: sqlite3.Connection, trace_id: str) -> list[SpanView]:
    """The spans of a trace in the order of their starts."""
    text = "SELECT * FROM spans WHERE trace_id = ? ORDER BY start, rowid"
    return [
        SpanView(**{name: row[name] for name in SpanView.__struct_fields__ if name != "attributes"},
                 attributes=json.loads(row["attributes"]))
        for row in connection.execute(text, (trace_id.lower(),))
    ]  # fmt: skip


def find_lines(connection: sqlite3.Connection, search: LogSearch) -> list[LogView]:
    """The lines that are looked for; see `LogSearch` for their order."""
    wanted = Conditions()
    for name in ("service", "process", "trace_id"):
        if value := getattr(search, name):
            wanted.add(f"{name} = ?", value)
    if search.level:
        wanted.add("level >= ?", LEVELS[search.level])
    if search.text:
        part = _part(search.text)
        wanted.add(
            "(message LIKE ? ESCAPE '\\' OR traceback LIKE ? ESCAPE '\\' OR fields LIKE ? ESCAPE '\\')",
            part,
            part,
            part,
        )
    if search.before is not None:
        wanted.add("id < ?", search.before)
    if search.after is not None:
        wanted.add("id > ?", search.after)
    order = "ASC" if search.after is not None else "DESC"
    text = f"SELECT * FROM lines{wanted} ORDER BY id {order} LIMIT ?"  # noqa: S608 - of this module's own pieces
    return [
        LogView(
            **{name: row[name] for name in LogView.__struct_fields__ if name not in ("level", "fields")},
            level=_NAMES.get(row["level"], str(row["level"])),
            fields=json.loads(row["fields"]),
        )
        for row in connection.execute(text, (*wanted.values, search.most))
    ]


def find_errors(connection: sqlite3.Connection, most: int) -> list[ErrorView]:
    """Errors by what they say and where, those that came last first."""
    found = connection.execute("SELECT * FROM errors ORDER BY last DESC LIMIT ?", (most,))
    return [ErrorView(**dict(row)) for row in found]


def find_figures(connection: sqlite3.Connection, shown: ChartRange, service: str, operation: str) -> list[FigurePoint]:
    """How it went; a point in which nothing was called says so, one in which nothing ran is missing."""
    wanted = ""
    if service:
        wanted += " AND service = :service"
    if operation:
        wanted += " AND operation = :operation"
    counts = "sum(calls) AS calls, sum(failed) AS failed, sum(in_flight * seconds) AS in_flight"
    buckets = ", ".join(f"sum({name}) AS {name}" for name in BUCKETS)
    text = f"SELECT {POINT} AS point, {counts}, {buckets} FROM figures WHERE {WITHIN}{wanted} GROUP BY point"  # noqa: S608
    values = {**shown.values, "service": service, "operation": operation}
    counted = {row["point"]: row for row in connection.execute(text, values)}
    # What every process has of our own (events are taken in by `events`) is no service of any of them.
    alive = points_alive(connection, shown, service) or (points_alive(connection, shown, "") if counted else set())
    return [_figures(shown, point, counted.get(point)) for point in sorted(alive | set(counted))]


def _figures(shown: ChartRange, point: int, row: sqlite3.Row | None) -> FigurePoint:
    if row is None:
        return FigurePoint(time=shown.end(point), figures=Figures(seconds=shown.width))
    counted = [row[name] for name in BUCKETS]
    counts = Counts(shown.width, row["calls"], row["failed"], tuple(counted))
    figures = figures_of([counts], round(row["in_flight"] / shown.width))
    return FigurePoint(time=shown.end(point), figures=figures, durations=durations_of(counted))


def durations_of(buckets: Iterable[int]) -> list[DurationCount]:
    """Counts of durations with the bounds between which each of them was, of those where any was."""
    return [
        DurationCount(over=over, up_to=up_to, calls=calls)
        for over, up_to, calls in zip((0.0, *BOUNDS), (*BOUNDS, None), buckets, strict=True)
        if calls
    ]


def _part(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"
