"""The tables of the history, and how what is taken in becomes their rows."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from meristem.contracts.undeclared import WHY
from meristem.telemetry.metrics import BOUNDS
from meristem.telemetry.observing import USER

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from meristem.operators.operator_contract import SpanView

VERSION: Final = 3
BUCKETS: Final = tuple(f"bucket_{number}" for number in range(len(BOUNDS) + 1))
"""Columns, so that the database adds them up: an hour of fifty services is a hundred thousand rows."""
SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS spans (
    trace_id TEXT, span_id TEXT, parent_id TEXT, name TEXT, kind TEXT, service TEXT, process TEXT, replica INTEGER,
    start REAL, duration REAL, error TEXT, attributes TEXT
);
CREATE INDEX IF NOT EXISTS spans_by_trace ON spans (trace_id, service);
CREATE INDEX IF NOT EXISTS spans_by_start ON spans (start);
CREATE TABLE IF NOT EXISTS traces (
    trace_id TEXT PRIMARY KEY, name TEXT, service TEXT, root INTEGER, start REAL, ended REAL, duration REAL,
    spans INTEGER, failed INTEGER, services TEXT, user TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS traces_by_user ON traces (user, start) WHERE user != '';
CREATE INDEX IF NOT EXISTS traces_by_start ON traces (start);
CREATE TABLE IF NOT EXISTS lines (
    id INTEGER PRIMARY KEY AUTOINCREMENT, time REAL, level INTEGER, process TEXT, replica INTEGER, logger TEXT,
    message TEXT, service TEXT, operation TEXT, trace_id TEXT, span_id TEXT, traceback TEXT,
    fields TEXT
);
CREATE INDEX IF NOT EXISTS lines_by_trace ON lines (trace_id) WHERE trace_id != '';
CREATE TABLE IF NOT EXISTS errors (
    id TEXT PRIMARY KEY, message TEXT, service TEXT, operation TEXT, count INTEGER, first REAL, last REAL, trace_id TEXT
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS errors_by_last ON errors (last);
CREATE TABLE IF NOT EXISTS figures (
    time REAL, seconds REAL, process TEXT, replica INTEGER, service TEXT, operation TEXT, calls INTEGER, failed INTEGER,
    in_flight INTEGER, {", ".join(f"{name} INTEGER" for name in BUCKETS)}
);
CREATE INDEX IF NOT EXISTS figures_by_time ON figures (time);
PRAGMA user_version = {VERSION};
"""

PRUNE: Final = (
    "DELETE FROM spans WHERE start < :oldest",
    "DELETE FROM spans WHERE rowid <= (SELECT max(rowid) FROM spans) - :spans",
    "DELETE FROM traces WHERE start < (SELECT coalesce(min(start), :now) FROM spans) - 3600",
    "DELETE FROM lines WHERE id <= (SELECT max(id) FROM lines) - :lines",
    "DELETE FROM lines WHERE time < :oldest",
    "DELETE FROM errors WHERE last < :oldest",
    "DELETE FROM errors WHERE id NOT IN (SELECT id FROM errors ORDER BY last DESC LIMIT 1000)",
    "DELETE FROM figures WHERE time < :oldest",
    "DELETE FROM figures WHERE rowid <= (SELECT max(rowid) FROM figures) - :figures",
)

LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
_SPAN: Final = "INSERT INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TRACE: Final = """
INSERT INTO traces VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (trace_id) DO UPDATE SET
    name = CASE WHEN excluded.root > root OR (excluded.root = root AND excluded.start < start)
        THEN excluded.name ELSE name END,
    service = CASE WHEN excluded.root > root OR (excluded.root = root AND excluded.start < start)
        THEN excluded.service ELSE service END,
    duration = CASE WHEN excluded.root > root THEN excluded.duration WHEN root > excluded.root THEN duration
        ELSE max(ended, excluded.ended) - min(start, excluded.start) END,
    root = max(root, excluded.root), start = min(start, excluded.start), ended = max(ended, excluded.ended),
    user = CASE WHEN user != '' THEN user ELSE excluded.user END,
    spans = spans + excluded.spans, failed = failed + excluded.failed,
    services = (SELECT group_concat(value, ' ') FROM (
        SELECT value FROM json_each('["' || replace(services, ' ', '","') || '"]')
        UNION SELECT value FROM json_each('["' || replace(excluded.services, ' ', '","') || '"]')))
