"""What the event machinery did, emitted to observers: metrics, logs, tests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from meristem.contracts.message import Event

logger: Final = logging.getLogger(__name__)


class Published(msgspec.Struct, frozen=True):
    """An event was committed by `source` (`//hotels/payments`); `subscribers` counts those that are owed it."""

    type: str
    subscribers: int
    source: str
    event: Event


class Delivered(msgspec.Struct, frozen=True):
    """A subscriber acknowledged an event, `seconds` after it was published, at the given attempt."""

    type: str
    subscriber: str
    seconds: float
    attempt: int


class Handled(msgspec.Struct, frozen=True):
    """A subscriber's handler took `seconds` for an attempt at an event; `error` says why it failed.

    It ran in the trace of the publisher, below its span `parent_id`, and is told of within its own surroundings.
    """

    type: str
    subscriber: str
    seconds: float
    parent_id: str | None
    error: str | None = None


class DeliveryRetried(msgspec.Struct, frozen=True):
    """A delivery failed and will be tried again after `delay` seconds.

    It is `counted` where the handler refused the event, and not where something that it needs was away.
    """

    type: str
    subscriber: str
    attempt: int
    delay: float
    error: str
    counted: bool = True


class DeadLettered(msgspec.Struct, frozen=True):
    """An event became a dead letter of a subscriber."""

    type: str
    subscriber: str
    attempts: int
    error: str


class Away(msgspec.Struct, frozen=True):
    """A subscriber could not be reached, for `reason`; its events wait, and it is tried again after `delay` seconds."""

    subscriber: str
    delay: float
    reason: str


Fact: TypeAlias = Published | Delivered | Handled | DeliveryRetried | DeadLettered | Away
Observer: TypeAlias = Callable[[Fact], None]


def emit(observers: list[Observer], fact: Fact) -> None:
    """Hand a fact to every observer; one that fails is logged and stops neither the others nor the delivery."""
    for observer in observers:
        try:
            observer(fact)
        except Exception:  # an observer must not stop what it observes
            logger.exception("an observer of events failed on %s", type(fact).__name__)
