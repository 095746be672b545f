"""What the policies of resilience did, emitted to an observer: metrics, logs, tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["closed", "open", "half_open"]


class CallRetried(msgspec.Struct, frozen=True):
    """A call is tried again after `delay` seconds."""

    operation: str
    attempt: int
    delay: float
    code: str


class RetryRefused(msgspec.Struct, frozen=True):
    """A call that could have been tried again was not, because its dependency's budget is used up."""

    operation: str
    dependency: str


class Hedged(msgspec.Struct, frozen=True):
    """A call that waits at an endpoint which answers no call was sent to another one too."""

    operation: str
    address: str
    other: str


class BreakerChanged(msgspec.Struct, frozen=True):
    """The circuit breaker of an endpoint changed its state."""

    name: str
    before: State
    after: State
    reason: str


class Ejected(msgspec.Struct, frozen=True):
    """An endpoint gets no calls for `seconds`."""

    dependency: str
    address: str
    seconds: float


class Shed(msgspec.Struct, frozen=True):
    """A call was turned away at a limit of concurrent calls."""

    name: str
    limit: int


Fact: TypeAlias = CallRetried | Hedged | RetryRefused | BreakerChanged | Ejected | Shed
OnFact: TypeAlias = Callable[[Fact], None]


def ignore(_: Fact) -> None:
    """The observer where none was given."""
