"""What a saga's function asks of the engine: calls, sleeps and waits, each with its place in the journal."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any, Final

import msgspec

from meristem.context import Context
from meristem.contracts.canonical import canonical
from meristem.contracts.codec import decoder
from meristem.contracts.operation import Operation, Semantics
from meristem.contracts.wiretypes import annotations_of
from meristem.errors import MisuseError
from meristem.lifecycle import first_of
from meristem.sagas.failures import read, revive
from meristem.sagas.records import Kind, StepRow, StepState

SAGA_MARK: Final = "__saga__"
ENGINE_MARK: Final = "__saga_engine__"
START: Final = "start of "  # begins the name of a step that starts a saga which is left to itself
_SIGNAL: Final = "signal:"  # no event's type has a colon


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
    is_answered: bool = False  # whether its answer is in the journal, or on its way there
    is_given_up: bool = False  # whether its branch ended with another one's failure
    _given_up: asyncio.Event | None = None

    def give_up(self) -> None:
        """Nobody wants the answer any more."""
        self.is_given_up = True
        if self._given_up is not None:
            self._given_up.set()

    async def unless_given_up(self, waiting: Coroutine[Any, Any, object]) -> None:
        """Wait, but no longer than somebody wants the answer."""
        if not self.is_in_branch:
            await waiting
            return
        self._given_up = self._given_up or asyncio.Event()
        if self.is_given_up:
            self._given_up.set()
        await first_of(waiting, self._given_up.wait())

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
        return None if row.reply is None else decoder(self.reply)(row.reply)

    def late_reply(self) -> Any:
        """The reply, be it one that came after the function had been told of an error."""
        text = self.journaled.reply
        return None if text is None else decoder(self.reply)(text)


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
    is_saga: bool = False  # of the service itself


class CallCommand(SagaCommand, kw_only=True):
    """A call of another service, or a step of the service itself.

    `may_have_begun`: before this execution, which then finds no answer of it in the journal. `values` are a request's,
    where those after the first `told` are defaults, which `request` is without.
    """

    step: Step
    method: Callable[..., Awaitable[Any]]
    arguments: tuple[Any, ...]
    context: Context
    undo: Callable[[Any], Awaitable[object]] | None = None
    values: tuple[Any, ...] = ()
    told: int = 0
    may_have_begun: bool = False

    def matches(self, row: StepRow) -> bool:
        if SagaCommand.matches(self, row):
            return True
        if (row.kind, row.name) != (self.kind, self.name):
            return False
        # An earlier release told a request with a default that was written out from one without.
        longer = range(self.told + 1, len(self.values) + 1)
        return any(row.request == fingerprint(self.name, self.values[:count]) for count in longer)


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

    @property
    def timed_out(self) -> str:
        """What the function is told when nothing came."""
        return f"no {self.name} with the key {self.key!r} came within {self.seconds} seconds"

    def reply_in(self, body: str) -> str:
        """The reply that an event's row holds, as JSON."""
        return body

    def new_row(self, saga_id: str, started: datetime) -> StepRow:
        row = SleepCommand.new_row(self, saga_id, started)
        row.subject = self.key
        return row


class SignalCommand(WaitCommand, kw_only=True):
    """The wait for a signal, which is an event for one saga; its key is the saga's id."""

    @property
    def timed_out(self) -> str:
        return f"no signal {signal_named(self.name)} came within {self.seconds} seconds"

    def reply_in(self, body: str) -> str:
        return bytes(decoder(_Sent)(body).value).decode()


class _Sent(msgspec.Struct, frozen=True):
    value: msgspec.Raw


def signal_type(name: str) -> str:
    """The type that signals of this name have among the events."""
    return f"{_SIGNAL}{name}"


def signal_named(type_: str) -> str | None:
    """The name of the signals that have this type among the events; None of one that is an event's."""
    return type_.removeprefix(_SIGNAL) if type_.startswith(_SIGNAL) else None


def step_of(method: Callable[..., Awaitable[Any]], *, needs_reply: bool = True) -> Step:
    """How to treat `method`; raises MisuseError when its answer could not be journaled."""
    client: Any = type(getattr(method, "__self__", None))
    operation = getattr(client, "__operations__", {}).get(getattr(method, "__name__", ""))
    if operation is not None:
        return step_of_operation(operation)
    function = getattr(method, "__func__", method)
    definition = getattr(function, SAGA_MARK, None)
    if definition is not None:
        return Step(Kind.CALL, function.__qualname__, definition.returns, True, lasting=True, is_saga=True)
    name = getattr(function, "__qualname__", None)
    if name is None:
        raise MisuseError(f"{method!r} cannot be a step; give a client's method, or an async function or method")
    return Step(Kind.LOCAL, name, _returns(function) if needs_reply else Any, False)


@lru_cache(maxsize=1024)
def step_of_operation(operation: Operation) -> Step:
    """How to treat a call of another service; raises MisuseError for one that can't be a step."""
    if operation.stream:
        raise MisuseError(
            f"{operation.label} is a stream, and a saga's step has one answer: read it in a method of the service, "
            "and run that by flow.step()"
        )
    if operation.takes_stream:
        raise MisuseError(
            f"{operation.label} takes a stream, which can't be journaled nor sent again: call it in a method of the "
            "service, and run that by flow.step()"
        )
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
