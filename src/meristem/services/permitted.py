"""Which errors leave a service: those that its contract declares, and nothing that hangs on them."""

from __future__ import annotations

import logging
from asyncio import CancelledError
from typing import TYPE_CHECKING

import msgspec

from meristem.contracts.codec import declared
from meristem.contracts.undeclared import undeclared
from meristem.errors import CallError, Fault
from meristem.variables import is_cancelled

if TYPE_CHECKING:
    from meristem.contracts.operation import Operation

logger = logging.getLogger(__name__)


def permitted(operation: Operation, error: BaseException) -> BaseException:
    """What the caller may see of an error: what a wire would carry, and nothing that hangs on it."""
    if isinstance(error, CallError):
        return error.passed_on()
    if not isinstance(error, Exception | CancelledError) or is_cancelled(error):
        return error
    if isinstance(error, Fault) and (fault := _declared(operation, error)) is not None:
        return fault
    return undeclared(operation, error).passed_on()


def _declared(operation: Operation, error: Fault) -> Fault | None:
    try:
        return declared(error, operation.raises)
    except (TypeError, ValueError, msgspec.MsgspecError):
        logger.exception("%s: the fields of %s are not as declared", operation.label, type(error).__name__)
        return None
