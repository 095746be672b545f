"""What a saga that has not ended waits for is told: why, since when, and what helps."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from sagakit import QUICK, Booking, Bookings, Facts, PaymentSettled, Request, engine, keyed, told, unavailable

from meristem import CallError, Code, SagaParked
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.policy import Backoff
from meristem.sagas.saga import saga, sagas_of
from meristem.sagas.saga_views import Why
from meristem.storage.lease import Lease, replicas
from meristem.testing import ManualClock

NOTED = replace(QUICK, noted=0.0, retry=Backoff(3600.0, 3600.0), undo=Backoff(3600.0, 3600.0, attempts=6))


class Waiting(Bookings):
    @saga(patience=1e6)
    async def book(self, flow: Flow, request: Request) -> Booking:
        hold = await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
        payment = await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
        return Booking(room=hold.room, paid=payment.amount)

    @saga(waits=[PaymentSettled], patience=1e6)
    async def settle(self, flow: Flow) -> int:
        async with asyncio.TaskGroup() as group:
            group.create_task(flow.sleep(7200.0))
            found = group.create_task(flow.wait_for(PaymentSettled, key="ada@example.org", timeout=86400.0))
        return found.result().amount


async def napping(made, clock):
    """Wait until a saga pauses in memory, to a time of the clock that has not come."""
    async with asyncio.timeout(60):
        while not any(each.until > clock.now() for each in made.naps):
            await asyncio.sleep(0)


async def ended(task):
    return (await asyncio.gather(task, return_exceptions=True))[0]


async def test_a_callee_that_is_down_is_named_with_its_attempts_its_error_and_the_next_try(database, remote):
    remote.plans["charge"] = [unavailable(sent=False)] * 2
    clock, store, service = ManualClock(), SagaStore(database), Waiting(remote)
    async with engine(service, database, clock, NOTED) as made:
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await napping(made, clock)
        first = await store.show(told("k"))
        await clock.advance(3600.0)
        await napping(made, clock)
        second = await store.show(told("k"))
        [listed] = await store.list()
        await clock.advance(3600.0)
        assert (await asking).paid == 100
    after = await store.show(told("k"))
    [listed_after] = await store.list()

    [reason] = first.waits_for
    assert (reason.why, reason.position, reason.name, reason.attempts) == (Why.RETRY, "1", "Payments.charge", 1)
    assert reason.error == "the line is dead"
    assert first.saga.created <= reason.since < reason.until
    [again] = second.waits_for
    assert (again.attempts, again.since) == (2, reason.since)
    assert again.until > reason.until
    assert listed.trying == "Payments.charge is tried again, 2 attempts failed: the line is dead"
    assert after.waits_for == []
    assert listed_after.trying is None


async def test_an_undo_that_fails_is_named_with_the_time_of_its_next_attempt(database, remote):
    remote.plans["charge"] = [CallError(Code.FAILED_PRECONDITION, "no money")]
    remote.plans["release"] = [unavailable(sent=False)]
    clock, store, service = ManualClock(), SagaStore(database), Waiting(remote)
    async with engine(service, database, clock, NOTED) as made:
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await napping(made, clock)
        [reason] = (await store.show(told("k"))).waits_for
        await clock.advance(3600.0)
        with pytest.raises(CallError, match="no money"):
            await asking

    assert (reason.why, reason.name, reason.attempts, reason.error) == (
        Why.RETRY, "Rooms.release", 1, "the line is dead"
    )  # fmt: skip
    assert reason.until > reason.since


async def test_a_step_that_may_have_happened_is_named_while_it_is_asked_again(database, remote):
    remote.plans["charge"] = ["lost", unavailable(sent=True)]
    clock, store = ManualClock(), SagaStore(database)

    class Hasty(Bookings):
        @saga(patience=0.0)
        async def book(self, flow: Flow, request: Request) -> Booking:
            await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
            return Booking(room="", paid=0)

    service = Hasty(remote)
    async with engine(service, database, clock, NOTED) as made:
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await napping(made, clock)
        [reason] = (await store.show(told("k"))).waits_for
        await clock.advance(3600.0)
        assert isinstance(await ended(asking), CallError)

    assert (reason.why, reason.position, reason.attempts) == (Why.RETRY, "0", 2)
    assert "may have happened" in reason.text
    assert remote.names() == ["charge", "refund"]


async def test_pauses_are_told_side_by_side_and_the_key_of_an_event_is_kept_private(database, remote):
    clock, store, facts, service = ManualClock(), SagaStore(database), Facts(), Waiting(remote)
    async with engine(service, database, clock, observers=[facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.settle())
        await facts.until(SagaEnded, state="waiting")
        found = {each.why: each for each in (await store.show(told("k", "settle"))).waits_for}
    await ended(asking)

    assert set(found) == {Why.SLEEP, Why.EVENT}
    assert (found[Why.SLEEP].until - found[Why.SLEEP].since).total_seconds() == 7200.0
    assert (found[Why.EVENT].until - found[Why.EVENT].since).total_seconds() == 86400.0
    assert found[Why.EVENT].name == PaymentSettled.event_type
    assert "ada@example.org" not in str(found)


async def test_a_step_under_way_is_told_with_its_replica_and_one_that_nobody_holds_with_who_lives(database, remote):
    remote.plans["charge"] = ["hang"]
    store, service = SagaStore(database), Waiting(remote)
    async with engine(service, database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await remote.reached.wait()
        shown = await store.show(told("k"))
        [working] = await replicas(database)
    await ended(asking)
    alone = await store.show(told("k"))
    lease = Lease(database, "another")
    await lease.start()
    left = await store.show(told("k"))
    await lease.stop()

    [reason] = shown.waits_for
    assert (reason.why, reason.since, reason.position) == (Why.CALL, shown.steps[0].ended, "1")
    assert reason.replica == working
    assert [each.why for each in (*alone.waits_for, *left.waits_for)] == [Why.REPLICA, Why.REPLICA]
    assert "no replica of its service lives" in alone.waits_for[0].text
    assert "another" in left.waits_for[0].text


async def test_a_sleeper_that_is_due_and_not_taken_up_waits_for_a_replica(database, remote):
    clock, facts, service = ManualClock(), Facts(), Waiting(remote)
    async with engine(service, database, clock, observers=[facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.settle())
        await facts.until(SagaEnded, state="waiting")
    await ended(asking)
    await clock.advance(7201.0)

    [first, *_] = (await SagaStore(database, clock).show(told("k", "settle"))).waits_for

    assert first.why is Why.REPLICA


async def test_a_sleeper_is_woken_by_nobody_where_no_replica_lives(database, remote):
    facts, store, service = Facts(), SagaStore(database), Waiting(remote)
    async with engine(service, database, ManualClock(), observers=[facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.settle())
        await facts.until(SagaEnded, state="waiting")
        alive = await store.show(told("k", "settle"))
    await ended(asking)
    left = await store.show(told("k", "settle"))

    assert Why.REPLICA not in [each.why for each in alive.waits_for]
    assert left.waits_for[0].why is Why.REPLICA
    assert "no replica of its service lives" in left.waits_for[0].text
    assert left.waits_for[1:] == alive.waits_for


async def test_one_that_is_cancelled_while_a_call_is_under_way_is_told_to_wait_for_that_and_for_no_release(
    database, remote
):
    remote.plans["charge"] = ["hang"]
    store, service = SagaStore(database), Waiting(remote)
    async with engine(service, database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await remote.reached.wait()
        await store.cancel(told("k"))
        shown = await store.show(told("k"))
        with pytest.raises(CallError, match="cancelled: wait until it is undone, and fork it then"):
            await store.fork(told("k"), "0", sagas_of(Waiting)["book"])
    await ended(asking)
    left = await store.show(told("k"))

    [reason] = shown.waits_for
    assert "it was cancelled, and is not undone yet" in reason.text
    assert "that what was under way is answered" in reason.helps
    assert "no replica of its service lives" in left.waits_for[0].text


async def test_what_is_parked_says_why_and_by_which_verb_it_goes_on(database, remote):
    remote.plans["charge"] = [CallError(Code.FAILED_PRECONDITION, "no money")]
    remote.plans["release"] = [unavailable(sent=False)] * 99
    service, store = Waiting(remote), SagaStore(database)
    async with engine(service, database):
        with keyed("k"), pytest.raises(SagaParked):
            await service.book(Request())

    shown = await store.show(told("k"))

    [reason] = shown.waits_for
    assert (reason.why, reason.error) == (Why.PERSON, shown.saga.problem)
    assert f"meristem sagas retry {told('k')}" in reason.helps
    assert "cancel" not in reason.helps  # it is being undone already


async def test_of_a_saga_that_has_ended_nothing_is_waited_for(database, remote):
    service = Waiting(remote)
    async with engine(service, database):
        with keyed("k"):
            await service.book(Request())

    assert (await SagaStore(database).show(told("k"))).waits_for == []
