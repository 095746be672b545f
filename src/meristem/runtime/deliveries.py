"""Events between processes: the direct bus hands them over as calls, over the same wire as every other call."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from meristem.context import current, using
from meristem.contracts.contract import Contract
from meristem.contracts.operation import Retry, idempotent
from meristem.errors import CallError, Code, Fault, Undeliverable
from meristem.events.bus import Receive, SubscriberAway
from meristem.events.envelope import Envelope
from meristem.events.outage import Outage, is_outage
from meristem.events.policy import DEFAULT, DeliveryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meristem.resilience.timers import Deadlines

MARGIN: Final = 5.0  # seconds beyond the policy's in which a process that lives says that its handler took too long
PROBING: Final = 0.02  # seconds until a breaker that waits for its probes is asked again
PROBES: Final = 50
SILENCE: Final = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)  # what also a process says that is not there, or hangs


class NotAccepted(Fault, code=Code.INVALID_ARGUMENT):
    """The subscriber can never accept this event."""

    reason: str


class NotHandled(Fault, code=Code.ABORTED):
    """The subscriber is well, and what its handler needs is away, or it took too long."""

    reason: str


class Deliveries(Contract, Protocol, package="meristem.events.v1"):
    """Takes events for the services of a process."""

    # The policy of the subscription bounds it. The relay tries again: a repetition below, which waits for a breaker as
    # long as that is open, would keep its place from a subscriber that says that it is back.
    @idempotent(raises=[NotAccepted, NotHandled], timeout=86400.0, retry=Retry(attempts=1))
    async def deliver(self, service: str, event: str) -> None:
        """Hand a CloudEvent, as JSON, to a service; returns when it is handled."""
        ...

    @idempotent(timeout=5.0)
    async def announce(self, services: list[str]) -> None:
        """Say that these subscribers are there now: what waits for them need not wait longer."""
        ...


class Postbox:
    """Takes deliveries for the services that live in this process, each within its policy's time.

    What fails here is told apart from what a process that hangs looks like; `resume` is told of subscribers that
    say they are there.
    """

    def __init__(
        self,
        receivers: Mapping[str, Receive],
        policies: Mapping[str, Mapping[str, DeliveryPolicy]],
        deadlines: Deadlines,
        resume: Callable[[Sequence[str]], None] = lambda _: None,
    ) -> None:
        self._receivers = receivers
        self._policies = policies
        self._deadlines = deadlines
        self._resume = resume

    async def deliver(self, service: str, event: str) -> None:
        receive = self._receivers.get(service)
        if receive is None:
            # No refusal of the event: the service may answer elsewhere a moment later, and then it is delivered there.
            raise CallError(Code.UNAVAILABLE, f"{service!r} does not live here", may_have_happened=False)
        envelope = msgspec.json.decode(event, type=Envelope)
        timeout = _policy(self._policies[service], envelope).timeout
        late = CallError(Code.DEADLINE_EXCEEDED, f"not handled within {timeout:g} s")
        try:
            await self._deadlines.within(monotonic() + timeout, receive(envelope), lambda: late)
        # As a declared fault: it would arrive as `internal` else, and be tried again although no retry helps.
        except Undeliverable as error:
            raise NotAccepted(reason=str(error)) from None
        # So would an outage; and what a handler's own calls say must not look like the way to it.
        except Exception as error:
            if is_outage(error):
                raise NotHandled(reason=str(error)) from error
            raise

    async def announce(self, services: list[str]) -> None:
        self._resume(services)


def sender(service: str, deliveries: Deliveries, policies: Mapping[str, DeliveryPolicy]) -> Receive:
    """Hands events to a service in another process; raises SubscriberAway while that cannot be reached, or hangs."""

    async def send(envelope: Envelope, *, is_new: bool = False) -> None:  # noqa: ARG001 - a word that no wire carries
        latest = monotonic() + _policy(policies, envelope).timeout + MARGIN
        try:
            with using(msgspec.structs.replace(current(), deadline=latest)):
                await _tried(deliveries, service, msgspec.json.encode(envelope).decode())
        except NotAccepted as refusal:
            raise Undeliverable(refusal.reason) from None
        except NotHandled as failure:
            raise Outage(failure.reason) from None
        except CallError as error:
            # An outage is no fault of the event: it waits, and none of its attempts is used up.
            if error.code in SILENCE:
                raise SubscriberAway(error.message) from None
            raise

    return send


async def _tried(deliveries: Deliveries, service: str, event: str) -> None:
    """Hand an event over, as soon as a breaker has seen that the subscriber is back: others may be its probes."""
    for _ in range(PROBES):
        try:
            return await deliveries.deliver(service, event)
        except CallError as error:
            if error.may_have_happened or error.retry_after != 0.0:
                raise
        await asyncio.sleep(PROBING)
    return await deliveries.deliver(service, event)


def patient(policies: Mapping[str, DeliveryPolicy]) -> dict[str, DeliveryPolicy]:
    """The policies by which a relay waits for a subscriber elsewhere: until `send` has told how it went."""
    longer = msgspec.structs.replace
    return {name: longer(each, timeout=each.timeout + 2 * MARGIN) for name, each in policies.items()}


def _policy(policies: Mapping[str, DeliveryPolicy], envelope: Envelope) -> DeliveryPolicy:
    return policies.get(envelope.type, DEFAULT)
