"""What a caller is told of an error that no contract declares: that there was one, and where the rest is written."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from meristem.errors import CallError, Code, Fault

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation

logger = logging.getLogger(__name__)


def undeclared(operation: Operation, error: BaseException) -> CallError:
    """Log an error that must not leave, with its traceback; the error that its caller gets instead."""
    remedy = " (declare it in raises=[...])" if isinstance(error, Fault) else ""
    logger.error("%s failed%s", operation.label, remedy, exc_info=error)
    return internal(operation)


def internal(operation: Operation) -> CallError:
    """The error `internal`: nothing of what happened, which may hold secrets, and where an operator finds it."""
    return CallError(Code.INTERNAL, f"{operation.label} failed; its service's log says why")
