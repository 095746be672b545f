"""The handler of a process's log: lines one by one, and those of the access log by the turn of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, TextIO

from meristem.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meristem.telemetry.log_events import Event, EventFormatter

MOST: Final = 512  # events that are collected
LONG: Final = 1024  # characters of one that waits for no others
WHOLE: Final = getattr(select, "PIPE_BUF", 512)  # bytes that a pipe takes in one piece, whoever else writes to it


class LogHandler(logging.StreamHandler[TextIO]):
    """The handler that `configure` installs. No line shows a URL's password.

    Events of the access log may be collected instead of handled: they are written together at the end of the loop's
    turn, before any other line, and at the latest when logging shuts down.
    """

    def __init__(self, stream: TextIO, events: EventFormatter) -> None:
        super().__init__(stream)
        self.events = events
        self.setFormatter(events)
        self._collected: list[Event] = []
        self._turning: asyncio.AbstractEventLoop | None = None  # whose turn will end with a write
        if hasattr(os, "register_at_fork"):  # what was collected before is written by the parent
            os.register_at_fork(after_in_child=self._collected.clear)

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))

    def emit(self, record: logging.LogRecord) -> None:
        self.write_collected()
        super().emit(record)

    def flush(self) -> None:
        self.write_collected()
        super().flush()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the library's name
        with contextlib.suppress(ValueError):  # standard error, where it would be told, is closed itself
            super().handleError(record)

    def collect(self, event: Event) -> None:
        """Take the event of a line that nobody else takes; what it holds must not change any more."""
        assert self.lock is not None  # every handler has one
        with self.lock:
            collected = self._collected
            collected.append(event)
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                loop = None
            if loop is None or len(collected) >= MOST or len(event["event"]) > LONG:
                self.write_collected()
            elif loop is not self._turning:
                self._turning = loop
                loop.call_soon(self.write_collected)

    def write_collected(self) -> None:
        """Write what was collected; a failure is told as that of any line."""
        assert self.lock is not None
        with self.lock:
            self._turning = None
            if not self._collected:
                return
            collected = self._collected.copy()
            self._collected.clear()
            try:
                if self.events.tap is not None:
                    for each in collected:
                        self.events.tap(each)
                for piece in _pieces(redact(self.events.lines(collected))):
                    self.stream.write(piece)
                    super().flush()
            except RecursionError:  # as in `emit` of the library (bpo 36272)
                raise
            except Exception:  # a boundary: what is logged must not break what logs
                self.handleError(logging.makeLogRecord({"msg": collected[-1]["event"], "levelname": "INFO"}))


def sole_handler(logger: logging.Logger, level: int) -> LogHandler | None:
    """The handler of ours if a line of a logger would go to it alone, unchanged and seen by nothing else."""
    handlers = logger.root.handlers
    if len(handlers) != 1 or type(handler := handlers[0]) is not LogHandler:
        return None
    if handler.filters or handler.level > level or handler.formatter is not handler.events or logger.filters:
        return None
    above: logging.Logger | None = logger
    while above is not logger.root:
        if above is None or above.handlers or not above.propagate:
            return None
        above = above.parent
    kind = type(logger)
    # Tools that watch logs put a function of their own in the place of one of these, or make the records.
    is_library = _is_library(kind._log, kind.handle, kind.callHandlers, kind.makeRecord)  # noqa: SLF001 - as they do
    return handler if is_library and logging.getLogRecordFactory() is logging.LogRecord else None


@lru_cache(16)
def _is_library(*functions: Any) -> bool:
    return all(getattr(each, "__globals__", None) is vars(logging) for each in functions)


def _pieces(text: str) -> Iterator[str]:
    """The lines of a text in pieces that the lines of other processes do not break, if they are not too long."""
    most = WHOLE if text.isascii() else WHOLE // 4
    start = 0
    while len(text) - start > most:
        end = text.rfind("\n", start, start + most) + 1 or text.index("\n", start + most) + 1
        yield text[start:end]
        start = end
    if start < len(text):
        yield text[start:]
