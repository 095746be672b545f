"""Sleeping and waiting for events, so that neither needs the process to live on."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from meristem.errors import CallError, Code
from meristem.lifecycle import first_of
from meristem.sagas.commands import SagaCommand, SleepCommand, WaitCommand
from meristem.sagas.engine_parts import EngineParts
from meristem.sagas.failures import WaitTimedOut, describe, write
from meristem.sagas.journal_writer import JournalWriter
from meristem.sagas.ordering import Ordering
from meristem.sagas.recorder import Recorder
from meristem.sagas.records import SagaRow, StepRow, StepState

_GIVEN_UP: Final = write(
    describe(CallError(Code.CANCELED, "another branch failed before this one was done", may_have_happened=False))
)


class Pauses:
    """Performs the pauses of one execution.

    `dormant` holds the commands of which nothing will come for long, with the time when something may: they keep the
    saga from neither sleep nor stop. `nudge` is set when an event may have come.
    """

    def __init__(
        self, parts: EngineParts, saga: SagaRow, writer: JournalWriter, *, ordering: Ordering,
        recorder: Recorder,
    ) -> None:  # fmt: skip
        self.nudge = asyncio.Event()
        self.dormant: dict[SagaCommand, datetime | None] = {}
        self._clock = parts.clock
        self._naps = parts.naps
        self._longest_nap = parts.policy.longest_nap
        self._journal = parts.journal
        self._saga = saga
        self._writer = writer
        self._ordering = ordering
        self._recorder = recorder
        self._taking = asyncio.Lock()  # from the look to the write: of two waits side by side one takes an event

    async def perform(self, command: SleepCommand) -> None:
        """Journal when the pause ends, wait, and journal that it has ended."""
        row = command.row
        if row is None:
            row = command.new_row(self._saga.id, self._journal.now())
            if isinstance(command, WaitCommand) and await self._has_taken(command, row):
                return
            # Before it begins: the due time is the first run's, however often the process is started again.
            await self._writer.record(row)
        elif row.due is not None and command.seconds is not None:
            await self._shorten(row, row.due, timedelta(seconds=command.seconds))
        if not isinstance(command, WaitCommand):
            await self._sleep(command, row)
        elif await self._has_come(command, row):
            return
        if command.is_given_up:
            _drop(row)
        command.is_answered = True
        await self._recorder.record(command, row, known=True)

    async def _shorten(self, row: StepRow, due: datetime, longest: timedelta) -> None:
        """More left than was asked for: it began by another clock, or before this one was set back."""
        now = self._journal.now()
        if due - now > longest:
            # By the clock as it is now: if it was wrong when this process began, the journal's time still is.
            row.due = now + min(due - self._clock.now(), longest)
            await self._writer.answer(row)

    async def give_back(self, row: StepRow) -> None:
        """The event that answered a wait which was given up answers another one."""
        _drop(row)
        await self._writer.answer(row)
        self.nudge.set()

    def rest(self, command: SagaCommand, until: datetime | None) -> None:
        """Nothing will come of this command for long."""
        self.dormant[command] = until
        self._ordering.watch()

    def wake(self, command: SagaCommand) -> None:
        """Something may come of this command after all."""
        self.dormant.pop(command, None)

    async def _sleep(self, command: SleepCommand, row: StepRow) -> None:
        left = self._left(row.due)
        if left is not None and left > self._longest_nap:
            self.rest(command, row.due)
        await command.unless_given_up(self._naps.take(self._saga, "sleeps", left or 0.0))
        self.wake(command)
        row.state = StepState.DONE

    async def _has_come(self, command: WaitCommand, row: StepRow) -> bool:
        """Wait for the event, and answer the command by it; False when it has not come in time, or nobody waits."""
        while not command.is_given_up:
            self.nudge.clear()  # before the look: an event that comes during it sets the nudge again
            if await self._has_taken(command, row, known=True):
                return True
            left = self._left(row.due)
            if left is not None and left <= 0:
                row.error, row.state = write(describe(WaitTimedOut(command.timed_out))), StepState.FAILED
                return False
            self.rest(command, row.due)
            await command.unless_given_up(self._nudged(left))
            self.wake(command)
        return False

    async def _has_taken(self, command: WaitCommand, row: StepRow, *, known: bool = False) -> bool:
        """Answer a command by its event, if that has come; `known`: the row is in the journal already."""
        async with self._taking:
            found = await self._journal.event(self._saga, command.name, command.key)
            if found is None:
                return False
            row.reply, row.event, row.state = command.reply_in(found.body), found.id, StepState.DONE
            command.is_answered = True
            await self._recorder.record(command, row, known=known)
        return True

    def _left(self, due: datetime | None) -> float | None:
        return None if due is None else (due - self._journal.now()).total_seconds()

    async def _nudged(self, seconds: float | None) -> None:
        """Until an event may have come, or the time is over."""
        if seconds is None:
            await self.nudge.wait()
        else:
            await first_of(self.nudge.wait(), self._clock.sleep(seconds))


def _drop(row: StepRow) -> None:
    row.reply = row.event = None
    row.state, row.error = StepState.FAILED, _GIVEN_UP
