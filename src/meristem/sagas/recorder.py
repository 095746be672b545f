"""How an answer gets from its callee to the function: numbered, put in the journal, told to observers, handed on."""

from __future__ import annotations

from functools import partial

from meristem.sagas.commands import SagaCommand
from meristem.sagas.engine_parts import EngineParts
from meristem.sagas.facts import StepEnded
from meristem.sagas.failures import read
from meristem.sagas.journal_writer import JournalWriter
from meristem.sagas.ordering import Ordering
from meristem.sagas.records import SagaRow, StepRow


class Recorder:
    """Records the answers of one execution."""

    def __init__(self, parts: EngineParts, saga: SagaRow, writer: JournalWriter, ordering: Ordering) -> None:
        self._clock = parts.clock
        self._emit = parts.emit
        self._saga = saga
        self._writer = writer
        self._ordering = ordering

    async def record(self, command: SagaCommand, row: StepRow, *, known: bool = False) -> None:
        """Journal an answer (`known`: its row is there already) and then hand it to the function."""
        row.ended = self._clock.now()
        row.sequence = self._ordering.reserve()  # before the write, so that numbers are in the order of the writes
        try:
            await (self._writer.answer if known else self._writer.record)(row)
        except BaseException:
            self._ordering.abandon(row.sequence)
            raise
        self.report(row)
        command.row = row
        self._ordering.answered(row.sequence, command)

    def buffer(self, command: SagaCommand, row: StepRow) -> None:
        """Hand an answer to the function that nothing else can see before the next commit, which journals it."""
        row.ended = self._clock.now()
        row.sequence = self._ordering.reserve()
        self._writer.buffer(row, partial(self.report, row))  # observers are told of what cannot vanish any more
        command.row = row
        self._ordering.answered(row.sequence, command)

    def report(self, row: StepRow) -> None:
        """Tell observers that a step or an undo ended."""
        seconds = max(0.0, ((row.ended or row.started) - row.started).total_seconds())
        error = None if row.error is None else read(row.error).message
        self._emit(StepEnded(self._saga.id, self._saga.name, row.position, row.kind, row.name, seconds, error))
