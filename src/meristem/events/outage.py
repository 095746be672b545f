"""Whether a failure is an outage, which passes, or a refusal of the event, which repeating it does not change."""

from __future__ import annotations

import errno
import socket
from asyncio import CancelledError
from collections.abc import Iterator
from typing import Final

from meristem.errors import CallError, Code, Fault, OperationError, StorageError, StorageUnavailable, keepable

AWAY: Final = frozenset({Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED, Code.RESOURCE_EXHAUSTED, Code.ABORTED})
"""The codes by which a callee says that the same call may succeed later."""
LONGEST: Final = 1000  # characters of an error beside its event
_NETWORK: Final = (ConnectionError, TimeoutError, socket.gaierror, socket.herror)
_ERRNOS: Final = frozenset(
    {
        errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENOBUFS,
        errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC,
    }
)  # fmt: skip
_SEVERAL: Final = "Multiple exceptions: "  # asyncio tried several addresses, and names all their failures in one text
_LOCKED: Final = frozenset({"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN"})


class FailedElsewhere(OperationError):
    """A handler of another process failed; the text is the error as `describe` has it there.

    Where it is an outage, the event waits as in one process, and no sooner is it tried than the callee asked for.
    """

    def __init__(self, described: str, *, is_outage: bool = False, retry_after: float | None = None) -> None:
        super().__init__(described)
        self.is_outage = is_outage
        self.retry_after = retry_after


def is_outage(failure: BaseException) -> bool:
    """Whether what a handler needs is away, or it took too long; else it refused the event.

    An error says so itself, or it was raised `from` one that does: what a library makes of a refused connection is
    known by its cause. Of several at once each must say so.
    """
    if isinstance(failure, BaseExceptionGroup):
        return all(is_outage(each) for each in failure.exceptions)
    return any(map(_says_so, _causes(failure)))


def _causes(failure: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    cause: BaseException | None = failure
    # A declared fault is the callee's answer, whatever it was made of.
    while cause is not None and id(cause) not in seen and not isinstance(cause, Fault):
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__


def _says_so(error: BaseException) -> bool:
    if isinstance(error, CallError):
        return error.code in AWAY
    if isinstance(error, StorageUnavailable):
        return True
    if isinstance(error, StorageError):
        name = getattr(error.__cause__, "sqlite_errorname", "")
        return any(name.startswith(each) for each in _LOCKED)
    if isinstance(error, OSError):
        return isinstance(error, _NETWORK) or error.errno in _ERRNOS or str(error).startswith(_SEVERAL)
    if isinstance(error, FailedElsewhere):
        return error.is_outage
    return isinstance(error, CancelledError)  # a time limit cut it off


def describe(failure: BaseException) -> str:
    """An error in one line, as it is kept beside the event; the same wherever its handler lives."""
    told = f"{type(failure).__name__}: {failure}".removesuffix(": ")  # as of a bare TimeoutError
    text = str(failure) if isinstance(failure, FailedElsewhere) else told
    return keepable(text[:LONGEST])


def patience_asked_for(failure: BaseException) -> float | None:
    """The seconds after which a callee wants to be asked again; None where it said nothing."""
    return failure.retry_after if isinstance(failure, CallError | FailedElsewhere) else None
