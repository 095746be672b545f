"""Compensation: what was done is taken back in reverse, and what may have been done is found out first."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from meristem.contracts.codec import encode
from meristem.errors import CallError, Fault
from meristem.sagas.failures import Verdict, describe, judge, write
from meristem.sagas.journal_writer import LostLeaseError
from meristem.sagas.ops import CallOp, Op
from meristem.sagas.records import Kind, StepRow, StepState
from meristem.sagas.steps import Step, step_of
from meristem.sagas.work import Work

logger = logging.getLogger(__name__)


class Compensation:
    """Takes back the steps of a saga that failed; `undone` holds the undos that are journaled already."""

    def __init__(self, work: Work, undone: dict[str, StepRow]) -> None:
        self._work = work
        self._undone = undone

    async def run(self, ops: list[Op], uncertain: list[CallOp]) -> str | None:
        """Resolve and undo everything; a text when a person must look, at the step that it names."""
        sequence = max((op.row.sequence for op in ops if op.row is not None), default=0)
        for op in uncertain:
            sequence += 1
            if (problem := await self._resolve(op, sequence)) is not None:
                return problem
        done = [op for op in ops if isinstance(op, CallOp) and op.undo and op.row and op.row.state is StepState.DONE]
        for op in sorted(done, key=lambda op: op.journaled.sequence, reverse=True):
            if (problem := await self._undo(op)) is not None:
                return problem
        return None

    async def _resolve(self, op: CallOp, sequence: int) -> str | None:
        """Repeat an uncertain step under its key until it says yes or no."""
        work, row = self._work, op.journaled
        for attempt in range(1, work.shop.policy.undo.attempts + 1):
            if attempt > 1:
                await work.shop.clock.sleep(work.shop.policy.undo.delay(attempt - 1))
            row.attempts += 1
            error = await self._repeat(op, row)
            if error is None or isinstance(error, Fault) or _is_definite(error):
                row.sequence, row.ended = sequence, work.now()
                row.state = StepState.FAILED if error is not None else StepState.DONE
                row.error = row.error if error is None else write(describe(error))
                await work.page.answer(row)
                work.tell(row)
                return None
            logger.warning("saga %s %s: %s is still uncertain: %s", work.saga.name, work.saga.id, op.name, error)
        return f"step {op.position} ({op.name}) may have happened, and its service does not tell: {error}"

    async def _repeat(self, op: CallOp, row: StepRow) -> Exception | None:
        work = self._work
        try:
            reply = await work.invoke(op.step, op.method, op.arguments, f"{work.saga.id}:{op.position}")
            row.reply = encode(reply).decode()
        except Exception as error:  # a boundary: whatever it is, the saga goes on or is parked with it
            return error
        return None

    async def _undo(self, op: CallOp) -> str | None:
        """Call the undo with the step's reply until it succeeds."""
        work, known = self._work, self._undone.get(op.position)
        if op.undo is None or (known is not None and known.state is StepState.DONE):
            return None
        step = step_of(op.undo, needs_reply=False)
        row = known or StepRow(
            work.saga.id, op.position, Kind.UNDO, step.name, op.request, StepState.FAILED, work.now()
        )
        for attempt in range(1, work.shop.policy.undo.attempts + 1):
            if attempt > 1:
                await work.shop.clock.sleep(work.shop.policy.undo.delay(attempt - 1))
            error = await self._attempt(op, (step, op.undo), row, stored=op.position in self._undone)
            if error is None:
                work.tell(row)
                return None
            logger.warning("saga %s %s: the undo %s failed: %s", work.saga.name, work.saga.id, step.name, error)
            await self._note(op, row, error)
        return f"the undo {step.name} of step {op.position} ({op.name}) fails: {error}"

    async def _attempt(
        self, op: CallOp, undo: tuple[Step, Callable[[Any], Awaitable[object]]], row: StepRow, *, stored: bool
    ) -> Exception | None:
        """Undo once and journal it, in one commit with a local undo's own statements."""
        work = self._work
        key = f"{work.saga.id}:{op.position}:undo"
        write_row = work.page.answer if stored else work.page.record
        (step, method), before = undo, row.error
        row.attempts += 1
        try:
            if step.kind is Kind.LOCAL:
                async with work.shop.journal.database.unit():
                    await work.invoke(step, method, (op.late_reply(),), key)
                    _finish(row, work)
                    await write_row(row)
            else:
                await work.invoke(step, method, (op.late_reply(),), key)
                _finish(row, work)
                await write_row(row)
        except LostLeaseError:
            raise
        except Exception as error:  # a boundary: an undo that fails is repeated, then shown to a person
            row.state, row.error, row.ended = StepState.FAILED, before, None
            return error
        return None

    async def _note(self, op: CallOp, row: StepRow, error: Exception) -> None:
        row.error = write(describe(error))
        stored = op.position in self._undone
        await (self._work.page.answer if stored else self._work.page.record)(row)
        self._undone[op.position] = row


def _finish(row: StepRow, work: Work) -> None:
    row.state, row.error, row.ended = StepState.DONE, None, work.now()


def _is_definite(error: Exception) -> bool:
    return isinstance(error, CallError) and judge(error) is Verdict.FINAL
