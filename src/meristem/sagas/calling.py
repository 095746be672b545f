"""How a step is called until its outcome is known, and how that is journaled before anybody relies on it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from meristem.contracts.codec import encode
from meristem.errors import CallError, Code, Fault, IntegrityViolation, StorageError
from meristem.sagas.failures import describe, write
from meristem.sagas.journal_writer import LostLeaseError
from meristem.sagas.ops import CallOp
from meristem.sagas.records import Kind, StepRow, StepState
from meristem.sagas.running import Running
from meristem.sagas.work import Trial

logger = logging.getLogger(__name__)


class Calling:
    """Performs the steps of one run."""

    def __init__(self, run: Running) -> None:
        self._run = run

    async def perform(self, op: CallOp) -> None:
        """Call until the outcome is known or patience ends, and journal it."""
        run = self._run
        if run.page.owes and (op.kind is not Kind.LOCAL or op.is_in_branch):  # a branch beside it may need it sooner
            await run.page.pay()
        row = op.new_row(run.saga.id, run.now())
        trial = Trial(run, op.step, run.patience, row.started)
        while (error := await self._attempt(op, row, trial)) is not None:
            pause = trial.pause(error) if isinstance(error, CallError) else None
            if pause is None:
                await self._give_up(op, row, trial, error)
                return
            logger.info("saga %s %s: %s is tried again: %s", run.saga.name, run.saga.id, op.name, error)
            await run.shop.clock.sleep(pause)

    async def _attempt(self, op: CallOp, row: StepRow, trial: Trial) -> Exception | None:
        """Call once; None when the answer is journaled."""
        trial.attempts = row.attempts = row.attempts + 1
        try:
            await (self._local if op.kind is Kind.LOCAL else self._remote)(op, row)
        except LostLeaseError:
            raise
        except (Fault, CallError) as error:
            return error
        except Exception as error:  # a step is a boundary, as a call is: the saga ends undone, not dead
            return self._bug(op, error)
        return None

    def _bug(self, op: CallOp, error: Exception) -> Exception:
        run = self._run
        logger.error("saga %s %s: step %s failed", run.saga.name, run.saga.id, op.name, exc_info=error)
        if isinstance(error, StorageError) and not isinstance(error, IntegrityViolation):
            return CallError(Code.UNKNOWN, str(error))  # the database may work in a moment
        return error

    async def _remote(self, op: CallOp, row: StepRow) -> None:
        run = self._run
        reply = await run.invoke(op.step, op.method, op.arguments, f"{run.saga.id}:{op.position}")
        row.reply, row.state = encode(reply).decode(), StepState.DONE
        if op.step.lasting and run.turns.is_alone(op):
            run.owe(op, row)
        else:
            await run.keep(op, row)

    async def _local(self, op: CallOp, row: StepRow) -> None:
        page = self._run.page
        if page.owes:
            async with page.carrying:
                await self._commit(op, row, before=page.pay_as_carrier)
        else:
            await self._commit(op, row)

    async def _commit(self, op: CallOp, row: StepRow, before: Callable[[], Awaitable[None]] | None = None) -> None:
        """The step's own statements and its journal row commit together."""
        run = self._run
        if row.attempts > 1 and (stored := await run.page.found(row)) is not None:
            run.tell(stored)
            run.settled(op, stored)
            return
        sequence = 0
        try:
            async with run.shop.journal.database.unit() as unit:
                reply = await run.invoke(op.step, op.method, op.arguments, f"{run.saga.id}:{op.position}", before)
                row.reply, row.state, row.ended = encode(reply).decode(), StepState.DONE, run.now()
                row.sequence = sequence = run.turns.reserve()
                run.page.commit(unit, row)
            run.tell(row)
            run.settled(op, row)
        finally:
            if sequence:
                run.turns.settled(sequence)

    async def _give_up(self, op: CallOp, row: StepRow, trial: Trial, error: Exception) -> None:
        failure = describe(error)
        row.reply, row.error, row.state = None, write(failure), StepState.FAILED
        if trial.in_doubt and op.undo is not None and op.kind is not Kind.LOCAL:
            self._run.doubts(op, row, failure)
        else:
            await self._run.keep(op, row)
