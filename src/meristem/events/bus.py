"""The port of a bus: where the outbox's rows go, and how a service receives what it subscribed to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from meristem.errors import OperationError
from meristem.events.envelope import Envelope
from meristem.events.policy import DeliveryPolicy

if TYPE_CHECKING:
    from meristem.events.incoming_events import Incoming

BROKER: Final = "bus:"
"""Begins the name of a destination that is a broker: no service can be called so."""


class Receive(Protocol):
    """Takes an event; returns when it is handled. Raises Undeliverable for what no retry helps, else it is retried.

    `is_new` is the word of this very process that it committed the event and has handed it to no subscriber yet: it
    can't have been handled. It is never sent to another process, nor taken from one.
    """

    async def __call__(self, envelope: Envelope, *, is_new: bool = False) -> None: ...


class SubscriberAway(OperationError):
    """A subscriber cannot be reached now: its events wait, and no attempt is counted.

    `broke`: it had the event, and its connection broke before it answered, as where its process ends. `retry_after` are
    the seconds after which it wants to be asked again, where it said so.
    """

    broke: bool = False
    retry_after: float | None = None


class Bus(Protocol):
    """Carries events from an outbox to the services that subscribed.

    A destination is what one outbox row is owed to: a subscribing service where the bus delivers by itself, the broker
    where that fans out. A process has one bus. It is started when every service there has subscribed, before anything
    is published; it is drained when the relays have drained, and stopped when they have stopped, before its
    subscribers are. Every adapter passes `tests/suites/bus.py`.
    """

    resumed: list[Callable[[str], None]]
    """Who is told of a destination that was away and is there again."""

    def subscribe(
        self, service: str, policies: Mapping[str, DeliveryPolicy], receive: Receive, incoming: Incoming | None = None
    ) -> None:
        """Have events of the given types delivered to `service`: one copy each, in order per key.

        What a broker brings is stored among the `incoming`, and comes to `receive` from there.
        """
        ...

    def forward(self, service: str, policies: Mapping[str, DeliveryPolicy], send: Receive) -> None:
        """Know of a service that subscribes in another process; `send` hands events over to it by calls.

        A broker that carries events between processes has no use for `send`: there the service subscribes itself.
        """
        ...

    def destinations(self, event_type: str) -> Sequence[str]:
        """To whom one copy each of such an event is owed."""
        ...

    def policy(self, destination: str, event_type: str) -> DeliveryPolicy:
        """How delivery to a destination is retried."""
        ...

    async def lag(self) -> Mapping[str, int]:
        """How many events a broker has that each service here has not taken in yet.

        Raises SubscriberAway where the broker can't be asked.
        """
        ...

    async def publish(self, envelope: Envelope, destination: str, *, is_new: bool = False) -> None:
        """Deliver; returns when the destination has it durably. Raises SubscriberAway, Undeliverable or what failed.

        `is_new`: the event never left the memory of this process (see `Receive`).
        """
        ...

    async def start(self) -> None:
        """Connect, and deliver what has been waiting; raises OperationError when nothing answers."""
        ...

    async def drain(self) -> None:
        """Take no new events and finish what is being handled."""
        ...

    async def stop(self) -> None:
        """Disconnect."""
        ...
