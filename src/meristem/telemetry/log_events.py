"""What a line of the log says, before it is text: the event of a record, with the call to which it belongs."""

from __future__ import annotations

import logging
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterable, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, TypeAlias

from meristem.context import Context, current

Event: TypeAlias = MutableMapping[str, Any]

# What a record always has, and what formatters of other handlers leave in it; all else was given by `extra=`.
ORDINARY: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


class EventFormatter(logging.Formatter):
    """Makes a line of the event of a record: one of the standard library's loggers, or one of structlog's.

    A `tap` is shown each event before it is a line.
    """

    tap: Callable[[Event], None] | None = None

    def format(self, record: logging.LogRecord) -> str:
        said: Any = record.msg
        # structlog hands its finished event on as the message, with its logger beside it
        event = dict(said) if isinstance(said, dict) and hasattr(record, "_logger") else event_of(record)
        if self.tap is not None:
            self.tap(event)
        return self.line(event)

    @abstractmethod
    def line(self, event: Event) -> str:
        """The line of an event, without its end; the event is not needed any more."""

    def lines(self, events: Iterable[Event]) -> str:
        """The lines of several events, each with its end."""
        return "".join(f"{self.line(each)}\n" for each in events)


def event_of(record: logging.LogRecord) -> Event:
    """The event of a record; an exception is in it as `exc_info`, as structlog has it."""
    level = record.levelname.lower()
    event = begin(record.getMessage(), bound_variables(), current(), record.name, level, record.created)
    event.update((name, value) for name, value in vars(record).items() if name not in ORDINARY)
    # Django hands the request on to who mails errors. As text it has the query, which may hold what is secret.
    if hasattr(event.get("request"), "get_full_path"):
        del event["request"]
    if record.exc_info:
        event["exc_info"] = record.exc_info
    if record.stack_info:
        event["stack"] = record.stack_info
    return event


def begin(message: str, bound: dict[str, Any], context: Context, logger: str, level: str, created: float) -> Event:
    """What every event has: `created` is the time in seconds since 1970."""
    event: Event = {"event": message, **bound}
    add_context(event, context)
    event["logger"] = logger
    event["level"] = level
    event["timestamp"] = timestamp(created)
    return event


def add_context(event: Event, context: Context) -> None:
    """Add trace id, span id, service, operation and caller of a call; what the line says itself wins."""
    if context.trace is not None:
        ids = context.trace.ids()
        event.setdefault("trace_id", ids.trace_id)
        event.setdefault("span_id", ids.span_id)
    if context.place is not None:
        event.setdefault("service", context.place.service)
        event.setdefault("operation", context.place.operation)
    if context.caller is not None:
        event.setdefault("caller", context.caller)


def bound_variables() -> dict[str, Any]:
    """What the application bound by `structlog.contextvars`, if it uses them."""
    variables = sys.modules.get("structlog.contextvars")
    return {} if variables is None else variables.get_contextvars()


def timestamp(seconds: float) -> str:
    """A time as RFC 3339 writes it, in UTC, with microseconds."""
    whole = int(seconds)
    return f"{_second(whole)}.{int((seconds - whole) * 1e6):06d}Z"


@lru_cache(4)
def _second(seconds: int) -> str:
    """The time up to its seconds: the lines of a second share it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
