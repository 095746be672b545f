"""What passes between an outbox and its relay: the rows in hand, what a claim got, and who delivers."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Final, Protocol

import msgspec

from meristem.events.cloudevents import read_json
from meristem.events.envelope import Envelope

_LINE: Final = 1000  # characters of a name or a reason


class Delivery(msgspec.Struct, gc=False):
    """One row of the outbox in the hands of a relay: an event that is owed to a subscriber.

    `body` is the envelope, or its JSON where it came from disk; times are on the steady time of the outbox's clock,
    while rows keep the time of day. `is_new` while it has been in the memory of the process that committed it, and no
    subscriber was handed it. `outages` counts the attempts in a row that met one, `crashes` how often
    the subscriber's process ended meanwhile, as `poison` has it.
    """

    event_id: str
    subscriber: str
    type: str
    key: str
    body: Envelope | str
    created: float
    attempts: int
    due_at: float
    is_new: bool = False
    outages: int = 0
    crashes: int = 0

    def open(self) -> Envelope:
        """The envelope; raises Undeliverable for a row that can't be read."""
        return self.body if isinstance(self.body, Envelope) else read_json(self.body)


class Unreadable(msgspec.Struct, frozen=True):
    """What a broker brought and is no event: a dead letter, under an id that its place with the broker gives it."""

    id: str
    type: str
    body: str
    reason: str

    @classmethod
    def at(cls, place: str, event_type: str, body: bytes, reason: str) -> Unreadable:
        """What lay there. What is no text stands in the letter as base64, so that nothing of it is lost."""
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = ""
        if "\0" in text or not text:  # PostgreSQL takes no such text
            text = f"data:;base64,{base64.b64encode(body).decode()}"
        return cls(_line(place), _line(event_type), text, _line(reason))


def _line(text: str) -> str:
    """What a stranger named, as every database takes it."""
    return text.replace("\0", "�")[:_LINE]


class Depth(msgspec.Struct, frozen=True):
    """How many events of a state (pending, dead) a subscriber has, and when the oldest was published.

    That is in seconds since the epoch.
    """

    subscriber: str
    state: str
    count: int
    oldest: float


class Claim(msgspec.Struct, frozen=True):
    """What a relay got of the rows of some keys; `key` is the last of them.

    `is_end` when no key with free rows comes after, `is_all` when no row of the subscriber is free any more, None where
    that is to be asked. Without `has_turn` it got none because another relay claims just now.
    """

    deliveries: list[Delivery]
    key: str
    is_end: bool
    is_all: bool | None
    has_turn: bool = True


class Courier(Protocol):
    """Delivers what the outbox holds: the relay of this process."""

    def accepts(self, subscriber: str) -> bool:
        """Whether a new event of this subscriber may go to it from memory, whatever its key."""
        ...

    def has_room(self, subscriber: str, key: str) -> bool:
        """Whether one of this key may, if no earlier one is before it."""
        ...

    def take(self, deliveries: Iterable[Delivery]) -> None:
        """Deliver what has just been committed, or claimed."""
        ...

    def fetch_soon(self, subscriber: str) -> None:
        """Something for this subscriber is on disk only."""
        ...
