"""An outage is not a poison message: its events wait for days, only what a handler refuses becomes a dead letter."""

import asyncio
import socket

import pytest

from meristem.errors import CallError, Code, Fault, IntegrityViolation, StorageError
from meristem.events.bus import SubscriberAway
from meristem.events.direct import DirectBus
from meristem.events.facts import Away, DeadLettered, Delivered, DeliveryRetried
from meristem.events.outage import FailedElsewhere, is_outage
from meristem.events.policy import DeliveryPolicy
from meristem.events.relay import Relay
from meristem.events.waiting import waiting_in
from meristem.testing import ManualClock
from tests.suites.bus import Booked, Noted, Stage

IMPATIENT = DeliveryPolicy(attempts=2, base=1.0, cap=2.0)
DAY = 86400.0


class Full(Fault, code=Code.RESOURCE_EXHAUSTED):
    """A declared answer, which the same call would give again."""


def made_of(cause, error=None):
    """What a library makes of the cause, raised from it."""
    error = error or RuntimeError("could not send")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("failure", "passes"),
    [
        (ConnectionRefusedError("nobody listens"), True),
        (TimeoutError(), True),
        (socket.gaierror(-3, "no such name for now"), True),
        (OSError(113, "No route to host"), True),
        (OSError("Multiple exceptions: [Errno 111] …, [Errno 111] …"), True),
        (CallError(Code.UNAVAILABLE, "down"), True),
        (CallError(Code.DEADLINE_EXCEEDED, "slow"), True),
        (made_of(ConnectionResetError()), True),
        (made_of(made_of(TimeoutError())), True),
        (made_of(asyncio.CancelledError()), True),
        (ExceptionGroup("both", [TimeoutError(), ConnectionError()]), True),
        (FailedElsewhere("TimeoutError: said so", is_outage=True), True),
        (FailedElsewhere("KeyError: 'guest'"), False),
        (ExceptionGroup("one", [TimeoutError(), KeyError("guest")]), False),
        (KeyError("guest"), False),
        (FileNotFoundError(2, "no template"), False),
        (OSError("image file is truncated"), False),
        (CallError(Code.INTERNAL, "a bug"), False),
        (CallError(Code.NOT_FOUND, "nothing"), False),
        (made_of(ConnectionError(), Full()), False),
        (StorageError("no such column"), False),
        (IntegrityViolation("twice"), False),
    ],
    ids=repr,
)
def test_an_outage_is_known_by_the_error_or_by_what_it_was_raised_from(failure, passes):
    assert is_outage(failure) is passes


@pytest.fixture
async def stage(tmp_path):
    stage = Stage(tmp_path, DirectBus(), ManualClock())
    stage.relay = Relay(stage.outbox, stage.bus, stage.clock)  # its polls take the machine's time, not that of days
    stage.relay.observers.append(stage.on_fact)
    yield stage
    await stage.stop()


async def ready(stage):
    await stage.start()
    await stage.clock.sleeping(len(stage.subscribers))


async def test_events_wait_for_hours_with_growing_pauses_until_what_the_handler_needs_is_there_again(stage):
    billing = stage.subscriber("billing", policy=IMPATIENT)
    down = ConnectionRefusedError("the mail server is away")

    async def send(_):
        if down is not None:
            raise down

    billing.before = send
    await ready(stage)
    await stage.publish(Noted(number=1), Noted(number=2))
    retried = await stage.emitted(DeliveryRetried, 2)
    await stage.clock.advance(8 * 3600.0)
    for _ in range(12):  # the pauses of an event that is hours old double with each failure
        await stage.clock.advance(900.0)
        retried = await stage.emitted(DeliveryRetried, len(retried) + 2)

    assert not any(each.counted for each in retried)
    assert {each.attempt for each in retried} == {0}
    assert max(each.delay for each in retried) > 60.0
    [found] = await waiting_in(stage.database)
    assert (found.subscriber, found.count, found.failed) == ("billing", 2, 2)
    assert found.error == "ConnectionRefusedError: the mail server is away"

    down = None
    await stage.clock.advance(1800.0)
    await stage.settle()
    assert sorted(await billing.entries()) == [1, 2]
    assert await stage.dead.list() == []


async def test_when_one_gets_through_the_others_that_waited_follow_at_once(stage):
    billing = stage.subscriber("billing", policy=DeliveryPolicy(attempts=2, base=3600.0, cap=3600.0))
    is_down = True

    async def send(_):
        if is_down:
            raise TimeoutError

    billing.before = send
    await ready(stage)
    await stage.publish(*(Noted(number=number) for number in range(20)))
    retried = await stage.emitted(DeliveryRetried, 20)

    is_down = False
    await stage.clock.advance(min(each.delay for each in retried) + 0.001)

    await stage.emitted(Delivered, 20)


async def test_what_a_handler_refuses_is_dead_after_its_attempts_whatever_outages_came_between(stage):
    billing = stage.subscriber("billing", policy=IMPATIENT)
    failures = iter([TimeoutError(), KeyError("guest"), ConnectionError(), KeyError("guest")])

    async def fail(_):
        raise next(failures)

    billing.before = fail
    await ready(stage)
    await stage.publish(Noted(number=1))
    for count in (1, 2, 3):
        await stage.emitted(DeliveryRetried, count)
        await stage.clock.advance(2.0)

    [dead] = await stage.emitted(DeadLettered)
    assert dead.attempts == 2


async def test_an_outage_of_more_than_a_week_counts(stage):
    billing = stage.subscriber("billing", policy=IMPATIENT)

    async def fail(_):
        raise TimeoutError

    billing.before = fail
    await ready(stage)
    await stage.publish(Noted(number=1))
    retried = await stage.emitted(DeliveryRetried)
    while not retried[-1].counted:
        await stage.clock.advance(8 * DAY)
        retried = await stage.emitted(DeliveryRetried, len(retried) + 1)
    await stage.clock.advance(2.0)

    await stage.emitted(DeadLettered)


async def test_a_subscriber_that_says_it_is_back_is_served_at_once(stage):
    billing = stage.subscriber("billing")
    receive, is_away = billing.inbox.receive, True

    async def away_at_first(envelope, *, is_new):
        if is_away:
            raise SubscriberAway("its process is down")
        await receive(envelope, is_new=is_new)

    billing.inbox.receive = away_at_first
    await ready(stage)
    await stage.publish(Booked(guest="ada", number=1), Booked(guest="bob", number=2))
    await stage.emitted(Away)
    await stage.publish(Booked(guest="ada", number=3))
    [found] = await waiting_in(stage.database)
    assert (found.count, found.error) == (3, "SubscriberAway: its process is down")

    is_away = False
    stage.relay.resume("billing")

    await stage.emitted(Delivered, 3)  # no time has passed
    assert [number for number in billing.seen if number != 2] == [1, 3]
