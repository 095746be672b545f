"""Compensation: what was done is taken back in reverse, and what may have been done is found out first."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from meristem.contracts.codec import encode
from meristem.errors import CallError, Fault
from meristem.failure_log import traceback_of
from meristem.sagas.commands import CallCommand, SagaCommand, Step, step_of
from meristem.sagas.engine_parts import EngineParts
from meristem.sagas.failures import Verdict, describe, is_bug, judge, read, revive, told, write
from meristem.sagas.invocation import Invoker
from meristem.sagas.journal_writer import JournalWriter, LostLeaseError
from meristem.sagas.records import Kind, SagaRow, StepRow, StepState

logger = logging.getLogger(__name__)


class Compensation:
    """Takes back the steps of a saga that failed; `undone` holds the undos that are journaled already."""

    def __init__(
        self,
        parts: EngineParts,
        saga: SagaRow,
        writer: JournalWriter,
        *,
        invoker: Invoker,
        report: Callable[[StepRow], None],
        undone: dict[str, StepRow],
    ) -> None:
        self._clock = parts.clock
        self._naps = parts.naps
        self._policy = parts.policy
        self._database = parts.journal.database
        self._saga = saga
        self._writer = writer
        self._invoker = invoker
        self._report = report
        self._undone = undone

    async def run(self, commands: list[SagaCommand], uncertain: list[CallCommand], *, resumed: bool) -> str | None:
        """Resolve and undo everything; a text when a person must look, at the step that it names.

        `resumed`: the steps failed in another life of the saga, and what was wrong may be mended.
        """
        # Resolved first: the answer of one that did happen comes last of all, so it is the first to be undone.
        sequence = max((command.row.sequence for command in commands if command.row is not None), default=0)
        for command in uncertain:
            sequence += 1
            if (problem := await self._resolve(command, sequence, resumed=resumed)) is not None:
                return problem
        calls = [command for command in commands if isinstance(command, CallCommand) and command.undo]
        done = [call for call in calls if call.row is not None and call.row.state is StepState.DONE]
        # By the answers' order, not the positions': of two branches the one that answered later may rest on the other.
        for command in sorted(done, key=lambda command: command.journaled.sequence, reverse=True):
            if (problem := await self._undo(command)) is not None:
                return problem
        return None

    async def _resolve(self, command: CallCommand, sequence: int, *, resumed: bool) -> str | None:
        """Repeat an uncertain step under its key until it says yes or no."""
        row = command.journaled
        known = None if resumed or row.error is None else revive(read(row.error))
        # A bug that has just shown itself counts: it is to be told, not to be met once more.
        error, attempt = (known, 1) if known is not None and is_bug(known) else (None, 0)
        pause = self._policy.undo.delay(1)
        while error is None or not self._is_last(error, attempt):
            if attempt:
                await self._pause(command.name, pause)
            attempt += 1
            row.attempts += 1  # under the key of the first attempt, so the callee knows which call is meant
            error = await self._repeat(command, row)
            if error is None or isinstance(error, Fault) or _is_definite(error):
                row.sequence, row.ended, row.due = sequence, self._clock.now(), None
                row.state = StepState.FAILED if error is not None else StepState.DONE
                row.error = row.error if error is None else write(describe(error))
                await self._writer.answer(row)
                self._report(row)
                return None
            logger.warning("saga %s %s: %s is still uncertain: %s", self._saga.name, self._saga.id, command.name, error)
            pause = self._pause_after(row, error, attempt)
            await self._writer.answer(row)
        why = "failed by a bug" if is_bug(error) else "does not tell"
        return f"step {command.position} ({command.name}) may have happened, and its service {why}: {told(error)}"

    async def _pause(self, name: str, seconds: float) -> None:
        await self._naps.take(self._saga, f"pauses before another {name}", seconds)

    def _pause_after(self, row: StepRow, error: Exception, attempt: int) -> float:
        """Seconds until the next attempt, whose time the row tells from now on."""
        pause = self._policy.undo.delay(attempt)
        row.due = None if self._is_last(error, attempt) else self._clock.now() + timedelta(seconds=pause)
        return pause

    def _is_last(self, error: Exception, attempt: int) -> bool:
        """Whether an attempt that failed so is not followed by another."""
        policy = self._policy
        return attempt >= (
            min(policy.undo.attempts, policy.undo_bug_attempts) if is_bug(error) else policy.undo.attempts
        )

    async def _repeat(self, command: CallCommand, row: StepRow) -> Exception | None:
        try:
            reply = await self._invoker.invoke(
                command.step, command.method, command.arguments, command.position, command.context
            )
            row.reply = encode(reply).decode()
        except Exception as error:  # a boundary: whatever it is, the saga goes on or is parked with it
            return error
        return None

    async def _undo(self, command: CallCommand) -> str | None:
        """Call the undo with the step's reply until it succeeds."""
        known = self._undone.get(command.position)
        if command.undo is None or (known is not None and known.state is StepState.DONE):
            return None
        step = step_of(command.undo, needs_reply=False)
        # `known` has failed before, in another life of the saga; its attempts are counted on.
        row = known or StepRow(
            self._saga.id, command.position, Kind.UNDO, step.name, command.request, StepState.FAILED, self._clock.now()
        )
        error, attempt, pause = None, 0, 0.0
        while error is None or not self._is_last(error, attempt):
            if attempt:
                await self._pause(step.name, pause)
            attempt += 1
            error = await self._attempt(command, (step, command.undo), row, stored=command.position in self._undone)
            if error is None:
                self._report(row)
                return None
            # The traceback once, and not by each attempt; a callee of another service has logged its own.
            shown = None if attempt > 1 or isinstance(error, (CallError, Fault)) else traceback_of(error)
            where = (self._saga.name, self._saga.id, step.name)
            logger.warning("saga %s %s: the undo %s failed: %s", *where, told(error), exc_info=shown)
            pause = self._pause_after(row, error, attempt)
            await self._note(command, row, error)
        return f"the undo {step.name} of step {command.position} ({command.name}) fails: {told(error)}"

    async def _attempt(
        self, command: CallCommand, undo: tuple[Step, Callable[[Any], Awaitable[object]]], row: StepRow, *, stored: bool
    ) -> Exception | None:
        """Undo once and journal it, in one commit with a local undo's own statements."""
        position = f"{command.position}:undo"
        write_row = self._writer.answer if stored else self._writer.record
        (step, method), before = undo, row.error
        row.attempts += 1
        try:
            # In one unit, or a crash between the undo and its row would have it done twice.
            if step.kind is Kind.LOCAL:
                async with self._database.unit():
                    await self._invoker.invoke(step, method, (command.late_reply(),), position, command.context)
                    _finish(row, self._clock.now())
                    await write_row(row)
            else:
                await self._invoker.invoke(step, method, (command.late_reply(),), position, command.context)
                _finish(row, self._clock.now())
                await write_row(row)
        except LostLeaseError:
            raise
        except Exception as error:  # a boundary: an undo that fails is repeated, then shown to a person
            row.state, row.error, row.ended = StepState.FAILED, before, None
            return error
        return None

    async def _note(self, command: CallCommand, row: StepRow, error: Exception) -> None:
        row.error = write(describe(error))
        stored = command.position in self._undone
        await (self._writer.answer if stored else self._writer.record)(row)
        self._undone[command.position] = row


def _finish(row: StepRow, now: datetime) -> None:
    row.state, row.error, row.ended, row.due = StepState.DONE, None, now, None


def _is_definite(error: Exception) -> bool:
    return isinstance(error, CallError) and judge(error) is Verdict.FINAL
