"""From a saga's row to its rest: run the function, undo if need be, journal how it ended."""

from __future__ import annotations

import logging

from meristem.contracts.codec import encode
from meristem.errors import StorageError
from meristem.sagas.compensation import Compensation
from meristem.sagas.facts import SagaEnded
from meristem.sagas.failures import Failure, describe, read, write
from meristem.sagas.journal_writer import JournalWriter, LostLeaseError
from meristem.sagas.records import Kind, SagaRow, SagaState, StepRow
from meristem.sagas.run import Aborted, Raised, Returned, Run, Stuck, Suspended
from meristem.sagas.saga import Definition
from meristem.sagas.work import Shop

logger = logging.getLogger(__name__)


class SagaRunner:
    """Works on one saga for as long as this replica holds its lease; changes `saga` as the journal changes."""

    def __init__(
        self, shop: Shop, definition: Definition, instance: object, saga: SagaRow, page: JournalWriter
    ) -> None:
        self.saga = saga
        self._page = page
        self._shop = shop
        self._definition = definition
        self._instance = instance
        self._run: Run | None = None

    def nudge(self) -> None:
        """An event may have come."""
        if self._run is not None:
            self._run.nudge.set()

    def lose(self) -> None:
        """Somebody raised the fence: what runs here ends without a trace."""
        if self._run is not None:
            self._run.stop(Aborted(LostLeaseError(self.saga.id)))

    def ended(self) -> SagaEnded:
        """How the saga came to rest, or to sleep."""
        saga = self.saga
        seconds = (self._shop.clock.now() - saga.created).total_seconds()
        error = saga.problem or (read(saga.error).message if saga.error else None)
        return SagaEnded(saga.id, saga.name, saga.state.value, seconds, error)

    async def drive(self, *, new: bool, busy: bool) -> None:
        """Bring the saga to rest or to sleep. `busy`: its last owner may have died within a call.

        Raises LostLeaseError when another replica has it now, StorageError when the journal cannot be written.
        """
        history = [] if new else await self._shop.journal.steps(self.saga.id)
        try:
            await self._drive(history, busy=busy)
        except (LostLeaseError, StorageError):
            raise
        except Exception as error:
            logger.exception("saga %s %s cannot go on and is parked", self.saga.name, self.saga.id)
            await self._park(f"it cannot go on: {type(error).__name__}: {error}")

    async def _drive(self, history: list[StepRow], *, busy: bool) -> None:
        self._run = run = Run(self._shop, self._definition, self._instance, self.saga, self._page, history, busy=busy)
        if self.saga.version < self._definition.supports:
            await self._park(self._too_old())
            return
        outcome = await run.forward()
        if isinstance(outcome, Aborted):
            raise outcome.error
        if isinstance(outcome, Stuck):
            await self._park(outcome.problem)
        elif self.saga.state is SagaState.UNDOING:
            await self._undo(run, history)
        elif isinstance(outcome, Raised):
            await self._fail(run, history, outcome.failure)
        elif isinstance(outcome, Suspended):
            self.saga.state, self.saga.wake_at = SagaState.WAITING, outcome.until
            await self._page.change(self.saga)
        else:
            await self._finish(run, history, outcome)

    async def _finish(self, run: Run, history: list[StepRow], outcome: Returned) -> None:
        try:
            result = encode(outcome.value).decode()
        except TypeError as error:
            await self._fail(run, history, describe(error))
            return
        self.saga.state, self.saga.result = SagaState.DONE, result
        await self._page.change(self.saga)

    async def _fail(self, run: Run, history: list[StepRow], failure: Failure) -> None:
        self.saga.error = write(failure)
        await self._page.begin_undo(self.saga, [op.journaled for op in run.uncertain])
        await self._undo(run, history)

    async def _undo(self, run: Run, history: list[StepRow]) -> None:
        undone = {row.position: row for row in history if row.kind is Kind.UNDO}
        problem = await Compensation(run, undone).run(list(run.ops.values()), run.uncertain)
        if problem is not None:
            cause = "" if self.saga.error is None else f" (it is undone because: {read(self.saga.error).message})"
            await self._park(problem + cause)
            return
        self.saga.state = SagaState.FAILED
        await self._page.change(self.saga)

    async def _park(self, problem: str) -> None:
        self.saga.resume, self.saga.state, self.saga.problem = self.saga.state, SagaState.PARKED, problem
        await self._page.change(self.saga)

    def _too_old(self) -> str:
        definition, saga = self._definition, self.saga
        return (
            f"it began with version {saga.version} of {saga.name!r}, and this code supports {definition.supports} to "
            f"{definition.version}; run it with a release that supports version {saga.version}, then "
            f"`meristem sagas retry {saga.id}`"
        )
