"""Events between processes: the direct bus hands them over as calls, over the same wire as every other call."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from meristem.context import Unseen, current, using
from meristem.contracts.contract import Contract
from meristem.contracts.operation import Retry, idempotent
from meristem.errors import CallError, Code, Fault, NotServedHere, Undeliverable
from meristem.events.bus import Receive, SubscriberAway
from meristem.events.envelope import Envelope
from meristem.events.outage import FailedElsewhere, describe, is_outage, patience_asked_for
from meristem.events.policy import DEFAULT, DeliveryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meristem.events.incoming_events import Incoming
    from meristem.resilience.timers import Deadlines

MARGIN: Final = 5.0  # seconds beyond the policy's in which a process that lives says that its handler took too long
SILENCE: Final = (Code.UNAVAILABLE, Code.DEADLINE_EXCEEDED)  # what also a process says that is not there, or hangs


class NotAccepted(Fault, code=Code.INVALID_ARGUMENT):
    """The subscriber can never accept this event."""

    reason: str


class NotHandled(Fault, code=Code.ABORTED):
    """The subscriber is well, and its handler failed: by an outage, or as `error` tells."""

    error: str
    is_outage: bool
    retry_after: float | None


class Deliveries(Contract, Protocol, package="meristem.events.v1"):
    """Takes events for the services of a process."""

    # The policy of the subscription bounds it, and the relay tries again.
    @idempotent(raises=[NotAccepted, NotHandled], timeout=86400.0, retry=Retry(attempts=1))
    async def deliver(self, service: str, event: str) -> None:
        """Hand a CloudEvent, as JSON, to a service; returns when it is handled."""
        ...

    @idempotent(timeout=20.0)
    async def keep(self, service: str, destination: str, events: list[str]) -> None:
        """Store CloudEvents, as JSON, in a service's outbox, owed to a destination; returns when they are durable."""
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
        incoming: Mapping[str, Incoming] | None = None,
    ) -> None:
        self._receivers = receivers
        self._policies = policies
        self._deadlines = deadlines
        self._resume = resume
        self._incoming = incoming or {}

    async def deliver(self, service: str, event: str) -> None:
        receive = self._receivers.get(service)
        if receive is None:
            # No refusal of the event: the service may answer elsewhere a moment later, and then it is delivered there.
            raise NotServedHere(f"{service!r} does not live here", may_have_happened=False)
        envelope = msgspec.json.decode(event, type=Envelope)
        timeout = _policy(self._policies[service], envelope).timeout
        late = CallError(Code.DEADLINE_EXCEEDED, f"not handled within {timeout:g} s")
        try:
            await self._deadlines.within(monotonic() + timeout, receive(envelope), lambda: late)
        # As declared faults: anything else would arrive as `internal`, speak against the process, and tell of itself
        # in the log alone; and what a handler's own calls say must not look like the way to it.
        except Undeliverable as error:
            raise NotAccepted(reason=str(error)) from None
        except Exception as error:
            raise NotHandled(
                error=describe(error), is_outage=is_outage(error), retry_after=patience_asked_for(error)
            ) from error

    async def keep(self, service: str, destination: str, events: list[str]) -> None:
        incoming = self._incoming.get(service)
        if incoming is None:
            raise NotServedHere(f"{service!r} does not live here", may_have_happened=False)
        await incoming.keep(destination, [msgspec.json.decode(each, type=Envelope) for each in events])

    async def announce(self, services: list[str]) -> None:
        self._resume(services)


def sender(service: str, deliveries: Deliveries, policies: Mapping[str, DeliveryPolicy]) -> Receive:
    """Hands events to a service in another process; raises SubscriberAway while that cannot be reached, or hangs."""

    async def send(envelope: Envelope, *, is_new: bool = False) -> None:  # noqa: ARG001 - a word that no wire carries
        latest = monotonic() + _policy(policies, envelope).timeout + MARGIN
        try:
            # The handling is in the event's own trace; the way there would be one more that tells of nothing.
            with using(msgspec.structs.replace(current(), deadline=latest, trace=Unseen())):
                await deliveries.deliver(service, msgspec.json.encode(envelope).decode())
        except NotAccepted as refusal:
            raise Undeliverable(refusal.reason) from None
        except NotHandled as failure:
            raise FailedElsewhere(failure.error, is_outage=failure.is_outage, retry_after=failure.retry_after) from None
        except CallError as error:
            # An outage is no fault of the event: it waits, and none of its attempts is used up.
            if error.code in SILENCE:
                away = SubscriberAway(error.message)
                away.broke = error.lost and error.may_have_happened
                raise away from None
            raise

    return send


def patient(policies: Mapping[str, DeliveryPolicy]) -> dict[str, DeliveryPolicy]:
    """The policies by which a relay waits for a subscriber elsewhere: until `send` has told how it went."""
    longer = msgspec.structs.replace
    return {name: longer(each, timeout=each.timeout + 2 * MARGIN) for name, each in policies.items()}


def _policy(policies: Mapping[str, DeliveryPolicy], envelope: Envelope) -> DeliveryPolicy:
    return policies.get(envelope.type, DEFAULT)
