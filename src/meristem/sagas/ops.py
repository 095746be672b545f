"""The durable operations that a saga's function awaits, each with its place in the journal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from meristem.contracts.codec import decoder
from meristem.contracts.message import Event
from meristem.sagas.failures import read, revive
from meristem.sagas.records import Kind, StepRow, StepState
from meristem.sagas.steps import Step, fingerprint


class Op:
    """One awaited operation: what was asked, where it stands, and its answer once it is journaled."""

    kind: Kind
    name: str
    request: str
    reply: Any

    def __init__(self) -> None:
        self.position = ""
        self.row: StepRow | None = None
        self.future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @property
    def is_in_branch(self) -> bool:
        """Whether a task beside the function's own asked for it."""
        return "/" in self.position

    def matches(self, row: StepRow) -> bool:
        """Whether the journal's step is this one."""
        return (row.kind, row.name, row.request) == (self.kind, self.name, self.request)

    def answer(self) -> Any:
        """The journaled reply, or raise the journaled error."""
        row = self.journaled
        if row.error is not None:
            raise revive(read(row.error))
        return self.late_reply()

    def late_reply(self) -> Any:
        """The reply, be it one that came after the function had been told of an error."""
        text = self.journaled.reply
        return None if text is None else decoder(self.reply)(text)  # type: ignore[arg-type]

    @property
    def journaled(self) -> StepRow:
        """The step's row, which exists by now."""
        if self.row is None:
            raise RuntimeError(f"step {self.position} ({self.name}) is not in the journal")
        return self.row

    def new_row(self, saga_id: str, started: datetime) -> StepRow:
        """The row of an operation that begins now."""
        return StepRow(saga_id, self.position, self.kind, self.name, self.request, StepState.WAITING, started)


class CallOp(Op):
    """A call of another service, or a step of the service itself."""

    def __init__(
        self,
        step: Step,
        method: Callable[..., Awaitable[Any]],
        arguments: tuple[Any, ...],
        undo: Callable[[Any], Awaitable[object]] | None,
    ) -> None:
        super().__init__()
        self.step = step
        self.method = method
        self.arguments = arguments
        self.undo = undo
        self.kind, self.name, self.reply = step.kind, step.name, step.reply
        self.request = fingerprint(step.name, arguments)


class SleepOp(Op):
    """A pause that outlives the process."""

    kind = Kind.SLEEP
    reply: Any = None

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.name = "sleep"
        self.request = fingerprint("sleep", seconds)
        self.seconds: float | None = seconds

    def new_row(self, saga_id: str, started: datetime) -> StepRow:
        row = super().new_row(saga_id, started)
        row.due = None if self.seconds is None else started + timedelta(seconds=self.seconds)
        return row


class WaitOp(SleepOp):
    """The wait for an event: a pause that the event ends early, and that ends in an error."""

    kind = Kind.WAIT

    def __init__(self, event: type[Event], key: str, timeout: float | None) -> None:
        super().__init__(0.0)
        self.name = event.event_type
        self.reply = event
        self.key = key
        self.request = fingerprint(self.name, [key, timeout])
        self.seconds = timeout

    def new_row(self, saga_id: str, started: datetime) -> StepRow:
        row = super().new_row(saga_id, started)
        row.subject = self.key
        return row
