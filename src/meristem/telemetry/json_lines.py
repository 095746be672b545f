"""Log lines as JSON, one object a line: those of the standard library's loggers and those of structlog."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import msgspec

Event: TypeAlias = MutableMapping[str, Any]

# What a record always has, and what formatters of other handlers leave in it; all else was given by `extra=`.
ORDINARY: Final = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


class JsonFormatter(logging.Formatter):
    """Writes `event`, `level`, `logger`, `timestamp` (UTC), what `extra=` gave, and what `complete` adds."""

    def __init__(self, complete: Callable[[Event], None]) -> None:
        super().__init__()
        self._complete = complete

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object; what JSON does not know is written as its `repr`."""
        said: Any = record.msg
        # structlog hands its finished event on as the message, with its logger beside it
        event: Event = said if isinstance(said, dict) and hasattr(record, "_logger") else self._event(record)
        try:
            return _encode(event).decode()
        except (TypeError, msgspec.MsgspecError):  # a mapping with odd keys: the line matters more than its form
            return _encode({str(key): repr(value) for key, value in event.items()}).decode()

    def _event(self, record: logging.LogRecord) -> Event:
        event: Event = {"event": record.getMessage(), **_bound()}
        self._complete(event)
        event["logger"] = record.name
        event["level"] = record.levelname.lower()
        event["timestamp"] = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")[:-6] + "Z"
        event.update((name, value) for name, value in vars(record).items() if name not in ORDINARY)
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            event["stack"] = self.formatStack(record.stack_info)
        return event


def _bound() -> dict[str, Any]:
    """What the application bound by `structlog.contextvars`, if it uses them."""
    variables = sys.modules.get("structlog.contextvars")
    return {} if variables is None else variables.get_contextvars()
