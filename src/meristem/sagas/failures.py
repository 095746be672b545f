"""How a step or a saga failed: kept as JSON, raised again as the same error, judged by what may have happened."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from enum import Enum
from typing import Final, Literal

import msgspec

from meristem.contracts.codec import decode_fault, decoder, encode, encode_fault
from meristem.errors import (
    DEFINITE,
    CallError,
    Code,
    Fault,
    FieldViolation,
    IntegrityViolation,
    MisuseError,
    SagaParked,
    StorageError,
    keepable,
)

PASSING: Final = frozenset({Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED, Code.DEADLINE_EXCEEDED, Code.CANCELED})


class WaitTimedOut(CallError, TimeoutError):
    """The event that a saga waited for did not come in time; `except TimeoutError` catches it."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.DEADLINE_EXCEEDED, message, may_have_happened=False, private=True)


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error as the journal keeps it; `details` is the traceback of a bug, for people: it never leaves the journal.

    `private` is as a CallError's: what came from a call below.
    """

    kind: Literal["fault", "call", "timeout"]
    name: str
    message: str
    code: Code = Code.INTERNAL
    may_have_happened: bool = False
    violations: tuple[tuple[str, str], ...] = ()
    fields: msgspec.Raw = msgspec.Raw(b"{}")
    details: str = ""
    private: bool = False


class ChildFailed(CallError):
    """What a child saga failed by: it has undone what it did, and gives the same error however often it is asked."""

    def __init__(self, error: CallError) -> None:
        super().__init__(
            error.code, error.message, may_have_happened=error.may_have_happened, violations=error.violations,
            private=error.private,
        )  # fmt: skip


class StepBroken(CallError):
    """What a saga's function gets of an error in a step that is no call's: a bug, whose text no caller sees."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.code, failure.message, may_have_happened=failure.may_have_happened, private=True)
        self.failure = failure


class Verdict(Enum):
    """What a failed call means for the step that made it."""

    FINAL = "final"  # the answer is no, and nothing happened
    LATER = "later"  # it did not happen, and may work in a moment
    UNCERTAIN = "uncertain"  # it may have happened
    BROKEN = "broken"  # it may have happened, and a repetition rarely helps: the callee has a bug


def judge(error: CallError) -> Verdict:
    """Read a call's error: did it happen, and is it worth a repetition?"""
    if isinstance(error, ChildFailed):
        return Verdict.FINAL
    if not error.may_have_happened:
        return Verdict.LATER if error.code in PASSING else Verdict.FINAL
    # Whatever `may_have_happened` says: these codes are given by a callee that has looked and refused.
    if error.code in DEFINITE:
        return Verdict.FINAL
    return Verdict.UNCERTAIN if error.code in PASSING else Verdict.BROKEN


def is_bug(error: Exception) -> bool:
    """Whether code is to be mended, rather than a line or a database to come back."""
    if isinstance(error, CallError):
        return error.code is Code.INTERNAL
    return isinstance(error, IntegrityViolation) or not isinstance(error, (Fault, StorageError))


def told(error: BaseException) -> str:
    """An error in a line, for people."""
    return keepable(str(error) if isinstance(error, (CallError, Fault)) else f"{type(error).__name__}: {error}")


def describe(error: BaseException) -> Failure:
    """The journal's form of an error; one that is neither a fault nor a call's becomes `internal`."""
    name = f"{type(error).__module__}:{type(error).__qualname__}"
    if isinstance(error, StepBroken):
        return error.failure
    if isinstance(error, Fault) and (fields := _fields(error)) is not None:
        return Failure("fault", name, told(error), error.code, fields=msgspec.Raw(fields))
    if isinstance(error, WaitTimedOut):
        return Failure("timeout", name, error.message, error.code)
    if isinstance(error, SagaParked):
        error = error.passed_on()  # its problem is in its own row; this one's caller may be told what stands here
    if isinstance(error, CallError):
        violations = tuple((each.field, each.reason) for each in error.violations)
        happened, private = error.may_have_happened, error.private
        return Failure("call", name, error.message, error.code, happened, violations, private=private)
    return Failure("call", name, told(error), details=keepable("".join(traceback.format_exception(error))))


def _fields(fault: Fault) -> bytes | None:
    """What a fault tells; None where no JSON holds it, half of a surrogate pair: then it is a bug like any other."""
    try:
        return encode_fault(fault)
    except UnicodeEncodeError:
        return None


def write(failure: Failure) -> str:
    """A failure as JSON."""
    return encode(failure).decode()


def read(text: str) -> Failure:
    """A failure from JSON."""
    failure: Failure = decoder(Failure)(text)
    return failure


def revive(failure: Failure) -> Exception:
    """The error again, for the function whose step failed."""
    if failure.kind == "fault":
        return decode_fault(_fault_class(failure.name), bytes(failure.fields))
    if failure.kind == "timeout":
        return WaitTimedOut(failure.message)
    if failure.details:
        return StepBroken(failure)
    violations = tuple(FieldViolation(field, reason) for field, reason in failure.violations)
    happened, private = failure.may_have_happened, failure.private
    return CallError(failure.code, failure.message, may_have_happened=happened, violations=violations, private=private)


def _fault_class(name: str) -> type[Fault]:
    # By its name among the classes that exist: the journal must not be able to import anything.
    for cls in _descendants(Fault):
        if f"{cls.__module__}:{cls.__qualname__}" == name:
            return cls
    raise MisuseError(f"the journal holds the fault {name}, which this program does not define; import or restore it")


def _descendants(cls: type[Fault]) -> Iterator[type[Fault]]:
    for each in cls.__subclasses__():
        yield each
        yield from _descendants(each)
