"""What people see of sagas, as plain messages: a supervisor, which has no database, hands them on."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from meristem.contracts.message import Message
from meristem.sagas.records import SagaState


class Why(StrEnum):
    """What a saga that has not ended waits for."""

    CALL = "call"
    CHILD = "child"
    RETRY = "retry"
    SLEEP = "sleep"
    EVENT = "event"
    SIGNAL = "signal"
    REPLICA = "replica"
    PERSON = "person"


class Diagnosis(Message):
    """One thing that a saga waits for; `text` tells it in a sentence, and `helps` what makes the saga go on.

    `position` and `name` are the step's, `attempts` how often it failed, `error` why, `until` the next attempt or the
    end of the pause. `replica` holds the saga.
    """

    why: Why
    since: datetime
    text: str
    helps: str
    position: str | None = None
    name: str | None = None
    attempts: int = 0
    error: str | None = None
    until: datetime | None = None
    replica: str | None = None


class Relative(Message):
    """The parent or a child of a saga; `position` is the parent's step that began the child.

    One of another service has no `state` here.
    """

    id: str
    position: str
    name: str | None = None
    state: SagaState | None = None


class KeptSignal(Message):
    """A signal that waits for its saga to ask for it; `body` is its JSON, there only when values were asked for."""

    name: str
    received: datetime
    body: str | None = None


class SagaSummary(Message):
    """One saga in a line; `problem` says why it is parked, `error` why it failed or is being undone.

    `trying` says what is tried again at this moment, and why; a list tells it, and what changes a saga does not.
    """

    id: str
    name: str
    version: int
    state: SagaState
    created: datetime
    updated: datetime
    attempts: int
    cancelled: bool = False
    member: int | None = None
    wake_at: datetime | None = None
    problem: str | None = None
    error: str | None = None
    trying: str | None = None


class StepSummary(Message):
    """One step, or the undo of one. `reply` is there only when values were asked for: they may be private."""

    position: str
    kind: str
    name: str
    state: str
    attempts: int
    started: datetime
    ended: datetime | None = None
    seconds: float | None = None
    due: datetime | None = None
    error: str | None = None
    details: str = ""
    reply: str | None = None


class SagaDetails(Message):
    """A saga with its steps in the order in which they began; `input` and `result` are JSON.

    `waits_for` says what keeps one that has not ended, since when, and what helps; `fork_of` is the saga that a fork
    has its first answers from. A step of `parent` began it, and its own steps began `children`. `signals` are those
    that it has been sent and has not read, as long as they are kept; it takes those named in `takes`. What began it was
    part of the trace `trace_id`.
    """

    saga: SagaSummary
    steps: list[StepSummary]
    waits_for: list[Diagnosis] = []
    fork_of: str | None = None
    parent: Relative | None = None
    children: list[Relative] = []
    signals: list[KeptSignal] = []
    takes: list[str] = []
    trace_id: str | None = None
    details: str = ""
    input: str | None = None
    result: str | None = None
