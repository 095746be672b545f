"""One run of a saga's function: answered from the journal as far as that goes, then live."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from datetime import datetime
from typing import Any, TypeAlias

import msgspec

from meristem.context import Context, using
from meristem.contracts.codec import decoder
from meristem.errors import CallError, Code, MisuseError
from meristem.sagas.calling import Calling
from meristem.sagas.failures import Failure, describe
from meristem.sagas.flow import Flow
from meristem.sagas.journal_writer import JournalWriter
from meristem.sagas.ops import CallOp, Op, SleepOp
from meristem.sagas.ordering import Ordering
from meristem.sagas.pausing import Pausing
from meristem.sagas.positions import enter, here
from meristem.sagas.records import Kind, SagaRow, SagaState, StepRow, StepState
from meristem.sagas.running import Running
from meristem.sagas.saga import Definition
from meristem.sagas.work import Shop

logger = logging.getLogger(__name__)


class Returned(msgspec.Struct, frozen=True):
    """The function came to its end."""

    value: Any


class Raised(msgspec.Struct, frozen=True):
    """The function failed, or must not go on: what was done is to be undone."""

    failure: Failure


class Suspended(msgspec.Struct, frozen=True):
    """The function has nothing to do before this time, or before an event."""

    until: datetime | None


class Stuck(msgspec.Struct, frozen=True):
    """The code and the journal do not fit: a person must look."""

    problem: str


class Aborted(msgspec.Struct, frozen=True):
    """The journal could not be written, or belongs to another replica now."""

    error: BaseException


Outcome: TypeAlias = Returned | Raised | Suspended | Stuck | Aborted


class Run(Running):
    """Runs the function once. `ops` holds every operation that it asked for, by position."""

    def __init__(
        self,
        shop: Shop,
        definition: Definition,
        instance: object,
        saga: SagaRow,
        page: JournalWriter,
        history: list[StepRow],
        *,
        busy: bool,
    ) -> None:
        super().__init__(shop, saga, page)
        self.definition = definition
        self.ops: dict[str, Op] = {}
        self.uncertain: list[CallOp] = []
        self.nudge = asyncio.Event()
        self.patience = definition.patience
        self._instance = instance
        self._history = {row.position: row for row in history if row.kind is not Kind.UNDO}
        self._undoing = saga.state is SagaState.UNDOING
        self._frontier = busy  # calls without an answer in the journal may be under way since before
        self._tasks: dict[Op, asyncio.Task[None]] = {}
        self._dormant: dict[Op, datetime | None] = {}
        self._stop: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._closed = False
        self._aborted: BaseException | None = None
        answered = [row.sequence for row in self._history.values() if row.sequence]
        self.turns = Ordering(answered, self._deliver, self._on_quiet)
        self._calling = Calling(self)
        self._pausing = Pausing(self)
        self.flow = Flow(self, saga.id, saga.version, began=saga.created, seed=saga.seed, waits=definition.waits)

    async def forward(self) -> Outcome:
        """Run the function to its end, or to where it must stop; nothing of it runs on afterwards."""
        body = self.spawn(self._body(), "function")
        try:
            await asyncio.wait({body, self._stop}, return_when=asyncio.FIRST_COMPLETED)
            await self._close(body)
            return self._outcome(body)
        except BaseException:
            await self._abandon(body)
            raise

    async def _body(self) -> Any:
        enter(self.saga.id)
        values = decoder(self.definition.input)(self.saga.input)  # type: ignore[arg-type]
        origin = self.origin
        with using(Context(None, origin.trace, origin.caller, origin.user, origin.key)):
            return await self.definition.begin(self._instance, self.flow, values)

    def issue(self, op: Op) -> asyncio.Future[Any]:
        """Answer an operation from the journal, or begin it."""
        if self._closed or self._stop.done():
            raise asyncio.CancelledError("the saga stops here")
        op.position = here(self.saga.id).step()
        self.ops[op.position] = op
        self.turns.issued()
        row = self._history.get(op.position)
        if row is not None and not op.matches(row):
            self.stop(Stuck(_mismatch(op, row)))
        elif row is not None and row.sequence:
            op.row = row
            self.turns.ready(row.sequence, op)
        else:
            op.row = row
            self._begin(op)
        return op.future

    def _begin(self, op: Op) -> None:
        if self._may_begin(op):
            work: Awaitable[None] = self._calling.perform(op) if isinstance(op, CallOp) else self._pausing.perform(op)
            self._tasks[op] = task = self.spawn(work, op.name)
            task.add_done_callback(lambda ended: self._ended(op, ended))
        else:
            if op.row is not None and op.row.state is StepState.UNCERTAIN and isinstance(op, CallOp):
                self.uncertain.append(op)
            self.sleeps(op, None)

    def _may_begin(self, op: Op) -> bool:
        if self._undoing:
            return False
        # A cancelled saga finishes what may be under way, to know whether to undo it, and begins nothing new.
        return not self.saga.cancelled or (self._frontier and isinstance(op, CallOp) and op.kind is Kind.CALL)

    def _ended(self, op: Op, task: asyncio.Task[None]) -> None:
        del self._tasks[op]
        self._dormant.pop(op, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._aborted = self._aborted or error
            self.stop(Aborted(error))
        elif self._dormant or self.uncertain:
            self.turns.watch()

    def settled(self, op: Op, row: StepRow) -> None:
        op.row = row
        self._frontier = False
        self.turns.ready(row.sequence, op)

    def sleeps(self, op: Op, until: datetime | None) -> None:
        self._dormant[op] = until
        self.turns.watch()

    def wakes(self, op: Op) -> None:
        self._dormant.pop(op, None)

    def doubts(self, op: CallOp, row: StepRow, failure: Failure) -> None:
        op.row = row
        self.uncertain.append(op)
        self.stop(Raised(failure))

    def stop(self, outcome: Outcome) -> None:
        """End the run; the first reason counts."""
        if not self._stop.done():
            self._stop.set_result(outcome)

    def _on_quiet(self) -> None:
        if self._stop.done() or not self._dormant or any(op not in self._dormant for op in self._tasks):
            return
        if self._undoing or self.saga.cancelled:
            self.stop(_cancelled())
        else:
            self.stop(Suspended(min((until for until in self._dormant.values() if until is not None), default=None)))

    def _deliver(self, op: Op) -> None:
        row = op.journaled
        if row.ended is not None:
            self.flow.at(row.ended)
        if op.future.done():
            return
        try:
            value = op.answer()
        except (msgspec.ValidationError, MisuseError) as error:
            self.stop(Stuck(f"the stored answer of step {op.position} ({op.name}) cannot be read any more: {error}"))
        except Exception as error:  # the journaled error itself, which is the function's to handle
            op.future.set_exception(error)
        else:
            op.future.set_result(value)

    async def _close(self, body: asyncio.Task[Any]) -> None:
        """End the function's tasks, and wait for the calls under way: their answers decide what is undone."""
        self._closed = True
        for op in self.ops.values():
            op.future.cancel()
        for op, task in self._tasks.items():
            if isinstance(op, SleepOp):
                task.cancel()
        if not body.done():
            body.cancel()
        await asyncio.wait({body, *self._tasks.values()})

    async def _abandon(self, body: asyncio.Task[Any]) -> None:
        self._closed = True
        tasks = {body, *self._tasks.values()}
        for op in self.ops.values():
            op.future.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    def _outcome(self, body: asyncio.Task[Any]) -> Outcome:
        stopped = self._stop.result() if self._stop.done() else None
        error = None if body.cancelled() else body.exception()
        if self._aborted is not None:
            return Aborted(self._aborted)
        if stopped is not None:
            return stopped
        missed = [row for position, row in self._history.items() if position not in self.ops]
        if missed:
            names = ", ".join(f"{row.position} ({row.name})" for row in missed)
            return Stuck(f"the journal has step {names}, which the code no longer reaches; {_REMEDY}")
        if body.cancelled():
            return Raised(describe(CallError(Code.CANCELED, "the saga's function cancelled itself")))
        if error is not None:
            return Raised(_described(error, self.saga))
        return _cancelled() if self.saga.cancelled else Returned(body.result())


def _cancelled() -> Raised:
    text = "the saga was cancelled by an operator"
    return Raised(describe(CallError(Code.CANCELED, text, may_have_happened=False)))


_REMEDY = (
    "a saga under way must find the code it began with: branch on flow.version, "
    "restore the old code and `meristem sagas retry` it"
)


def _mismatch(op: Op, row: StepRow) -> str:
    found, expected = f"{op.kind.value} {op.name}", f"{row.kind.value} {row.name}"
    if found == expected:
        found, expected = f"{found} with request {op.request}", f"{expected} with request {row.request}"
    return f"step {row.position}: the journal has {expected}, the code now asks {found}; {_REMEDY}"


def _described(error: BaseException, saga: SagaRow) -> Failure:
    failure = describe(error)
    if failure.details:
        logger.error("saga %s %s failed by a bug and is undone", saga.name, saga.id, exc_info=error)
    return failure
