"""One execution of a saga's function: answered from the journal as far as that goes, then live."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from meristem.context import CURRENT
from meristem.contracts.codec import decoder
from meristem.errors import MisuseError
from meristem.sagas.calls import Calls
from meristem.sagas.children import LastingCommand
from meristem.sagas.commands import CallCommand, SagaCommand
from meristem.sagas.engine_parts import EngineParts
from meristem.sagas.failures import Failure
from meristem.sagas.flow import Flow
from meristem.sagas.invocation import Invoker
from meristem.sagas.journal_writer import JournalWriter
from meristem.sagas.ordering import Ordering
from meristem.sagas.origin import seams
from meristem.sagas.outcome import (
    Aborted,
    Outcome,
    Raised,
    Returned,
    Suspended,
    cancelled,
    impatient,
    mismatch,
    raised,
    unreached,
    unreadable,
)
from meristem.sagas.patches import Patches
from meristem.sagas.pauses import Pauses
from meristem.sagas.positions import enter, next_position, timed_out
from meristem.sagas.recorder import Recorder
from meristem.sagas.records import Kind, SagaRow, SagaState, StepRow, StepState
from meristem.sagas.saga import Definition
from meristem.sagas.steps import Steps

_AT_ONCE: Final = datetime.fromtimestamp(0, UTC)  # past by any clock


class Execution:
    """Runs the function once. `commands` holds everything that it asked for, by position.

    The function's commands come in by `issue`; `Calls` and `Pauses` perform them, each in a task of its own, and
    `Recorder` journals their answers, which `Ordering` hands back one by one. `busy`: calls without an answer in the
    journal may be under way since before.
    """

    def __init__(
        self,
        parts: EngineParts,
        definition: Definition,
        instance: object,
        saga: SagaRow,
        writer: JournalWriter,
        history: list[StepRow],
        *,
        busy: bool,
    ) -> None:
        self.commands: dict[str, SagaCommand] = {}
        self.uncertain: list[CallCommand] = []
        self.invoker = Invoker(saga)
        self._definition = definition
        self._instance = instance
        self._saga = saga
        self._variables = parts.variables
        self._history = {row.position: row for row in history if row.kind is not Kind.UNDO}
        self._busy = busy
        self._is_undoing = saga.state is SagaState.UNDOING
        self._holds_back = self._is_undoing or saga.cancelled  # nothing new begins
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[asyncio.Task[None], SagaCommand] = {}
        # The first reason to stop counts. A failed write of the journal is kept apart: it may come later, while the
        # calls under way are waited for, and then no other outcome may be journaled.
        self._stop: asyncio.Future[Outcome] = self._loop.create_future()
        self._is_closed = False
        self._is_cut_short = False
        self._is_late = False  # whether an answer came after the reason to stop
        self._branches: set[asyncio.Task[Any]] = set()  # the function's own tasks
        self._given_up: tuple[str, ...] = ()  # prefixes of branches in which nothing begins any more
        self._aborted: BaseException | None = None
        answered = [row.sequence for row in self._history.values() if row.sequence]
        self._ordering = ordering = Ordering(answered, self._deliver, self._on_quiet)
        self.recorder = recorder = Recorder(parts, saga, writer, ordering)
        self._pauses = Pauses(parts, saga, writer, ordering=ordering, recorder=recorder)
        self._calls = Calls(
            parts, saga, writer, invoker=self.invoker, ordering=ordering, recorder=recorder,
            patience=definition.patience, on_uncertain=self._on_uncertain,
        )  # fmt: skip
        self._steps = Steps(self, self.invoker.context)
        patches = Patches(definition, saga, writer, ordering, is_ending=self._holds_back)
        self._seams = seams(saga, self.invoker.origin)
        first = self._seams.pop(0, None)
        begun = saga if first is None else msgspec.structs.replace(saga, created=first[0], seed=first[1])
        self._flow = Flow(self, self._steps, begun, definition.waits, definition.signals.values(), patches.takes)

    async def run(self) -> Outcome:
        """Run the function to its end, or to where it must stop; nothing of it runs on afterwards."""
        body = self._spawn(self._body(), "function")
        try:
            await asyncio.wait({body, self._stop}, return_when=asyncio.FIRST_COMPLETED)
            await self._close(body)
            return self._outcome(body)
        except BaseException:
            await self._abandon(body)
            raise

    def nudge(self) -> None:
        """An event may have come."""
        self._pauses.nudge.set()

    def stop(self, outcome: Outcome) -> None:
        """End the execution; the first reason counts."""
        if not self._stop.done():
            self._stop.set_result(outcome)

    def left(self) -> None:
        """The function stops to wait: by a limit of asyncio's own, which no replay would know of, the saga fails."""
        if not (self._is_closed or self._stop.done()) and timed_out(self._branches):
            self._is_cut_short = True
            self.stop(impatient())

    def moved(self) -> None:
        """The function is at work on its last answer."""
        self._ordering.moved()

    def gathered(self, branches: Iterable[asyncio.Task[Any]]) -> None:
        """The function goes on behind branches: a failure of one is no sign that it was not cut short later."""
        self._branches.difference_update(branches)
        self.moved()

    def give_up(self, branches: tuple[str, ...]) -> list[asyncio.Future[Any]]:
        """Begin nothing more in these branches, and end what can be ended; the futures of what is left."""
        self._given_up += branches
        self.moved()
        left = [
            each for each in self.commands.values() if each.position.startswith(branches) and not each.future.done()
        ]
        for command in left:
            command.give_up()
        return [command.future for command in left]

    def issue(self, command: SagaCommand) -> asyncio.Future[Any]:
        """Answer a command from the journal, or begin it."""
        if self._is_closed or self._stop.done():
            # Not an error of its own: code of the saga that handles errors could swallow it and go on.
            raise asyncio.CancelledError("the saga stops here")
        position = next_position(self._saga.id)
        if (task := asyncio.current_task()) is not None:
            self._branches.add(task)
        if self._given_up and position.startswith(self._given_up):
            raise asyncio.CancelledError("another branch failed")
        command.position, command.is_in_branch = position, "/" in position
        self.commands[position] = command
        self._ordering.issued()
        row = self._history.get(position)
        if row is not None and not command.matches(row):
            self.stop(mismatch(command, row))
            return command.future
        command.row = row
        if self._busy and isinstance(command, CallCommand):
            command.may_have_begun = self._may_have_begun()
        if row is not None and row.sequence:
            self._ordering.answered(row.sequence, command)
        elif self._holds_back and not (isinstance(command, CallCommand) and self._is_finished_anyway(command)):
            # It never gets an answer. Once all that the function awaits is of this kind, the saga stops and is undone.
            if row is not None and row.state is StepState.UNCERTAIN and isinstance(command, CallCommand):
                self.uncertain.append(command)
            self._pauses.rest(command, None)
        else:
            if self._saga.cancelled and isinstance(command, LastingCommand):
                command.stop()
            perform: Any = self._calls.perform if isinstance(command, CallCommand) else self._pauses.perform
            self._spawn(perform(command), command.name, command)
        return command.future

    def _may_have_begun(self) -> bool:
        """Whether the last owner, which was busy, may have died within a call that is issued now.

        As long as the function has seen the journal's answers alone, it asks only for what it asked for then.
        """
        return not self._is_undoing and not self._ordering.is_live

    def _is_finished_anyway(self, command: CallCommand) -> bool:
        """Whether a call of a saga that was cancelled is made all the same.

        One that may be under way tells whether there is something to undo; what comes after it is not begun.
        """
        return command.may_have_begun and command.kind is Kind.CALL

    def _spawn(
        self, work: Coroutine[Any, Any, Any], name: str, command: SagaCommand | None = None
    ) -> asyncio.Task[Any]:
        """Run a part of the saga, or what a command needs, in a task of its own, outside of whatever started it."""
        name = f"saga {self._saga.name} {self._saga.id}: {name}"
        # The engine's own variables: a task started in the caller's would run in its unit of work and its deadline.
        variables = self._variables.copy()
        variables.run(CURRENT.set, self.invoker.context)
        task = self._loop.create_task(work, name=name, context=variables)
        if command is not None:
            self._tasks[task] = command
            task.add_done_callback(self._on_ended)
        return task

    async def _body(self) -> Any:
        enter(self._saga.id)
        CURRENT.set(self._steps.context)
        if (task := asyncio.current_task()) is not None:
            self._branches.add(task)
        values = decoder(self._definition.input)(self._saga.input)
        return await self._definition.begin(self._instance, self._flow, values)

    def _deliver(self, command: SagaCommand) -> None:
        self._is_late = self._is_late or self._stop.done()
        row = command.row
        if row is not None and row.ended is not None:
            self._flow.at(row.ended)
            if self._seams and row.sequence in self._seams:
                self._flow.begin_at(*self._seams[row.sequence])
        if command.future.done():  # the function has stopped to wait for it, by a timeout of its own; now() moves on
            return
        if command.is_given_up:
            command.future.cancel()
            if row is not None and row.event is not None and not self._holds_back:
                self._spawn(self._pauses.give_back(row), command.name, command)
            return
        try:
            value = command.answer()
        except (msgspec.ValidationError, MisuseError) as error:
            self.stop(unreadable(command, error))
        except Exception as error:  # the journaled error itself, which is the function's to handle
            command.future.set_exception(error)
        else:
            command.future.set_result(value)

    def _on_ended(self, task: asyncio.Task[None]) -> None:
        command = self._tasks.pop(task)
        self._pauses.dormant.pop(command, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._aborted = self._aborted or error
            self.stop(Aborted(error))
        elif self._pauses.dormant or self.uncertain:
            self._ordering.watch()

    def _on_uncertain(self, command: CallCommand, row: StepRow, failure: Failure) -> None:
        """The saga is undone, and the step resolved first."""
        command.row = row
        self.uncertain.append(command)
        self.stop(Raised(failure))

    def _on_quiet(self) -> None:
        dormant = self._pauses.dormant
        if self._stop.done() or not dormant or any(command not in dormant for command in self._tasks.values()):
            return
        if self._holds_back:
            self.stop(cancelled())
        else:
            self.stop(Suspended(min((until for until in dormant.values() if until is not None), default=None)))

    async def _close(self, body: asyncio.Task[Any]) -> None:
        """End the function's tasks, and wait for the calls under way: their answers decide what is undone."""
        self._is_closed = True
        is_aborted = self._stop.done() and isinstance(self._stop.result(), Aborted)
        for command in self.commands.values():
            command.future.cancel()
        for task, command in self._tasks.items():
            # Nothing happens by a pause, so nothing is lost with it; nor by a call of which nothing could be undone, if
            # the function was cut short and has no use for its answer.
            if command.is_answered:
                continue  # a write that is cut short may be there or not
            if not isinstance(command, CallCommand) or (self._is_cut_short and command.undo is None):
                task.cancel()
            elif isinstance(command, LastingCommand):
                # It fails with its parent; where another replica has that now, it is waited for there.
                task.cancel() if is_aborted else command.stop()
        if not body.done():
            body.cancel()
        await asyncio.wait({body, *self._tasks})

    async def _abandon(self, body: asyncio.Task[Any]) -> None:
        self._is_closed = True
        tasks = {body, *self._tasks}
        for command in self.commands.values():
            command.future.cancel()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)

    def _outcome(self, body: asyncio.Task[Any]) -> Outcome:
        if self._aborted is not None:
            return Aborted(self._aborted)
        if self._stop.done():
            outcome = self._stop.result()
            # What came while it went to sleep wakes it at once: nothing in the journal waits for that any more.
            return Suspended(_AT_ONCE) if self._is_late and isinstance(outcome, Suspended) else outcome
        error = None if body.cancelled() else body.exception()
        # Only now: a function that stopped early, by whatever reason, has not had the time to reach them.
        if (stuck := unreached(self._history.values(), self.commands, error)) is not None:
            return stuck
        if error is not None or body.cancelled():
            return raised(error)
        return cancelled() if self._saga.cancelled else Returned(body.result())
