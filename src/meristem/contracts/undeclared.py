"""What a caller is told of an error that is not for it: a code, a sentence, and the trace that the log has it under."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from meristem.context import current
from meristem.errors import CallError, Code, Fault, StorageUnavailable

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation

logger = logging.getLogger(__name__)


def undeclared(operation: Operation, error: BaseException) -> CallError:
    """Log an error that must not leave, with its traceback; the error that its caller gets instead."""
    if isinstance(error, StorageUnavailable):  # no bug to look for: a line is enough, and the caller may come again
        logger.warning("%s failed: %s", operation.label, error)
        return CallError(Code.UNAVAILABLE, _sentence(operation.label))
    remedy = " (declare it in raises=[...])" if isinstance(error, Fault) else ""
    logger.error("%s failed%s", operation.label, remedy, exc_info=error)
    return internal(operation.label)


def withheld(operation: Operation, error: CallError) -> CallError:
    """Log an error of a call below, whose text is not for callers from outside; what they get instead."""
    logger.warning("%s failed by a call below: %s", operation.label, error)
    return CallError(
        error.code, _sentence(operation.label), may_have_happened=error.may_have_happened, retry_after=error.retry_after
    )


def internal(label: str) -> CallError:
    """The error `internal`: nothing of what happened, which may hold secrets, and where an operator finds it."""
    return CallError(Code.INTERNAL, _sentence(label))


def _sentence(label: str) -> str:
    trace = current().trace
    where = "" if trace is None else f" under trace {trace.trace_id}"
    return f"{label} failed; the log says why{where}"
