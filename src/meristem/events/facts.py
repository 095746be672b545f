"""What the event machinery tells whoever watches: facts, handed to plain functions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

logger: Final = logging.getLogger(__name__)


class Published(msgspec.Struct, frozen=True):
    """An event was committed; `subscribers` counts who is owed it."""

    type: str
    subscribers: int


class Delivered(msgspec.Struct, frozen=True):
    """A subscriber acknowledged an event, `seconds` after it was published, at the given attempt."""

    type: str
    subscriber: str
    seconds: float
    attempt: int


class DeliveryRetried(msgspec.Struct, frozen=True):
    """A delivery failed and will be tried again after `delay` seconds."""

    type: str
    subscriber: str
    attempt: int
    delay: float
    error: str


class Buried(msgspec.Struct, frozen=True):
    """An event became a dead letter of a subscriber."""

    type: str
    subscriber: str
    attempts: int
    error: str


class Away(msgspec.Struct, frozen=True):
    """A subscriber could not be reached; its events wait, and it is tried again after `delay` seconds."""

    subscriber: str
    delay: float


Fact: TypeAlias = Published | Delivered | DeliveryRetried | Buried | Away
Observer: TypeAlias = Callable[[Fact], None]


def tell(observers: list[Observer], fact: Fact) -> None:
    """Hand a fact to every observer; one that fails is logged and harms nobody."""
    for observer in observers:
        try:
            observer(fact)
        except Exception:  # whoever watches must not stop what is watched
            logger.exception("an observer of events failed on %s", type(fact).__name__)
