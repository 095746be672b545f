"""What may have happened is found out before it is undone, and what cannot be undone is shown to a person."""

from __future__ import annotations

import asyncio
import logging

import pytest
from msgspec.structs import replace
from sagakit import (
    QUICK,
    Booking,
    Bookings,
    CardDeclined,
    Facts,
    Request,
    engine,
    keyed,
    told,
    unavailable,
)

from meristem import CallError, Code, SagaParked
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.policy import Backoff
from meristem.sagas.records import SagaState
from meristem.sagas.saga import saga


@pytest.fixture
def unreported():
    """What is logged is in no report, which has no place for half a character."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


class Hasty(Bookings):
    """A service whose patience is short."""

    @saga(patience=0.01)
    async def book(self, flow: Flow, request: Request) -> Booking:
        hold = await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
        payment = await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
        return Booking(room=hold.room, paid=payment.amount)

    @saga(patience=0.01)
    async def tolerant(self, flow: Flow) -> str:
        try:
            await self.payments.charge(1)
        except CallError as error:
            return error.code.value
        return "charged"


def failed(code: Code, *, happened: bool = True) -> CallError:
    return CallError(code, "trouble", may_have_happened=happened)


async def test_an_answer_that_was_lost_is_asked_for_again_under_the_same_key(database, remote):
    remote.plans["charge"] = ["lost", failed(Code.DEADLINE_EXCEEDED), unavailable(sent=False)]
    service = Bookings(remote)
    async with engine(service, database):
        assert (await service.book(Request())).paid == 100
    assert remote.names() == ["hold", "charge"]
    assert len({key for name, key in remote.calls if name == "charge"}) == 1


async def test_a_step_that_stays_uncertain_and_did_happen_is_undone(database, remote):
    """The bank charged at the first attempt; its answers are lost until patience ends."""
    remote.plans["charge"] = ["lost"] * 9 + [None]
    service = Hasty(remote)
    policy = replace(QUICK, retry=Backoff(0.004, 0.004), undo=Backoff(0.001, 0.002, attempts=30))
    async with engine(service, database, policy=policy):
        with keyed("k"), pytest.raises(CallError) as raised:
            await service.book(Request())
    assert raised.value.code is Code.UNAVAILABLE
    assert remote.names() == ["hold", "charge", "refund", "release"]


async def test_a_fault_is_the_functions_to_handle_also_where_the_first_answer_was_lost(database, remote):
    class Careful(Bookings):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            try:
                await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
            except CardDeclined:
                return Booking(room=request.room, paid=0)
            return Booking(room=request.room, paid=request.amount)

    remote.plans["charge"] = [unavailable(sent=True), CardDeclined(reason="empty")]
    service = Careful(remote)
    async with engine(service, database):
        assert await service.book(Request()) == Booking(room="blue", paid=0)


async def test_a_step_that_stays_uncertain_and_did_not_happen_has_nothing_to_undo(database, remote):
    remote.plans["charge"] = [unavailable(sent=True)] * 5 + [CardDeclined(reason="late")]
    policy = replace(QUICK, retry=Backoff(0.006, 0.006))
    service = Hasty(remote)
    async with engine(service, database, policy=policy):
        with pytest.raises(CallError):
            await service.book(Request())
    assert remote.names() == ["hold", "release"]


async def test_a_call_that_was_never_sent_after_one_that_may_have_been_leaves_the_step_uncertain(database, remote):
    """The first attempt charged; the later ones don't even reach the bank."""
    remote.plans["charge"] = ["lost", *[unavailable(sent=False)] * 6, None]
    policy = replace(QUICK, retry=Backoff(0.006, 0.006), undo=Backoff(0.001, 0.002, attempts=30))
    service = Hasty(remote)
    async with engine(service, database, policy=policy):
        with pytest.raises(CallError):
            await service.book(Request())
    assert remote.names() == ["hold", "charge", "refund", "release"]


async def test_a_step_that_never_tells_parks_the_saga_until_it_does(database, remote):
    remote.plans["charge"] = ["lost"] * 1000
    service = Hasty(remote)
    store = SagaStore(database)
    async with engine(service, database):
        with keyed("k"), pytest.raises(SagaParked, match="may have happened, and its service does not tell"):
            await service.book(Request())
        remote.plans["charge"] = []
        await store.retry(told("k"))
        with keyed("k"), pytest.raises(CallError, match="the line is dead"):
            await service.book(Request())
    assert remote.names() == ["hold", "charge", "refund", "release"]


