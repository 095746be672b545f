"""What a run offers to its steps: a place in the journal, and word of how they stand."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime
from functools import partial

from meristem.sagas.failures import Failure
from meristem.sagas.ops import CallOp, Op
from meristem.sagas.ordering import Ordering
from meristem.sagas.records import StepRow
from meristem.sagas.work import Work


class Running(Work, ABC):
    """A saga whose function runs. `nudge` is set when an event may have come."""

    turns: Ordering
    patience: float
    nudge: asyncio.Event

    async def keep(self, op: Op, row: StepRow, *, known: bool = False) -> None:
        """Journal an answer (`known`: its row is there already) and then hand it to the function."""
        row.ended = self.now()
        row.sequence = self.turns.reserve()
        try:
            await (self.page.answer if known else self.page.record)(row)
            self.tell(row)
            self.settled(op, row)
        finally:
            self.turns.settled(row.sequence)

    def owe(self, op: CallOp, row: StepRow) -> None:
        """Hand an answer to the function that nobody else can see before the next commit, which journals it."""
        row.ended = self.now()
        row.sequence = self.turns.reserve()
        self.page.owe(row, partial(self.tell, row))
        self.settled(op, row)
        self.turns.settled(row.sequence)

    @abstractmethod
    def settled(self, op: Op, row: StepRow) -> None:
        """An operation's answer is in the journal, or comes there before it matters: the function may have it."""

    @abstractmethod
    def sleeps(self, op: Op, until: datetime | None) -> None:
        """Nothing will come of this operation for long: it keeps the saga from neither sleep nor stop."""

    @abstractmethod
    def wakes(self, op: Op) -> None:
        """Something may come of this operation after all."""

    @abstractmethod
    def doubts(self, op: CallOp, row: StepRow, failure: Failure) -> None:
        """A step with an undo may or may not have happened: the saga is undone, and the step resolved first."""
