"""How a step is called until its outcome is known, and how that is journaled before anything relies on it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from typing import TypeAlias

from meristem.contracts.codec import encode
from meristem.errors import CallError, Code, Fault, IntegrityViolation, StorageError, StorageUnavailable
from meristem.failure_log import is_condition, log_failure
from meristem.sagas.commands import CallCommand
from meristem.sagas.engine_parts import EngineParts
from meristem.sagas.failures import Failure, Verdict, describe, judge, write
from meristem.sagas.invocation import Invoker
from meristem.sagas.journal_writer import JournalWriter, LostLeaseError
from meristem.sagas.ordering import Ordering
from meristem.sagas.recorder import Recorder
from meristem.sagas.records import Kind, SagaRow, StepRow, StepState, TryRow

logger = logging.getLogger(__name__)

OnUncertain: TypeAlias = Callable[[CallCommand, StepRow, Failure], None]


class Calls:
    """Makes the calls of one execution, and runs the service's own steps.

    `on_uncertain` is told of a step with an undo that may or may not have happened.
    """

    def __init__(
        self,
        parts: EngineParts,
        saga: SagaRow,
        writer: JournalWriter,
        *,
        invoker: Invoker,
        ordering: Ordering,
        recorder: Recorder,
        patience: float,
        on_uncertain: OnUncertain,
    ) -> None:
        self._clock = parts.clock
        self._naps = parts.naps
        self._policy = parts.policy
        self._database = parts.journal.database
        self._saga = saga
        self._writer = writer
        self._invoker = invoker
        self._ordering = ordering
        self._recorder = recorder
        self._patience = patience
        self._on_uncertain = on_uncertain

    async def perform(self, command: CallCommand) -> None:
        """Call until the outcome is known or patience ends, and journal it."""
        is_local = command.kind is Kind.LOCAL
        # A call shows the world what follows from the answers before it, so those must be in the journal first. A step
        # of the service takes them along in its own commit, unless what runs beside it may need them there sooner.
        if not is_local or command.is_in_branch:
            await self._writer.flush()
        row, began = command.new_row(self._saga.id, self._clock.now()), self._clock.steady()
        # Whether some attempt may have had its effect, be it the one during which the last owner died.
        doubt = command.may_have_begun and not command.step.harmless
        while True:
            row.attempts += 1
            try:
                if is_local:
                    await self._run_local(command, row)
                else:
                    step, arguments = command.step, command.arguments
                    reply = await self._invoker.invoke(
                        step, command.method, arguments, command.position, command.context
                    )
                    row.reply, row.state = encode(reply).decode(), StepState.DONE
                    # The callee gives a lasting answer again, but the order of answers side by side only we know.
                    if step.lasting and self._ordering.is_alone(command):
                        self._recorder.buffer(command, row)
                    else:
                        await self._recorder.record(command, row)
            except LostLeaseError:
                raise
            except Exception as problem:  # a step is a boundary, as a call is: the saga ends undone, not dead
                error = self._understood(command, problem)
            else:
                return
            doubt = self._is_in_doubt(error, command, doubt)
            pause = self._pause(error, row.attempts, self._clock.steady() - began)
            if pause is None or not await self._is_repeated(command, row, error, pause, doubt=doubt):
                await self._give_up(command, row, error, doubt=doubt)
                return

    async def _is_repeated(
        self, command: CallCommand, row: StepRow, error: Exception, pause: float, *, doubt: bool
    ) -> bool:
        """Whether, after a pause, another attempt is made: not of what nobody wants and certainly did not happen."""
        logger.info("saga %s %s: %s is tried again: %s", self._saga.name, self._saga.id, command.name, error)
        if pause > self._policy.noted:
            await self._note(row, error, pause)
        nap = self._naps.take(self._saga, f"pauses before another {command.name}", pause)
        if doubt:
            await nap
            return True
        await command.unless_given_up(nap)
        return not command.is_given_up

    async def _run_local(self, command: CallCommand, row: StepRow) -> None:
        writer = self._writer
        if writer.is_dirty:
            # Held until the step's commit, which takes the buffer along: what else needs it in the journal waits.
            async with writer.lock:
                await self._commit(command, row, before=partial(writer.flush, under_lock=True))
        else:
            await self._commit(command, row)

    async def _commit(
        self, command: CallCommand, row: StepRow, before: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """The step's own statements and its journal row commit together."""
        # The attempt before may have failed just after its commit: doing the step again would do it twice.
        if row.attempts > 1 and (stored := await self._writer.found(row)) is not None:
            self._hand_on(command, stored)
            return
        sequence = 0
        try:
            async with self._database.unit() as unit:
                step, position, context = command.step, command.position, command.context
                reply = await self._invoker.invoke(step, command.method, command.arguments, position, context, before)
                row.reply, row.state, row.ended = encode(reply).decode(), StepState.DONE, self._clock.now()
                # The number is taken before the commit, so that answers which come during it are handed out after.
                row.sequence = sequence = self._ordering.reserve()
                self._writer.join(unit, row)
        except BaseException:
            if sequence:
                self._ordering.abandon(sequence)
            raise
        self._hand_on(command, row)

    def _hand_on(self, command: CallCommand, row: StepRow) -> None:
        self._recorder.report(row)
        command.row = row
        self._ordering.answered(row.sequence, command)

    def _understood(self, command: CallCommand, error: Exception) -> Exception:
        if isinstance(error, (Fault, CallError)):
            return error
        log_failure(logger, error, "saga %s %s: step %s failed", self._saga.name, self._saga.id, command.name)
        # Out of reach, locked, full: it is waited for as long as for a callee that is away.
        if is_condition(error):
            happened = not isinstance(error, StorageUnavailable)
            return CallError(Code.UNAVAILABLE, str(error), may_have_happened=happened, private=True)
        if isinstance(error, StorageError) and not isinstance(error, IntegrityViolation):
            return CallError(Code.UNKNOWN, str(error), private=True)  # the database may work in a moment
        return error

    def _is_in_doubt(self, error: Exception, command: CallCommand, before: bool) -> bool:
        """Whether some attempt may have had its effect, now that another has ended; a definite answer settles it."""
        if isinstance(error, Fault):
            return False
        if not isinstance(error, CallError):
            return before
        verdict = judge(error)
        if verdict is Verdict.FINAL:
            return False
        return before or (verdict is not Verdict.LATER and not command.step.harmless)

    def _pause(self, error: Exception, attempts: int, spent: float) -> float | None:
        """Seconds until the next attempt; None when there shall be none."""
        if not isinstance(error, CallError):
            return None
        verdict, policy = judge(error), self._policy
        if verdict is Verdict.FINAL or (verdict is Verdict.BROKEN and attempts >= policy.bug_attempts):
            return None
        delay = max(policy.retry.delay(attempts), error.retry_after or 0.0)
        return None if spent + delay > self._patience else delay

    async def _note(self, row: StepRow, error: Exception, pause: float) -> None:
        due = self._clock.now() + timedelta(seconds=pause)
        text = write(describe(error))
        await self._writer.note(TryRow(row.saga_id, row.position, row.name, row.attempts, text, row.started, due))

    async def _give_up(self, command: CallCommand, row: StepRow, error: Exception, *, doubt: bool) -> None:
        failure = describe(error)
        row.reply, row.error, row.state = None, write(failure), StepState.FAILED
        # A local step is never in doubt: its statements were rolled back, or `found` has seen its row.
        if doubt and command.undo is not None and command.kind is not Kind.LOCAL:
            self._on_uncertain(command, row, failure)
        else:
            await self._recorder.record(command, row)
