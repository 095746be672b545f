"""Log lines for people, as structlog's console writes them; most by a form that is made once for lines of one kind."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.telemetry.log_events import Event, EventFormatter

if TYPE_CHECKING:
    from collections.abc import Callable

ALWAYS: Final = {"event", "level", "logger", "timestamp"}  # what every line of a process has in JSON
APPENDED: Final = {"exc_info", "exception", "stack"}  # what stands below a line
COLUMNS: Final = {"event", "logger", "logger_name", "timestamp"}  # shown without quotes
FORMS: Final = 256  # kinds of lines that are kept
QUOTED: Final = re.compile(r"[ \t=\r\n\"']")
PLACE: Final = re.compile("\0(\\d+)\0")


class ConsoleFormatter(EventFormatter):
    """Writes time, level, event and logger, and then what else a line has by name."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._lines = ConsoleLines(colours=terminal, rich=terminal)

    def line(self, event: Event) -> str:
        return self._lines.line(event)


class ConsoleLines:
    """The lines of events; tracebacks are as Python writes them, or `rich`."""

    def __init__(self, *, colours: bool, rich: bool = False) -> None:
        import structlog  # noqa: PLC0415 - see `follow_structlog`

        dev = structlog.dev
        # without local variables: they hold what must not be shown
        traceback = dev.RichTracebackFormatter(show_locals=False) if rich else dev.plain_traceback
        self._renderer = dev.ConsoleRenderer(colors=colours, exception_formatter=traceback, pad_event_to=0)
        self._form = lru_cache(FORMS)(self._formed)

    def line(self, event: Event) -> str:
        """The line of an event, several lines where something stands below it."""
        form = None
        if event.get("event") and APPENDED.isdisjoint(event):
            form = self._form(event.get("level"), tuple(event))
        if form is None:
            return self._rendered(event)
        text, names = form
        return text % tuple([str(event[name]) if name in COLUMNS else _shown(event[name]) for name in names])

    def _rendered(self, event: Event) -> str:
        text: str = self._renderer(None, "", event)
        return text

    def _formed(self, level: str | None, names: tuple[str, ...]) -> tuple[str, list[str]] | None:
        """The renderer's own line of an event with such names, a place for each value; None where there is none."""
        event: Event = {name: level if name == "level" else f"\0{place}\0" for place, name in enumerate(names)}
        literals = PLACE.split(self._rendered(event))
        places = [int(each) for each in literals[1::2]]
        if len(places) != len(names) - ("level" in names) or max(places, default=0) >= len(names):
            return None  # a name that looks like a place
        text = "%s".join(each.replace("%", "%%") for each in literals[::2])
        return text, [names[place] for place in places]


def _shown(value: Any) -> str:
    return value if isinstance(value, str) and QUOTED.search(value) is None else repr(value)


def readable(*, colours: bool) -> Callable[[bytes], bytes]:
    """A function that shows a line of `JsonFormatter` as the console does, and any other line as it is.

    For who shows the lines of several processes: the console's 5 MB and 60 ms are then spent once.
    """
    lines: ConsoleLines | None = None

    def shown(line: bytes) -> bytes:
        nonlocal lines
        try:
            event = msgspec.json.decode(line) if line.startswith(b"{") else None
        except msgspec.DecodeError:
            return line
        if not isinstance(event, dict) or not event.keys() >= ALWAYS or not isinstance(event["level"], str):
            return line
        if not APPENDED.isdisjoint(event) and not all(isinstance(event.get(each, ""), str) for each in APPENDED):
            return line  # an app's own, which may have lists or numbers there
        if lines is None:
            lines = ConsoleLines(colours=colours)  # late: a start that logs nothing does without structlog
        return lines.line(event).encode()

    return shown
