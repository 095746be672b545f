"""What a caller is told of an error that is not for it: a code, a sentence, and the trace that the log has it under."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from meristem.context import current
from meristem.contracts.operation import Semantics
from meristem.errors import CallError, Code, Fault, StorageError
from meristem.failure_log import is_condition

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation

logger = logging.getLogger(__name__)
WHY: Final = "the log says why"
MORE: Final = "the log says more"

_PASSING: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED})


def undeclared(operation: Operation, error: BaseException) -> CallError:
    """Log an error that must not leave, with its traceback; the error that its caller gets instead."""
    # No bug to look for: a line is enough, and the caller may come again.
    if isinstance(error, StorageError) and is_condition(error):
        logger.warning("%s failed: %s", operation.label, error)
        return CallError(Code.UNAVAILABLE, _sentence(operation.label, error.condition))
    remedy = " (declare it in raises=[...])" if isinstance(error, Fault) else ""
    logger.error("%s failed%s", operation.label, remedy, exc_info=error)
    return internal(operation.label)


def withheld(operation: Operation, error: CallError) -> CallError:
    """Log an error of a call below, whose text is not for callers from outside; what they get instead."""
    return withheld_at(operation.label, error, _advice(operation, error))


def withheld_at(label: str, error: CallError, advice: str) -> CallError:
    """As `withheld`, where no operation is answered: `label` says what failed, `advice` what to do if that passes."""
    logger.warning("%s failed by a call below: %s", label, error)
    text = f"{_sentence(label)}{advice if error.code in _PASSING else ''}"
    told = CallError(error.code, text, may_have_happened=error.may_have_happened, retry_after=error.retry_after)
    told.from_service = error.from_service
    return told


def _advice(operation: Operation, error: CallError) -> str:
    """What a caller can do about a failure that passes: it must know whether a repetition could do it twice."""
    if not error.may_have_happened:
        return ". Nothing was done: try again"
    if operation.semantics is Semantics.ONCE:
        return ". It may have been done: try again under the same idempotency key, which gives the answer of the first"
    return ". Try again" if operation.semantics.repeatable else ". It may have been done: look before you try again"


def internal(label: str) -> CallError:
    """The error `internal`: nothing of what happened, which may hold secrets, and where an operator finds it."""
    return CallError(Code.INTERNAL, _sentence(label))


def _sentence(label: str, condition: str = "") -> str:
    trace = current().trace
    where = "" if trace is None else f" under trace {trace.trace_id}"
    told = f": {condition}; {MORE}" if condition else f"; {WHY}"
    return f"{label} failed{told}{where}"
