"""Events between processes: the direct bus hands them over as calls, over the same wire as every other call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec

from meristem.contracts.contract import Contract
from meristem.contracts.operation import idempotent
from meristem.errors import CallError, Code, Fault, Undeliverable
from meristem.events.bus import Receive, SubscriberAway
from meristem.events.envelope import Envelope

if TYPE_CHECKING:
    from collections.abc import Mapping


class NotAccepted(Fault, code=Code.INVALID_ARGUMENT):
    """The subscriber can never accept this event."""

    reason: str


class Deliveries(Contract, Protocol, package="meristem.events.v1"):
    """Takes events for the services of a process."""

    @idempotent(raises=[NotAccepted], timeout=30.0)
    async def deliver(self, service: str, event: str) -> None:
        """Hand a CloudEvent, as JSON, to a service; returns when it is handled."""
        ...


class Postbox:
    """Takes deliveries for the services that live in this process."""

    def __init__(self, receivers: Mapping[str, Receive]) -> None:
        self._receivers = receivers

    async def deliver(self, service: str, event: str) -> None:
        receive = self._receivers.get(service)
        if receive is None:
            raise CallError(Code.UNAVAILABLE, f"{service!r} does not live here", may_have_happened=False)
        try:
            await receive(msgspec.json.decode(event, type=Envelope))
        except Undeliverable as error:
            raise NotAccepted(reason=str(error)) from None


def sender(service: str, deliveries: Deliveries) -> Receive:
    """Hands events to a service in another process; raises SubscriberAway while it cannot be reached."""

    async def send(envelope: Envelope, *, is_new: bool = False) -> None:  # noqa: ARG001 - a word that no wire carries
        try:
            await deliveries.deliver(service, msgspec.json.encode(envelope).decode())
        except NotAccepted as refusal:
            raise Undeliverable(refusal.reason) from None
        except CallError as error:
            if error.code is Code.UNAVAILABLE:
                raise SubscriberAway(error.message) from None
            raise

    return send
