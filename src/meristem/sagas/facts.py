"""What the engine tells those who watch it: telemetry, dashboards, tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import msgspec

from meristem.sagas.records import Kind


class SagaBegan(msgspec.Struct, frozen=True):
    """A saga was accepted, or taken up again after a crash or a sleep."""

    id: str
    name: str
    resumed: bool


class StepEnded(msgspec.Struct, frozen=True):
    """A step, or an undo, was journaled; `error` says how it failed."""

    id: str
    saga: str
    position: str
    kind: Kind
    name: str
    seconds: float
    error: str | None = None


class SagaEnded(msgspec.Struct, frozen=True):
    """A saga came to rest: `done`, `failed` (undone), `parked`, or `waiting` for a time or an event."""

    id: str
    name: str
    state: str
    seconds: float
    error: str | None = None


class SagaLost(msgspec.Struct, frozen=True):
    """Another replica took the saga over; this one stopped working on it."""

    id: str
    name: str


Fact: TypeAlias = SagaBegan | StepEnded | SagaEnded | SagaLost
Observer: TypeAlias = Callable[[Fact], None]
