"""Logs: one renderer for every line of a process, each with the trace and the operation it belongs to."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias

from meristem.context import current
from meristem.errors import ConfigurationError
from meristem.telemetry.console_lines import ConsoleFormatter
from meristem.telemetry.json_lines import JsonFormatter
from meristem.telemetry.log_events import Event, add_context
from meristem.telemetry.log_handler import LogHandler

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import Processor, WrappedLogger


Format: TypeAlias = Literal["auto", "console", "json"]


def configure(*, format: Format = "auto", level: str = "INFO", stream: TextIO | None = None) -> None:  # noqa: A002
    """Set up all logs of this process; only a process's main calls it.

    `console` is for people and coloured on a terminal, `json` has one object a line, `auto` takes the first on a
    terminal and the second elsewhere. The standard library's loggers and structlog's go the same way, structlog's
    from the next `follow_structlog` on.
    """
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ConfigurationError(f"there is no log level {level!r}; use DEBUG, INFO, WARNING or ERROR")
    stream = stream or sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115 - a daemon may have none
    console = format == "console" or (format == "auto" and stream.isatty())
    handler = LogHandler(stream, ConsoleFormatter(terminal=stream.isatty()) if console else JsonFormatter())
    root = logging.getLogger()
    for each in _installed():
        root.removeHandler(each)
        each.write_collected()
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


def show(tap: Callable[[Event], None]) -> None:
    """Show each event of this process's log to `tap` as well; what it is given changes afterwards."""
    for each in _installed():
        each.events.tap = tap


def _installed() -> list[LogHandler]:
    return [each for each in logging.getLogger().handlers if isinstance(each, LogHandler)]


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
    add_context(event, current())
    return event
