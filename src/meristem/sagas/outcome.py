"""How an execution of a saga's function ends, and what a person reads when it cannot go on."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any, Final, TypeAlias

import msgspec

from meristem.errors import CallError, Code
from meristem.sagas.commands import SagaCommand
from meristem.sagas.failures import Failure, StepBroken, describe
from meristem.sagas.records import StepRow


class Returned(msgspec.Struct, frozen=True):
    """The function came to its end."""

    value: Any


class Raised(msgspec.Struct, frozen=True):
    """The function failed, or must not go on: what was done is to be undone.

    `bug` is the error of a function that failed by one of its own; that of a step was logged where it failed.
    """

    failure: Failure
    bug: BaseException | None = None


class Suspended(msgspec.Struct, frozen=True):
    """The function has nothing to do before this time, or before an event."""

    until: datetime | None


class Stuck(msgspec.Struct, frozen=True):
    """The code and the journal do not fit: a person must look. `failure` is by what the function ended too early."""

    problem: str
    failure: Failure | None = None


class Aborted(msgspec.Struct, frozen=True):
    """The journal could not be written, or belongs to another replica now."""

    error: BaseException


Outcome: TypeAlias = Returned | Raised | Suspended | Stuck | Aborted

_REMEDY: Final = (
    "a saga under way must find the code it began with: restore that, behind flow.patched or flow.version beside what "
    "is new, and `meristem sagas retry` it"
)


def cancelled() -> Raised:
    """Nobody wants the saga any more: an operator, who holds its handle, or a parent that is undone."""
    text = "the saga was cancelled"
    return Raised(describe(CallError(Code.CANCELED, text, may_have_happened=False)))


def impatient() -> Raised:
    """The function ended a wait by a limit that the journal knows nothing of."""
    text = (
        "a saga can't end a wait by asyncio.timeout() or asyncio.wait_for(): run again after a crash, it would end "
        "elsewhere. Give the operation its timeout=, or use flow.wait_for(…, timeout=…) or flow.sleep()"
    )
    return Raised(describe(CallError(Code.UNIMPLEMENTED, text)))


def mismatch(command: SagaCommand, row: StepRow) -> Stuck:
    """The code asks something else than the journal answers."""
    found, expected = told(command), told(row)
    if found == expected:
        found, expected = f"{found} with request {command.request}", f"{expected} with request {row.request}"
    return Stuck(f"step {row.position}: the journal has {expected}, the code now asks for {found}; {_REMEDY}")


def told(step: SagaCommand | StepRow) -> str:
    """A step by its kind and its name, once where they are the same word."""
    return step.name if step.name == step.kind.value else f"{step.kind.value} {step.name}"


def unreadable(command: SagaCommand, error: Exception) -> Stuck:
    """The journal's answer does not fit the code's type any more."""
    step = f"the stored answer of step {command.position} ({command.name})"
    return Stuck(
        f"{step} cannot be read any more: {error}; let its type read what it wrote before, and `meristem sagas retry` "
        "the saga, or fork it from this step"
    )


def unreached(history: Iterable[StepRow], reached: Collection[str], error: BaseException | None) -> Stuck | None:
    """The journal holds steps that the function ended without; `error` is what it raised, if it did."""
    missed = ", ".join(f"{row.position} ({row.name})" for row in history if row.position not in reached)
    if not missed:
        return None
    failure = None if error is None else describe(error)
    why = "" if failure is None else f" ({failure.message})"
    return Stuck(f"the journal has step {missed}, which the code no longer reaches{why}; {_REMEDY}", failure)


def raised(error: BaseException | None) -> Raised:
    """The function's error; None when it cancelled itself."""
    failure = describe(error or CallError(Code.CANCELED, "the saga's function cancelled itself"))
    return Raised(failure, error if failure.details and not isinstance(error, StepBroken) else None)
