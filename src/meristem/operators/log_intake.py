"""Lines of the log on their way into the history: those of this process, and those that processes write."""

from __future__ import annotations

import re
import time
import traceback
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.operators.history_tables import LEVELS, LineRow
from meristem.redaction import FIELD, SHOWN, redact
from meristem.telemetry.sampling import Allowance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.operators.history_file import History

PER_SECOND: Final = 200.0  # lines of each process; what comes beyond is on the screen alone
LONGEST: Final = 16_000  # characters of a message, a traceback or a field
MOST: Final = 50  # fields
_KNOWN: Final = {
    "event", "level", "timestamp", "logger", "logger_name", "service", "operation", "trace_id", "span_id", "exc_info",
    "exception", "stack",
}  # fmt: skip
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class LineTaker:
    """Takes the lines of one replica into the history, a bounded number a second; what it can't read is text.

    A line that comes beyond that number costs one look at the clock: a busy process writes ten thousands a second.
    """

    def __init__(self, history: History, process: str, replica: int) -> None:
        self._history = history
        self._process = process
        self._replica = replica
        self._allowance = Allowance(PER_SECOND, time.monotonic())

    def event(self, event: Mapping[str, Any]) -> None:
        """Take what a line of this process says; nothing of the event is kept."""
        if self._allowance.take(time.monotonic()):
            self._history.add_line(_row(self._process, self._replica, event))

    def line(self, line: bytes) -> None:
        """Take a line that a process or program wrote: JSON with an `event`, or any text."""
        if not self._allowance.take(time.monotonic()):
            return
        event: dict[str, Any] = {}
        if line.startswith(b"{"):
            try:
                event = _decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                event = {}
        if not isinstance(event.get("event"), str):
            event = {"event": _COLOURS.sub("", line.decode(errors="replace")).rstrip()}
        if event["event"] or "exception" in event:
            self._history.add_line(_row(self._process, self._replica, event))


def _row(process: str, replica: int, event: Mapping[str, Any]) -> LineRow:
    others = [(str(name), value) for name, value in event.items() if name not in _KNOWN]
    return LineRow(
        _seconds(event.get("timestamp")),
        LEVELS.get(str(event.get("level", "info")).lower(), LEVELS["info"]),
        process,
        replica,
        str(event.get("logger") or event.get("logger_name") or ""),
        _text(event.get("event", "")),
        str(event.get("service") or ""),
        str(event.get("operation") or ""),
        str(event.get("trace_id") or ""),
        str(event.get("span_id") or ""),
        _text(_traceback(event)),
        {name: SHOWN if FIELD.search(name) and value else _text(value) for name, value in others[:MOST]},
    )


def _text(value: object) -> str:
    return redact(value if isinstance(value, str) else repr(value))[:LONGEST]


def _traceback(event: Mapping[str, Any]) -> str:
    raised = event.get("exc_info")
    if isinstance(raised, tuple) and raised[0] is not None:
        return "".join(traceback.format_exception(*raised))
    return str(event.get("exception") or event.get("stack") or "")


def _seconds(timestamp: object) -> float:
    try:
        return datetime.fromisoformat(timestamp).timestamp() if isinstance(timestamp, str) else time.time()
    except ValueError:
        return time.time()
