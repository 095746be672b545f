"""The bus that needs nothing installed: the outbox is the durable log, the relay calls each subscriber."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from meristem.errors import ConfigurationError
from meristem.events.bus import BROKER, Receive
from meristem.events.envelope import Envelope
from meristem.events.policy import DeliveryPolicy
from meristem.events.subscribers import Subscribers

if TYPE_CHECKING:
    from meristem.events.incoming_events import Incoming


def open_bus(url: str, *, system: str) -> DirectBus:  # noqa: ARG001 - of `OpenBus`; nothing here is shared with others
    """The bus that `direct` stands for."""
    if url != "direct":
        raise ConfigurationError(f"the bus {url!r}: the direct bus has neither address nor options; write direct")
    return DirectBus()


class DirectBus:
    """Hands each event to its subscribers: an inbox of this process, or a sender to another process."""

    def __init__(self) -> None:
        self.resumed: list[Callable[[str], None]] = []
        self._subscribers = Subscribers()
        self._first: dict[str, tuple[list[str], Incoming]] = {}  # services that want to hear what was before them

    def subscribe(
        self,
        service: str,
        policies: Mapping[str, DeliveryPolicy],
        receive: Receive,
        incoming: Incoming | None = None,
    ) -> None:
        self._subscribers.add(service, policies, receive)
        first = [name for name, policy in policies.items() if policy.begin == "first"]
        if first and incoming is not None:
            self._first[service] = (first, incoming)

    def forward(self, service: str, policies: Mapping[str, DeliveryPolicy], send: Receive) -> None:
        self.subscribe(service, policies, send)

    def destinations(self, event_type: str) -> Sequence[str]:
        return self._subscribers.of(event_type)

    def policy(self, destination: str, event_type: str) -> DeliveryPolicy:
        return self._subscribers.policy(destination, event_type)

    async def lag(self) -> Mapping[str, int]:
        return {}

    async def publish(self, envelope: Envelope, destination: str, *, is_new: bool = False) -> None:
        if destination.startswith(BROKER):
            # It was committed when the system had a broker: to all, and whoever had it already knows it by its inbox.
            for subscriber in self.destinations(envelope.type):
                await self._subscribers.hand(envelope, subscriber)
        else:
            await self._subscribers.hand(envelope, destination, is_new=is_new)

    async def start(self) -> None:
        """Nothing to connect: a publisher's outbox keeps what is owed, and nothing of before somebody was."""
        for service, (first, incoming) in self._first.items():
            await incoming.beginnings.begin(service, first, first, None)

    async def drain(self) -> None:
        """The relay finishes what is in flight."""

    async def stop(self) -> None:
        """Nothing to disconnect."""