async def test_a_call_that_was_never_sent_is_a_definite_failure_once_patience_ends(database, remote):
    remote.plans["charge"] = [unavailable(sent=False)] * 1000
    service = Hasty(remote)
    async with engine(service, database):
        assert await service.tolerant() == "unavailable"
        with pytest.raises(CallError):
            await service.book(Request())
    assert remote.names() == ["hold", "release"]


async def test_a_definite_error_is_not_repeated(database, remote):
    remote.plans["charge"] = [failed(Code.FAILED_PRECONDITION)]
    service = Hasty(remote)
    async with engine(service, database):
        assert await service.tolerant() == "failed_precondition"
    assert len(remote.calls) == 1


async def test_a_callee_with_a_bug_is_tried_a_few_times_and_then_resolved(database, remote):
    remote.plans["charge"] = [failed(Code.INTERNAL)] * 4
    service = Bookings(remote)
    async with engine(service, database):
        with pytest.raises(CallError, match="trouble"):
            await service.book(Request())
    assert [name for name, _ in remote.calls].count("charge") == QUICK.bug_attempts + 2
    assert remote.names() == ["hold", "charge", "refund", "release"]


@pytest.mark.parametrize(
    "error", [OSError("no file \udce9.txt\0"), CardDeclined(reason="\udce9")], ids=["bug", "fault"]
)
@pytest.mark.usefixtures("unreported")
async def test_an_error_whose_text_no_database_keeps_fails_and_undoes_like_any_other(database, remote, error):
    """Half of a surrogate pair is in no JSON: the saga was parked by it, with all that it had done."""
    remote.plans["charge"] = [error]
    service = Bookings(remote)
    async with engine(service, database):
        with pytest.raises(CallError, match="saga book failed; the log says why"):
            await service.book(Request())
    assert remote.names() == ["hold", "release"]


@pytest.mark.usefixtures("unreported")
async def test_what_parks_a_saga_is_told_whatever_is_in_its_text(database, remote):
    remote.plans |= {"charge": [CardDeclined(reason="poor")], "release": [OSError("no file \udce9\0")] * 20}
    service = Bookings(remote)
    async with engine(service, database) as running:
        with keyed("k"), pytest.raises(SagaParked):
            await service.book(Request())
        parked = await SagaStore(database).show(told("k"))
    assert running is not None
    assert "no file ??" in parked.saga.problem


async def test_a_failing_undo_is_repeated_and_then_parked_with_its_name(database, remote):
    remote.plans["charge"] = [CardDeclined(reason="empty")]
    remote.plans["release"] = [failed(Code.NOT_FOUND)] * QUICK.undo.attempts
    service, store = Bookings(remote), SagaStore(database)
    async with engine(service, database):
        with keyed("k"), pytest.raises(SagaParked, match=r"the undo Rooms.release of step 0 \(Rooms.hold\) fails"):
            await service.book(Request())
        parked = await store.show(told("k"))
        assert parked.saga.state is SagaState.PARKED
        assert "it is undone because: The bank refused" in parked.saga.problem
        assert [(each.kind, each.attempts) for each in parked.steps][-1] == ("undo", QUICK.undo.attempts)
        await store.retry(told("k"))
        with keyed("k"), pytest.raises(CardDeclined):
            await service.book(Request())
        with pytest.raises(CallError, match="cannot be retried: it is failed"):
            await store.retry(told("k"))
    assert remote.names() == ["hold", "release"]


async def test_a_cancelled_saga_finds_out_about_the_step_under_way_and_undoes_it(database, remote):
    remote.plans["charge"] = ["hang"]
    service, store = Bookings(remote), SagaStore(database)
    async with engine(service, database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await remote.reached.wait()
        await store.cancel(told("k"))
        remote.freed.set()
        with pytest.raises(CallError, match="the saga was cancelled"):
            await asking
        assert (await store.cancel(told("k"))).state is SagaState.FAILED
    assert remote.names() == ["hold", "charge", "refund", "release"]


async def test_a_cancelled_saga_begins_nothing_new(database, remote):
    class Service(Bookings):
        @saga
        async def slow(self, flow: Flow) -> None:
            await flow.with_undo(self.rooms.hold("a"), self.rooms.release)
            await flow.sleep(10_000.0)
            await flow.with_undo(self.payments.charge(1), self.payments.refund)

    service, facts = Service(remote), Facts()
    async with engine(service, database, observers=[facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.slow())
        await facts.until(SagaEnded, state="waiting")
        await SagaStore(database).cancel(told("k", "slow"))
        with pytest.raises(CallError, match="the saga was cancelled"):
            await asking
    assert remote.names() == ["hold", "release"]
