"""A clock that is set, forward or back, neither delays a saga's retry nor prolongs or ends its pauses."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from sagakit import QUICK, Bookings, CardDeclined, Facts, PaymentSettled, Request, engine, keyed, told, unavailable

from meristem.errors import CallError
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.policy import Backoff
from meristem.sagas.saga import saga
from meristem.testing import ManualClock

HOUR, DAY = 3600.0, 86400.0
STEPS = pytest.mark.parametrize("seconds", [-HOUR, HOUR, -3650 * DAY, 3650 * DAY])
SLOW = replace(QUICK, scan=0.05, retry=Backoff(4.0, 4.0), undo=Backoff(4.0, 4.0))


class Sleepy(Bookings):
    @saga
    async def nap(self, flow: Flow, seconds: float) -> str:
        await flow.sleep(seconds)
        return "awake"

    @saga
    async def nap_twice(self, flow: Flow, seconds: float) -> str:
        await asyncio.gather(flow.sleep(seconds), flow.sleep(2 * seconds))
        return "awake"

    @saga(waits=[PaymentSettled])
    async def wait(self, flow: Flow, seconds: float) -> str:
        try:
            await flow.wait_for(PaymentSettled, key="never", timeout=seconds)
        except TimeoutError:
            return "no money"
        return "money"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def service(remote):
    return Sleepy(remote)


async def answered(asking):
    async with asyncio.timeout(60):
        return await asking


@STEPS
async def test_a_call_is_tried_again_within_its_pause_whatever_the_clock_is_set_to(
    database, remote, service, clock, seconds
):
    remote.plans["charge"] = [unavailable(sent=False), None]
    async with engine(service, database, clock, SLOW):
        asking = asyncio.ensure_future(service.book(Request()))
        await clock.sleeping(3)  # the forgetting of old sagas and of events, and the saga
        clock.step(seconds)
        await clock.advance(0)
        assert not asking.done()
        await clock.advance(SLOW.retry.cap)
        assert (await answered(asking)).paid == 100


@STEPS
async def test_patience_is_time_that_passes(database, remote, service, clock, seconds):
    """Neither is a call given up because the clock was set forward, nor tried for an hour because it was set back."""
    remote.plans["charge"] = [unavailable(sent=False)] * 1000
    async with engine(service, database, clock, replace(SLOW, retry=Backoff(20.0, 20.0))):
        asking = asyncio.ensure_future(service.book(Request()))
        for _ in range(3):  # in a minute of patience
            await clock.sleeping(3)
            clock.step(seconds)
            await clock.advance(20.0)
        async with asyncio.timeout(60):
            while not asking.done():  # what was still being written slept too late to hear of all of it
                await clock.advance(1.0)
                await asyncio.sleep(0.01)
        with pytest.raises(CallError, match="the line is dead"):
            await answered(asking)
    assert 4 <= [name for name, _ in remote.calls].count("charge") <= 7  # each after 10 to 20 seconds


@STEPS
async def test_an_undo_is_tried_again_within_its_pause(database, remote, service, clock, seconds):
    remote.plans["charge"] = [CardDeclined(reason="empty")]
    remote.plans["release"] = [unavailable(sent=False), None]
    async with engine(service, database, clock, SLOW):
        asking = asyncio.ensure_future(service.book(Request()))
        await clock.sleeping(3)
        clock.step(seconds)
        await clock.advance(SLOW.undo.cap)
        with pytest.raises(CardDeclined):
            await answered(asking)
    assert remote.names() == ["hold", "release"]


@STEPS
@pytest.mark.parametrize("method", ["nap", "nap_twice", "wait"])
async def test_a_pause_lasts_as_long_as_was_asked_whatever_the_clock_is_set_to(
    database, service, clock, seconds, method
):
    facts, ends = Facts(), 2 * DAY if method == "nap_twice" else DAY
    async with engine(service, database, clock, SLOW, [facts]) as running:
        asking = asyncio.ensure_future(getattr(service, method)(DAY))
        await facts.until(SagaEnded, state="waiting")  # kept in the journal alone
        await clock.advance(HOUR)
        clock.step(seconds)
        running._poller.poke()
        await running.settle()
        await clock.advance(ends - HOUR - 60.0)
        await running.settle()
        assert not asking.done()
        await clock.advance(60.0)
        assert await answered(asking) in ("awake", "no money")


@STEPS
async def test_a_wait_that_is_looked_at_in_between_ends_in_time(database, service, clock, seconds):
    policy, facts = replace(SLOW, longest_nap=DAY), Facts()
    async with engine(service, database, clock, policy, [facts]) as running:
        napping = asyncio.ensure_future(service.nap(60.0))
        waiting = asyncio.ensure_future(service.wait(60.0))
        await facts.until(SagaEnded, state="waiting")
        await clock.sleeping(3)
        clock.step(seconds)
        for _ in range(2):
            await running.on_event(PaymentSettled(room="other", amount=1))
            await clock.advance(30.0)
        assert await answered(napping) == "awake"
        assert await answered(waiting) == "no money"


async def begun(service, database, clock, method, *arguments):
    """A saga that sleeps in the journal, whose process is gone."""
    facts = Facts()
    async with engine(service, database, clock, SLOW, [facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(getattr(service, method)(*arguments))
        await facts.until(SagaEnded, state="waiting")
    await asyncio.wait({asking})
    assert isinstance(asking.exception(), CallError)


async def looked(running):
    running._poller.poke()
    await running.settle()


@pytest.mark.parametrize("method", ["nap", "nap_twice", "wait"])
@pytest.mark.parametrize("seconds", [-HOUR, -3650 * DAY])
async def test_after_a_restart_no_more_is_left_of_a_pause_than_was_asked_for(database, service, clock, seconds, method):
    await begun(service, database, clock, method, 120.0)
    clock.step(seconds)
    facts = Facts()
    async with engine(service, database, clock, SLOW, [facts]) as running:
        await clock.advance(60.0)  # until the engine doubts that anybody fell asleep later than now
        await looked(running)
        for _ in range(240 // 60):
            await clock.advance(60.0)
            await looked(running)
        await facts.until(SagaEnded, state="done")


async def test_a_process_that_began_with_a_wrong_clock_wakes_sagas_in_time_once_that_is_set(database, service, clock):
    """As a machine without a battery does, which learns the time from the network a moment later."""
    await begun(service, database, clock, "nap", HOUR)
    clock.step(-3650 * DAY)
    facts = Facts()
    async with engine(service, database, clock, SLOW, [facts]) as running:
        await looked(running)
        clock.step(3650 * DAY)
        await clock.advance(HOUR - 60.0)
        await looked(running)
        assert (await SagaStore(database).show(told("k", "nap"))).saga.state == "waiting"
        await clock.advance(60.0)
        await facts.until(SagaEnded, state="done")


async def test_a_saga_that_ended_is_not_old_because_the_clock_was_set_forward(database, service, clock):
    policy = replace(SLOW, retention=30 * DAY)
    async with engine(service, database, clock, policy):
        await service.book(Request())
        clock.step(365 * DAY)
        await clock.sleeping(2)
        await clock.advance(600.0)
        await clock.sleeping(2)  # what is old was looked for
        assert len(await SagaStore(database).list()) == 1
        clock.step(-365 * DAY)
        for _ in range(32):
            await clock.advance(DAY)
            await clock.sleeping(2)
        assert await SagaStore(database).list() == []
