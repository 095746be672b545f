"""What a saga's function asks of the engine: calls, sleeps and waits, each with its place in the journal."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Final

import msgspec

from meristem.contracts.codec import canonical, decoder
from meristem.contracts.operation import Operation, Semantics
from meristem.contracts.wiretypes import annotations_of
from meristem.errors import MisuseError
from meristem.sagas.failures import read, revive
from meristem.sagas.records import Kind, StepRow, StepState

SAGA_MARK: Final = "__saga__"


class SagaCommand(msgspec.Struct, eq=False):
    """One thing asked: what it was, where it stands, and its answer once that is journaled.

    `request` is a fingerprint of the arguments, `reply` the type of the answer, which `future` gives to the function.
    """

    future: asyncio.Future[Any]
    kind: Kind
    name: str
    request: str
    reply: Any
    position: str = ""
    is_in_branch: bool = False  # whether a task beside the function's own asked
    row: StepRow | None = None

    def matches(self, row: StepRow) -> bool:
        """Whether the journal's step is this one."""
        return (row.kind, row.name, row.request) == (self.kind, self.name, self.request)

    def new_row(self, saga_id: str, started: datetime) -> StepRow:
        """The row of a command that is begun now."""
        return StepRow(saga_id, self.position, self.kind, self.name, self.request, StepState.WAITING, started)

    @property
    def journaled(self) -> StepRow:
        """The step's row, which exists by now."""
        if self.row is None:
            raise RuntimeError(f"step {self.position} ({self.name}) is not in the journal")
        return self.row

    def answer(self) -> Any:
        """The journaled reply, or raise the journaled error."""
        row = self.row or self.journaled
        if row.error is not None:
            raise revive(read(row.error))
        return None if row.reply is None else decoder(self.reply)(row.reply)  # type: ignore[arg-type]

    def late_reply(self) -> Any:
        """The reply, be it one that came after the function had been told of an error."""
        text = self.journaled.reply
        return None if text is None else decoder(self.reply)(text)  # type: ignore[arg-type]


class Step(msgspec.Struct, frozen=True):
    """A callable, understood: `direct` means that it is one call of one operation, which takes the step's own key.

    A `lasting` one keeps its answer under that key: a repeated call gets it again.
    """

    kind: Kind
    name: str
    reply: Any
    direct: bool
    harmless: bool = False
    lasting: bool = False


class CallCommand(SagaCommand, kw_only=True):
    """A call of another service, or a step of the service itself.

    `may_have_begun`: before this execution, which then finds no answer of it in the journal.
    """

    step: Step
    method: Callable[..., Awaitable[Any]]
    arguments: tuple[Any, ...]
    undo: Callable[[Any], Awaitable[object]] | None
    may_have_begun: bool = False


class SleepCommand(SagaCommand, kw_only=True):
    """A pause that outlives the process."""

    seconds: float | None

    def new_row(self, saga_id: str, started: datetime) -> StepRow:
        row = SagaCommand.new_row(self, saga_id, started)
        row.due = None if self.seconds is None else started + timedelta(seconds=self.seconds)
        return row


class WaitCommand(SleepCommand, kw_only=True):
    """The wait for an event: a pause that the event ends early, and that ends in an error."""

    key: str

    def new_row(self, saga_id: str, started: datetime) -> StepRow:
        row = SleepCommand.new_row(self, saga_id, started)
        row.subject = self.key
        return row


def step_of(method: Callable[..., Awaitable[Any]], *, needs_reply: bool = True) -> Step:
    """How to treat `method`; raises MisuseError when its answer could not be journaled."""
    client: Any = type(getattr(method, "__self__", None))
    if hasattr(client, "__operations__") and (step := _operation_step(client, getattr(method, "__name__", ""))):
        return step
    function = getattr(method, "__func__", method)
    definition = getattr(function, SAGA_MARK, None)
    if definition is not None:
        return Step(Kind.CALL, function.__qualname__, definition.returns, True, lasting=True)
    name = getattr(function, "__qualname__", None)
    if name is None:
        raise MisuseError(f"{method!r} cannot be a step; give a client's method, or an async function or method")
    return Step(Kind.LOCAL, name, _returns(function) if needs_reply else Any, False)


@cache  # a client's class lives as long as its contract
def _operation_step(client: Any, name: str) -> Step | None:
    operation: Operation | None = client.__operations__.get(name)
    if operation is None:
        return None
    if operation.stream:
        raise MisuseError(f"{operation.label} is a stream; a saga's step needs one answer")
    if not operation.semantics.repeatable:
        raise MisuseError(f"{operation.label}: a saga repeats a step after a crash; declare it @once or @idempotent")
    harmless, lasting = operation.semantics is Semantics.SAFE, operation.semantics is Semantics.ONCE
    return Step(Kind.CALL, operation.label, operation.reply, True, harmless, lasting)


@cache
def _returns(function: Callable[..., Any]) -> Any:
    where = getattr(function, "__qualname__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise MisuseError(f"{where} cannot be a step: declare it `async def`")
    hints = annotations_of(function, where)
    if "return" not in hints:
        raise MisuseError(f"{where}: annotate what it returns, `-> None` if nothing, so that it can be journaled")
    return hints["return"]


def fingerprint(name: str, values: Any) -> str:
    """A short hash of a request: enough to see that the code asks something else than before."""
    try:
        text = canonical(values)
    except TypeError as error:
        raise MisuseError(
            f"{name}: its arguments cannot be journaled: {error}; give messages and plain values"
        ) from None
    return hashlib.blake2b(text, digest_size=8).hexdigest()
