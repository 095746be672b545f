"""Turns what goes wrong in a service into a status, and logs it: a middleware of the whole system.

    System("bookshop", services=SERVICES, middleware=[monitor])

Without it Meristem answers `internal` for each error that a contract doesn't declare. Here those that Python has a
class for get the status that they mean, and whatever isn't answered well leaves a line that names the operation.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from meristem import Call, CallError, Code, Fault, Handler, MeristemError, current

logger = logging.getLogger(__name__)

STATUSES: Final[tuple[tuple[type[Exception], Code], ...]] = (  # the first that fits
    (NotImplementedError, Code.UNIMPLEMENTED),
    (PermissionError, Code.PERMISSION_DENIED),
    (FileNotFoundError, Code.NOT_FOUND),
    (LookupError, Code.NOT_FOUND),
    (ValueError, Code.INVALID_ARGUMENT),
    (TimeoutError, Code.DEADLINE_EXCEEDED),
    (ConnectionError, Code.UNAVAILABLE),
)
OUTAGES: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED})


def monitor(handler: Handler) -> Handler:
    """Wrap the handler of an operation."""

    async def monitored(call: Call) -> Any:
        label = call.operation.label
        try:
            return await handler(call)
        except Fault as fault:  # an answer of the contract: business as usual
            logger.info("%s answered %s", label, type(fault).__name__)
            raise
        except CallError as error:
            logger.log(_level(error.code), "%s answered %s: %s", label, error.code.value, error.message)
            raise
        except MeristemError:  # the framework knows what becomes of its own
            raise
        except Exception as error:
            code = status_of(error)
            logger.log(_level(code), "%s answered %s", label, code.value, exc_info=error)
            raise CallError(code, _sentence(label), may_have_happened=True) from error

    return monitored


def status_of(error: Exception) -> Code:
    """The status that an exception means: `internal` where it says nothing."""
    return next((code for kind, code in STATUSES if isinstance(error, kind)), Code.INTERNAL)


def _level(code: Code) -> int:
    """What is our fault is an error, what passes a warning, and what was asked wrongly is of interest at most."""
    if code in {Code.INTERNAL, Code.UNKNOWN, Code.DATA_LOSS}:
        return logging.ERROR
    return logging.WARNING if code in OUTAGES else logging.INFO


def _sentence(label: str) -> str:
    """What the caller is told: where an operator finds the rest, and nothing of it, which may be private."""
    trace = current().trace
    where = "" if trace is None else f" under trace {trace.trace_id}"
    return f"{label} failed; the log says why{where}"
