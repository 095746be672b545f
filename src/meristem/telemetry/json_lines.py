"""Log lines as JSON, one object a line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from meristem.telemetry.log_events import Event, EventFormatter

ENCODER: Final = msgspec.json.Encoder(enc_hook=repr)
NO_JSON: Final = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)


class JsonFormatter(EventFormatter):
    """Writes `event`, `level`, `logger`, `timestamp` (UTC), the call that runs, and what `extra=` gave."""

    def line(self, event: Event) -> str:
        """One JSON object; what JSON does not know is written as its `repr`."""
        if (raised := event.pop("exc_info", None)) and isinstance(raised, tuple):
            event["exception"] = self.formatException(raised)
        try:
            return ENCODER.encode(event).decode()
        except NO_JSON:  # a mapping with odd keys, half a character: the line matters more than its form
            return ENCODER.encode({ascii(str(key))[1:-1]: ascii(value) for key, value in event.items()}).decode()

    def lines(self, events: Iterable[Event]) -> str:
        """All at once, which is what the access log takes the most of."""
        try:
            return ENCODER.encode_lines(events).decode()
        except NO_JSON:
            return super().lines(events)
