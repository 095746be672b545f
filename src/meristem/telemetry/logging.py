"""Logs: one renderer for every line of a process, each with the trace and the operation it belongs to."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO, TypeAlias

import msgspec
import structlog

from meristem.context import current
from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import Processor, WrappedLogger


Format: TypeAlias = Literal["auto", "console", "json"]
Event: TypeAlias = "MutableMapping[str, Any]"

_encode: Final = msgspec.json.Encoder(enc_hook=repr).encode


class LogHandler(logging.StreamHandler[TextIO]):
    """The handler that `configure` installs; a second `configure` replaces it."""


def configure(*, format: Format = "auto", level: str = "INFO", stream: TextIO | None = None) -> None:  # noqa: A002
    """Set up all logs of this process; only a process's main calls it.

    `console` is for people and coloured on a terminal, `json` has one object a line, `auto` takes the first on a
    terminal and the second elsewhere. The standard library's loggers and structlog's go the same way.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigurationError(f"there is no log level {level!r}; use DEBUG, INFO, WARNING or ERROR")
    stream = sys.stderr if stream is None else stream
    handler = LogHandler(stream)
    handler.setFormatter(_formatter(format, terminal=stream.isatty()))
    root = logging.getLogger()
    for each in [each for each in root.handlers if isinstance(each, LogHandler)]:
        root.removeHandler(each)
    root.addHandler(handler)
    root.setLevel(number)
    logging.getLogger("alembic").setLevel(max(number, logging.WARNING) if number > logging.DEBUG else number)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,  # so that loggers made before this call follow it
    )


def _formatter(form: Format, *, terminal: bool) -> logging.Formatter:
    console = form == "console" or (form == "auto" and terminal)
    render: list[Processor]
    if console:
        # without local variables: they hold what must not be shown
        traceback = (
            structlog.dev.RichTracebackFormatter(show_locals=False) if terminal else structlog.dev.plain_traceback
        )
        render = [structlog.dev.ConsoleRenderer(colors=terminal, exception_formatter=traceback, pad_event_to=0)]
    else:
        render = [structlog.processors.format_exc_info, render_json]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), structlog.stdlib.ExtraAdder(), drop_message],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        add_context,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]


def add_context(_logger: WrappedLogger, _method: str, event: Event) -> Event:
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
    return event


def drop_message(_logger: WrappedLogger, _method: str, event: Event) -> Event:
    """Another handler's formatter leaves the finished text in the record; it is the event once more."""
    event.pop("message", None)
    return event


def render_json(_logger: WrappedLogger, _method: str, event: Event) -> str:
    """One JSON object; what JSON does not know is written as its `repr`."""
    try:
        return _encode(event).decode()
    except (TypeError, msgspec.MsgspecError):  # a mapping with odd keys: the line matters more than its form
        return _encode({str(key): repr(value) for key, value in event.items()}).decode()
