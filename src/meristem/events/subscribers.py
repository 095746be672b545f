"""The subscribers that a process knows: what every bus keeps of them, and how each is handed an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from meristem.errors import WiringError
from meristem.events.bus import Receive, SubscriberAway
from meristem.events.envelope import Envelope
from meristem.events.policy import DEFAULT, DeliveryPolicy


class Subscribers:
    """Services by name, each with what takes its events and the policies of its event types."""

    def __init__(self) -> None:
        self._receivers: dict[str, Receive] = {}
        self._policies: dict[tuple[str, str], DeliveryPolicy] = {}
        self._of_type: dict[str, tuple[str, ...]] = {}

    def add(self, service: str, policies: Mapping[str, DeliveryPolicy], receive: Receive) -> None:
        """Know a service; raises WiringError for one that is known already."""
        if service in self._receivers:
            raise WiringError(f"{service!r} has subscribed already; subscribe once, with all its event types")
        self._receivers[service] = receive
        for event_type, policy in policies.items():
            self._policies[service, event_type] = policy
            self._of_type[event_type] = (*self._of_type.get(event_type, ()), service)

    def of(self, event_type: str) -> Sequence[str]:
        """Who hears events of a type, in the order in which they were added."""
        return self._of_type.get(event_type, ())

    def policy(self, service: str, event_type: str) -> DeliveryPolicy:
        """How delivery is retried; the default where nothing is known of it."""
        return self._policies.get((service, event_type), DEFAULT)

    async def hand(self, envelope: Envelope, service: str, *, is_new: bool = False) -> None:
        """Have a service handle an event; raises SubscriberAway for one that is not known here."""
        receive = self._receivers.get(service)
        if receive is None:
            raise SubscriberAway(
                f"no service {service!r} subscribes here: add it to the system again, "
                f"or give its events up (meristem events discard --subscriber {service})"
            )
        await receive(envelope, is_new=is_new)
