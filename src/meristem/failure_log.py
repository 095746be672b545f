"""Logs what failed and is tried again: a bug with its traceback, the condition of a database in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.errors import StorageError, StorageUnavailable

if TYPE_CHECKING:
    import logging


def is_condition(error: BaseException) -> bool:
    """Whether it says how a database is (full, locked, out of reach) and passes: nothing that code could mend."""
    return isinstance(error, StorageError) and (bool(error.condition) or isinstance(error, StorageUnavailable))


def traceback_of(error: BaseException) -> BaseException | None:
    """What belongs below the line that tells of an error, for `exc_info`."""
    return None if is_condition(error) else error


def log_failure(logger: logging.Logger, error: BaseException, text: str, *values: object) -> None:
    """Log `text`, formatted with `values`, and the error behind it."""
    logger.error(f"{text}: %s", *values, error, exc_info=traceback_of(error))  # noqa: G004 - the text is the caller's
