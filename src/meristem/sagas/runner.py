"""From a saga's row to its rest: run the function, undo if need be, journal how it ended."""

from __future__ import annotations

import logging

from meristem.context import using
from meristem.contracts.codec import encode
from meristem.errors import StorageError
from meristem.sagas.compensation import Compensation
from meristem.sagas.crash_loops import DEADLY, poisoned
from meristem.sagas.engine_parts import EngineParts
from meristem.sagas.execution import Execution
from meristem.sagas.facts import SagaEnded
from meristem.sagas.failures import Failure, describe, read, write
from meristem.sagas.journal_writer import JournalWriter, LostLeaseError
from meristem.sagas.origin import origin_of
from meristem.sagas.outcome import Aborted, Raised, Returned, Stuck, Suspended
from meristem.sagas.records import Kind, SagaRow, SagaState, StepRow
from meristem.sagas.saga import Definition

logger = logging.getLogger(__name__)


class SagaRunner:
    """Works on one saga for as long as this replica holds its lease; changes `saga` as the journal changes."""

    def __init__(
        self,
        parts: EngineParts,
        definition: Definition,
        instance: object,
        saga: SagaRow,
        writer: JournalWriter,
    ) -> None:
        self.saga = saga
        self._writer = writer
        self._parts = parts
        self._definition = definition
        self._instance = instance
        self._execution: Execution | None = None

    def nudge(self) -> None:
        """An event may have come."""
        if self._execution is not None:
            self._execution.nudge()

    def lose(self) -> None:
        """The fence was raised: what runs here ends without a trace."""
        if self._execution is not None:
            self._execution.stop(Aborted(LostLeaseError(self.saga.id)))

    def ended(self) -> SagaEnded:
        """How the saga came to rest, or to sleep."""
        saga = self.saga
        seconds = max(0.0, (self._parts.clock.now() - saga.created).total_seconds())
        error = saga.problem or (read(saga.error).message if saga.error else None)
        return SagaEnded(saga.id, saga.name, saga.state.value, seconds, error)

    async def drive(self, *, new: bool, busy: bool) -> None:
        """Bring the saga to rest or to sleep. `busy`: its last owner may have died within a call.

        Raises LostLeaseError when another replica has it now, StorageError when the journal cannot be written.
        """
        try:
            # What is journaled, told and logged between the steps belongs to the saga's trace as the steps do.
            with using(origin_of(self.saga).context()):
                # A new saga's row may not be written yet, so there is nothing to read.
                history = [] if new else await self._parts.journal.steps(self.saga.id)
                await self._drive(history, busy=busy)
        except (LostLeaseError, StorageError):
            raise
        except Exception as error:  # a bug of ours, or a journal that fits no code: a person looks, other sagas go on
            logger.exception("saga %s %s cannot go on", self.saga.name, self.saga.id)
            await self._park(f"it cannot go on: {type(error).__name__}: {error}")

    async def _drive(self, history: list[StepRow], *, busy: bool) -> None:
        self._execution = execution = Execution(
            self._parts, self._definition, self._instance, self.saga, self._writer, history, busy=busy
        )
        if self.saga.version < self._definition.supports:
            await self._park(self._too_old())
            return
        if (self.saga.crashes or 0) >= DEADLY:
            await self._park(poisoned(self.saga, history))
            return
        outcome = await execution.run()
        if isinstance(outcome, Aborted):
            raise outcome.error
        # Before anything that undoes: where code and journal differ, the undos of the code may be wrong ones, too.
        if isinstance(outcome, Stuck):
            await self._park(outcome.problem)
        elif self.saga.state is SagaState.UNDOING:
            await self._undo(execution, history, resumed=True)
        elif isinstance(outcome, Raised):
            if outcome.failure.details:
                told = (self.saga.name, self.saga.id)
                logger.error("saga %s %s failed by a bug and is undone", *told, exc_info=outcome.bug)
            await self._fail(execution, history, outcome.failure)
        elif isinstance(outcome, Suspended):
            self.saga.state, self.saga.wake_at = SagaState.WAITING, outcome.until
            await self._writer.change(self.saga)
        else:
            await self._finish(execution, history, outcome)

    async def _finish(self, execution: Execution, history: list[StepRow], outcome: Returned) -> None:
        try:
            result = encode(outcome.value).decode()
        except TypeError as error:  # its caller could not be told the answer, so the saga has not succeeded
            await self._fail(execution, history, describe(error))
            return
        self.saga.state, self.saga.result = SagaState.DONE, result
        await self._writer.change(self.saga)

    async def _fail(self, execution: Execution, history: list[StepRow], failure: Failure) -> None:
        # Before the first undo: after a crash the saga goes on undoing, though its function might succeed by then.
        self.saga.error = write(failure)
        await self._writer.begin_undo(self.saga, [command.journaled for command in execution.uncertain])
        await self._undo(execution, history, resumed=False)

    async def _undo(self, execution: Execution, history: list[StepRow], *, resumed: bool) -> None:
        undone = {row.position: row for row in history if row.kind is Kind.UNDO}
        compensation = Compensation(
            self._parts, self.saga, self._writer,
            invoker=execution.invoker, report=execution.recorder.report, undone=undone,
        )  # fmt: skip
        problem = await compensation.run(list(execution.commands.values()), execution.uncertain, resumed=resumed)
        if problem is not None:
            cause = "" if self.saga.error is None else read(self.saga.error).message
            await self._park(problem if cause in problem else f"{problem} (it is undone because: {cause})")
            return
        self.saga.state = SagaState.FAILED
        await self._writer.change(self.saga)

    async def _park(self, problem: str) -> None:
        self.saga.resume, self.saga.state, self.saga.problem = self.saga.state, SagaState.PARKED, problem
        await self._writer.change(self.saga)
        logger.error("saga %s %s is parked: %s", self.saga.name, self.saga.id, problem)

    def _too_old(self) -> str:
        definition, saga = self._definition, self.saga
        return (
            f"it began with version {saga.version} of {saga.name!r}, and this code supports {definition.supports} to "
            f"{definition.version}; run it with a release that supports version {saga.version}, then "
            f"`meristem sagas retry {saga.id}`"
        )
