"""Logs: one renderer for every line of a process, each with the trace and the operation it belongs to."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO, TypeAlias

import msgspec

from meristem.context import current
from meristem.errors import ConfigurationError
from meristem.redaction import redact
from meristem.telemetry.json_lines import JsonFormatter

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from structlog.typing import Processor, WrappedLogger


Format: TypeAlias = Literal["auto", "console", "json"]
Event: TypeAlias = "MutableMapping[str, Any]"
ALWAYS: Final = {"event", "level", "logger", "timestamp"}  # what every line of a process has in JSON


class LogHandler(logging.StreamHandler[TextIO]):
    """The handler that `configure` installs; a second `configure` replaces it. No line shows a URL's password."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def configure(*, format: Format = "auto", level: str = "INFO", stream: TextIO | None = None) -> None:  # noqa: A002
    """Set up all logs of this process; only a process's main calls it.

    `console` is for people and coloured on a terminal, `json` has one object a line, `auto` takes the first on a
    terminal and the second elsewhere. The standard library's loggers and structlog's go the same way, structlog's
    from the next `follow_structlog` on.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigurationError(f"there is no log level {level!r}; use DEBUG, INFO, WARNING or ERROR")
    stream = sys.stderr if stream is None else stream
    handler = LogHandler(stream)
    console = format == "console" or (format == "auto" and stream.isatty())
    handler.setFormatter(_console_formatter(terminal=stream.isatty()) if console else JsonFormatter(add_context))
    root = logging.getLogger()
    for each in _installed():
        root.removeHandler(each)
    root.addHandler(handler)
    root.setLevel(number)
    logging.getLogger("alembic").setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)
    follow_structlog()


def follow_structlog() -> None:
    """Lead structlog's lines the same way, if a service or an app has imported it and not configured it itself.

    Meristem logs by the standard library and does not import structlog for JSON: it brings its console along, 5 MB and
    60 ms a process. So this is called when services and apps have been imported, before any of them is made.
    """
    structlog = sys.modules.get("structlog")
    if structlog is None or not (installed := _installed()) or structlog.is_configured():
        return
    is_json = isinstance(installed[-1].formatter, JsonFormatter)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            *([structlog.processors.format_exc_info] if is_json else []),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # so that loggers made before this call follow it
    )


def _installed() -> list[LogHandler]:
    return [each for each in logging.getLogger().handlers if isinstance(each, LogHandler)]


def _console_formatter(*, terminal: bool) -> logging.Formatter:
    import structlog  # noqa: PLC0415 - see `follow_structlog`

    # without local variables: they hold what must not be shown
    traceback = structlog.dev.RichTracebackFormatter(show_locals=False) if terminal else None
    render = _renderer(colours=terminal, traceback=traceback)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), structlog.stdlib.ExtraAdder(), drop_message],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )


def _renderer(*, colours: bool, traceback: Any = None) -> Any:
    """What makes a line for people of an event; tracebacks are as Python writes them unless one is given for them."""
    import structlog  # noqa: PLC0415 - see `follow_structlog`

    shown = traceback or structlog.dev.plain_traceback
    return structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=shown, pad_event_to=0)


def readable(*, colours: bool) -> Callable[[bytes], bytes]:
    """A function that shows a line of `JsonFormatter` as the console does, and any other line as it is.

    For who shows the lines of several processes: the console's 5 MB and 60 ms are then spent once.
    """
    render: Any = None

    def shown(line: bytes) -> bytes:
        nonlocal render
        try:
            event = msgspec.json.decode(line) if line.startswith(b"{") else None
        except msgspec.DecodeError:
            return line
        if not isinstance(event, dict) or not event.keys() >= ALWAYS:
            return line
        if render is None:
            render = _renderer(colours=colours)  # late: a start that logs nothing does without structlog
        text: str = render(None, "", event)
        return text.encode()

    return shown


def _shared() -> list[Processor]:
    import structlog  # noqa: PLC0415 - see `follow_structlog`

    return [
        structlog.contextvars.merge_contextvars,
        _add_context,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def _add_context(_logger: WrappedLogger, _method: str, event: Event) -> Event:
    add_context(event)
    return event


def drop_message(_logger: WrappedLogger, _method: str, event: Event) -> Event:
    """Another handler's formatter leaves the finished text in the record; it is the event once more."""
    event.pop("message", None)
    return event


def add_context(event: Event) -> None:
    """Add trace id, span id, service, operation and caller of the running call; what the line says itself wins."""
    context = current()
    if context.trace is not None:
        event.setdefault("trace_id", context.trace.trace_id)
        event.setdefault("span_id", context.trace.span_id)
    if context.place is not None:
        event.setdefault("service", context.place.service)
        event.setdefault("operation", context.place.operation)
    if context.caller is not None:
        event.setdefault("caller", context.caller)
