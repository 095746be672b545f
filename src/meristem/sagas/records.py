"""What the rows of the journal say, for code that needs no database to say it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class SagaState(StrEnum):
    """How far a saga has come; the last three are at rest."""

    RUNNING = "running"
    WAITING = "waiting"
    UNDOING = "undoing"
    DONE = "done"
    FAILED = "failed"
    PARKED = "parked"


class Kind(StrEnum):
    """What a step does."""

    CALL = "call"
    LOCAL = "local"
    SLEEP = "sleep"
    WAIT = "wait"
    UNDO = "undo"


class StepState(StrEnum):
    """How a step stands: a call still unanswered when its patience ended is uncertain until it is resolved."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"
    UNCERTAIN = "uncertain"


class SagaRow(msgspec.Struct):
    """A saga as its row says."""

    id: str
    name: str
    version: int
    state: SagaState
    input: str
    context: str
    seed: str
    created: datetime
    updated: datetime
    horizon: int = 0
    result: str | None = None
    error: str | None = None
    problem: str | None = None
    resume: SagaState | None = None
    cancelled: bool = False
    member: int | None = None
    fence: int = 1
    wake_at: datetime | None = None
    attempts: int = 1
    asked: str | None = None
    crashes: int | None = None


class StepRow(msgspec.Struct):
    """A step, or the undoing of one, as its row says."""

    saga_id: str
    position: str
    kind: Kind
    name: str
    request: str
    state: StepState
    started: datetime
    sequence: int = 0
    reply: str | None = None
    error: str | None = None
    due: datetime | None = None
    subject: str | None = None
    event: int | None = None
    attempts: int = 0
    ended: datetime | None = None


class TryRow(msgspec.Struct):
    """A step that is tried again, as its row says: why, since when, and when next."""

    saga_id: str
    position: str
    name: str
    attempts: int
    error: str
    started: datetime
    due: datetime


class EventRow(msgspec.Struct):
    """A buffered event."""

    id: int
    body: str