"""
_LINE: Final = """
INSERT INTO lines
    (time, level, process, replica, logger, message, service, operation, trace_id, span_id, traceback, fields)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_ERROR: Final = """
INSERT INTO errors VALUES (?, ?, ?, ?, 1, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET count = count + 1, message = excluded.message, last = max(last, excluded.last),
    first = min(first, excluded.first),
    trace_id = CASE WHEN excluded.trace_id != '' THEN excluded.trace_id ELSE trace_id END
"""
_FIGURES: Final = f"INSERT INTO figures VALUES ({', '.join('?' * (9 + len(BUCKETS)))})"  # noqa: S608 - as many question marks as columns
# What differs between errors that are alike: numbers, ids, and what stands in quotes.
_DIFFERS: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\b(?=\w*\d)[\w-]+\b")
_ANSWERS: Final = ("server", "internal", "consumer")


class LineRow(NamedTuple):
    """A line of the log as it is kept; `level` is the number that `logging` has for it."""

    time: float
    level: int
    process: str
    replica: int
    logger: str
    message: str
    service: str
    operation: str
    trace_id: str
    span_id: str
    traceback: str
    fields: dict[str, str]


class FigureRow(NamedTuple):
    """What an operation answered in the `seconds` until `time`; `buckets` count durations."""

    time: float
    seconds: float
    process: str
    replica: int
    service: str
    operation: str
    calls: int
    failed: int
    in_flight: int
    buckets: list[int]


def write_spans(tx: sqlite3.Connection, spans: Sequence[SpanView]) -> None:
    """Keep spans, and what they tell of their traces."""
    tx.executemany(
        _SPAN,
        (
            (
                each.trace_id, each.span_id, each.parent_id, each.name, each.kind, each.service, each.process,
                each.replica, each.start, each.duration, each.error, _json(each.attributes),
            )
            for each in spans
        ),
    )  # fmt: skip
    by_trace: dict[str, list[SpanView]] = {}
    for each in spans:
        by_trace.setdefault(each.trace_id, []).append(each)
    tx.executemany(_TRACE, (_trace(trace_id, found) for trace_id, found in by_trace.items()))


def _trace(trace_id: str, spans: list[SpanView]) -> tuple[object, ...]:
    first = min(spans, key=lambda span: (span.parent_id != "", span.start))
    start = min(each.start for each in spans)
    ended = max(each.start + each.duration for each in spans)
    is_root = first.parent_id == ""
    services = " ".join(sorted({each.service for each in spans if each.service}))
    failed = sum(each.error != "" for each in spans)
    duration = first.duration if is_root else ended - start
    # A request to an app has nobody's name on it, the calls that it makes have.
    user = next((found for each in spans if (found := each.attributes.get(USER))), "")
    return trace_id, _name(first), first.service, is_root, start, ended, duration, len(spans), failed, services, user


def _name(span: SpanView) -> str:
    """A request to an app is named by its path as well: by its verb alone all of them would be one."""
    where = span.attributes.get("http.route") or span.attributes.get("url.path")
    return f"{span.name} {where}" if where and where not in span.name else span.name


def write_lines(tx: sqlite3.Connection, lines: Iterable[LineRow]) -> None:
    """Keep lines of the log."""
    tx.executemany(_LINE, ((*each[:-1], _json(each.fields)) for each in lines))


def write_figures(tx: sqlite3.Connection, figures: Iterable[FigureRow]) -> None:
    """Keep what happened in some seconds."""
    tx.executemany(_FIGURES, ((*each[:-1], *each.buckets) for each in figures))


def write_errors(tx: sqlite3.Connection, spans: Iterable[SpanView], lines: Iterable[LineRow]) -> int:
    """Count the errors among what is new; how many there are."""
    found = list(_errors(spans, lines))
    tx.executemany(_ERROR, found)
    return len(found)


def _errors(spans: Iterable[SpanView], lines: Iterable[LineRow]) -> Iterator[tuple[object, ...]]:
    """An error is told of where it was answered, and by lines of the log that tell of one."""
    for each in spans:
        # Of what the log has the cause it is told by its line.
        if each.error and each.kind in _ANSWERS and WHY not in each.error:
            yield _error(each.error, each.service, each.name, each.start + each.duration, each.trace_id)
    for line in lines:
        if line.level >= LEVELS["error"]:
            last = line.traceback.rstrip().rpartition("\n")[2]
            told = f"{line.message}: {last}" if last and last not in line.message else line.message
            yield _error(told, line.service or line.process, line.operation or line.logger, line.time, line.trace_id)


def _error(message: str, service: str, operation: str, at: float, trace_id: str) -> tuple[object, ...]:
    alike = _DIFFERS.sub("?", message)
    key = hashlib.sha256("\n".join((service, operation, alike)).encode()).hexdigest()[:16]
    return key, message, service, operation, at, at, trace_id


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
