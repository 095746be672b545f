"""Any bus with subscribers outside: an event is owed to these beside whomever the bus owes it to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meristem.events.bus import Bus, Receive
    from meristem.events.envelope import Envelope
    from meristem.events.incoming_events import Incoming
    from meristem.events.policy import DeliveryPolicy
    from meristem.webhooks.webhook import Webhook


class WebhookTerms:
    """Which types a webhook hears (`hotel.bookings.v1.*` are those of a package), and how its delivery is retried."""

    def __init__(self, types: Sequence[str], policy: DeliveryPolicy) -> None:
        self.policy = policy
        self._exact = {each for each in types if not each.endswith("*")}
        self._begins = tuple(each[:-1] for each in types if each.endswith("*"))

    def hears(self, event_type: str) -> bool:
        """Whether it is one of its types."""
        return event_type in self._exact or event_type.startswith(self._begins)


class WebhookBus:
    """Hands what is owed to a webhook to it, and leaves all else to the bus that it is made of.

    `webhooks` may lack those of `terms` for who only looks.
    """

    def __init__(self, bus: Bus, terms: Mapping[str, WebhookTerms], webhooks: Mapping[str, Webhook]) -> None:
        self.resumed = bus.resumed
        self._bus = bus
        self._terms = terms
        self._webhooks = webhooks
        self._of_type: dict[str, tuple[str, ...]] = {}

    def subscribe(
        self, service: str, policies: Mapping[str, DeliveryPolicy], receive: Receive, incoming: Incoming | None = None
    ) -> None:
        self._bus.subscribe(service, policies, receive, incoming)

    def forward(self, service: str, policies: Mapping[str, DeliveryPolicy], send: Receive) -> None:
        self._bus.forward(service, policies, send)

    def destinations(self, event_type: str) -> Sequence[str]:
        found = self._of_type.get(event_type)
        if found is None:
            found = tuple(name for name, each in self._terms.items() if each.hears(event_type))
            self._of_type[event_type] = found
        return (*self._bus.destinations(event_type), *found) if found else self._bus.destinations(event_type)

    def policy(self, destination: str, event_type: str) -> DeliveryPolicy:
        terms = self._terms.get(destination)
        return self._bus.policy(destination, event_type) if terms is None else terms.policy

    async def lag(self) -> Mapping[str, int]:
        return await self._bus.lag()

    async def publish(self, envelope: Envelope, destination: str, *, is_new: bool = False) -> None:
        webhook = self._webhooks.get(destination)
        if webhook is None:
            await self._bus.publish(envelope, destination, is_new=is_new)
        else:
            await webhook.deliver(envelope)

    async def start(self) -> None:
        """As the bus does; connections to webhooks are opened by what is sent."""
        await self._bus.start()

    async def drain(self) -> None:
        """As the bus does: the relays finish what is in flight."""
        await self._bus.drain()

    async def stop(self) -> None:
        """As the bus does."""
        for each in self._webhooks.values():
            each.close()
        await self._bus.stop()
