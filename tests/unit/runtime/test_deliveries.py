"""Events between processes: what a wire carries, and what it does not."""

import asyncio
from datetime import UTC, datetime

import pytest

from meristem.context import EMPTY, current
from meristem.contracts.message import Event
from meristem.errors import CallError, Code, OperationError
from meristem.events.bus import SubscriberAway
from meristem.events.envelope import enclose
from meristem.events.outage import FailedElsewhere, describe, is_outage
from meristem.events.policy import DeliveryPolicy
from meristem.resilience.timers import Deadlines
from meristem.runtime.deliveries import MARGIN, Postbox, patient, sender
from meristem.telemetry.tracer import Tracer


class Paid(Event, package="shop.v1"):
    number: int


PAID = enclose(Paid(number=1), "//shop/payments", datetime(2030, 1, 1, tzinfo=UTC), EMPTY)
POLICIES = {PAID.type: DeliveryPolicy(timeout=0.05)}


def sending(receive):
    """What hands events to `receive` as to a service in another process."""
    deadlines = Deadlines(asyncio.get_running_loop())
    return sender("billing", Postbox({"billing": receive}, {"billing": POLICIES}, deadlines), POLICIES)


async def test_that_an_event_is_new_is_believed_within_its_process_alone():
    """Another process may have been handed the event by an attempt that its sender has forgotten."""
    taken = []

    async def receive(envelope, *, is_new=False):
        taken.append((envelope, is_new))

    envelope = PAID
    await sending(receive)(envelope, is_new=True)
    assert taken == [(envelope, False)]


async def test_a_process_that_says_nothing_is_away_and_its_handler_that_is_late_or_fails_is_not():
    """Only what a handler did uses up an attempt: a process that hangs says nothing of the event."""

    async def late(envelope, *, is_new=False):
        await asyncio.Event().wait()

    async def failing(envelope, *, is_new=False):
        raise CallError(Code.UNAVAILABLE, "the bank cannot be reached")

    class Silent:
        def __init__(self, code):
            self.code = code

        async def deliver(self, service, event):
            raise CallError(self.code, "nothing was heard")

    for code in (Code.DEADLINE_EXCEEDED, Code.UNAVAILABLE):
        with pytest.raises(SubscriberAway, match="nothing was heard"):
            await sender("billing", Silent(code), {})(PAID)
    for receive, reason in ((late, "not handled within 0.05 s"), (failing, "the bank cannot be reached")):
        with pytest.raises(OperationError, match=reason) as caught:
            await sending(receive)(PAID)
        assert not isinstance(caught.value, SubscriberAway)


async def test_a_sender_waits_longer_than_the_subscriber_and_the_relay_longer_than_the_sender():
    class Asked:
        async def deliver(self, service, event):
            remaining = current().remaining()
            assert remaining is not None
            waits.append(remaining)

    waits: list[float] = []
    await sender("billing", Asked(), POLICIES)(PAID)

    assert POLICIES[PAID.type].timeout + 0.9 * MARGIN < waits[0] < patient(POLICIES)[PAID.type].timeout


async def test_the_way_to_a_subscriber_begins_no_trace_of_its_own():
    class Observing:
        async def deliver(self, service, event):
            found.append(tracer.enter(current().trace, tracer.clock()))

    found, tracer = [], Tracer()
    await sender("billing", Observing(), POLICIES)(PAID)
    assert [each.sampled for each in found] == [False]
    assert tracer.enter(None, tracer.clock()).sampled  # as another call without a trace is


async def test_an_outage_in_the_subscribers_process_waits_as_in_one_process():
    busy = CallError(Code.RESOURCE_EXHAUSTED, "too much", retry_after=30.0)
    for failure, asked in ((ConnectionRefusedError("the mail server is away"), None), (busy, 30.0)):

        async def receive(envelope, *, is_new=False, failure=failure):
            raise failure

        with pytest.raises(FailedElsewhere) as caught:
            await sending(receive)(PAID)
        assert is_outage(caught.value)
        assert describe(caught.value) == describe(failure)
        assert caught.value.retry_after == asked


async def test_subscribers_that_say_they_are_there_are_told_on():
    heard = []
    postbox = Postbox({}, {}, Deadlines(asyncio.get_running_loop()), heard.extend)

    await postbox.announce(["billing", "mail"])

    assert heard == ["billing", "mail"]
