"""A saga begins again at one of its steps: what was before is copied, the rest is done under keys of its own."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from sagakit import (
    Booking,
    Bookings,
    CardDeclined,
    Facts,
    Payment,
    PaymentSettled,
    Request,
    engine,
    keyed,
    told,
    unavailable,
)

from meristem import CallError, Code, SagaParked
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded, StepEnded
from meristem.sagas.flow import Flow
from meristem.sagas.forking import fork_of
from meristem.sagas.origin import origin_of
from meristem.sagas.records import SagaState
from meristem.sagas.saga import saga, sagas_of
from meristem.sagas.saga_views import Relative


class Trip(Bookings):
    @saga(waits=[PaymentSettled])
    async def book(self, flow: Flow, request: Request) -> Booking:
        hold = await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
        self.seen.append(await flow.step(self.note, str(flow.uuid()), flow.now().isoformat()))
        payment = await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
        self.seen.append(await flow.step(self.note, str(flow.uuid()), flow.now().isoformat()))
        return Booking(room=hold.room, paid=payment.amount)

    async def note(self, number: str, moment: str) -> str:
        return f"{moment} {number}"


async def begun(service, key="k"):
    with keyed(key):
        return await service.book(Request())


DEFINITION = sagas_of(Trip)["book"]


async def forked(store, facts, saga_id, position):
    """Begin a fork, and wait for its rest."""
    made = await store.begin(await store.fork(saga_id, position, DEFINITION))
    return made.id, await facts.until(SagaEnded, id=made.id)


async def test_the_fork_of_a_saga_that_is_done_repeats_nothing_before_the_step_and_all_from_it_on(database, remote):
    service, store, facts = Trip(remote), SagaStore(database), Facts()
    async with engine(service, database, observers=[facts]):
        await begun(service)
        new, ended = await forked(store, facts, told("k"), "2")
    shown = await store.show(new, values=True)

    assert (ended.state, shown.fork_of, shown.saga.id != told("k")) == ("done", told("k"), True)
    assert remote.names() == ["hold", "charge", "charge"]  # under two keys
    assert [key for name, key in remote.calls if name == "charge"] == [f"{told('k')}:2", f"{new}:2"]
    # What came before the fork is as it was; time and chance behind it are its own.
    first, second, same, other = service.seen
    assert same == first
    assert other.split()[1] != second.split()[1]
    assert other.split()[0] > second.split()[0]
    assert (await store.show(told("k"))).saga.state is SagaState.DONE


async def test_a_fork_that_fails_takes_back_what_it_did_and_leaves_the_rest_to_the_saga_it_came_from(database, remote):
    service, store, facts = Trip(remote), SagaStore(database), Facts()
    async with engine(service, database, observers=[facts]):
        await begun(service)
        remote.plans["charge"] = [CardDeclined(reason="twice")]
        new, ended = await forked(store, facts, told("k"), "2")
    steps = (await store.show(new)).steps

    assert ended.state == "failed"
    assert remote.names() == ["hold", "charge"]  # the room is still the first saga's
    assert [each.name for each in steps if each.kind == "undo"] == [f"left to saga {told('k')}"] * 2


async def test_a_fork_of_what_is_parked_takes_its_place_and_what_it_had_done(database, remote):
    class Old(Trip):
        @saga(waits=[PaymentSettled])
        async def book(self, flow: Flow, request: Request) -> Booking:
            await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
            await self.rooms.look("old")
            await self.payments.refund(Payment(amount=1, number=1))
            return Booking(room="", paid=0)

    class New(Trip):
        @saga(waits=[PaymentSettled])
        async def book(self, flow: Flow, request: Request) -> Booking:
            await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
            await self.payments.charge(request.amount)
            raise CallError(Code.FAILED_PRECONDITION, "no more")

    store, facts = SagaStore(database), Facts()
    async with engine(service := Old(remote), database):
        remote.plans["refund"] = ["hang"]
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await remote.reached.wait()
    await asyncio.gather(asking, return_exceptions=True)
    async with engine(service := New(remote), database, observers=[facts]):
        await facts.until(SagaEnded, id=told("k"), state="parked")
        _, ended = await forked(store, facts, told("k"), "1")
        with keyed("k"), pytest.raises(CallError, match="an operator had it go on as saga"):
            await service.book(Request())

    assert ended.state == "failed"
    assert remote.names() == ["hold", "look", "refund", "charge", "release"]
    with pytest.raises(CallError, match="cannot be retried: it is failed"):
        await store.retry(told("k"))


async def test_a_saga_that_was_undone_begins_again_before_what_it_took_back(database, remote):
    service, store, facts = Trip(remote), SagaStore(database), Facts()
    remote.plans["charge"] = [CardDeclined(reason="empty")]
    async with engine(service, database, observers=[facts]):
        with pytest.raises(CardDeclined):
            await begun(service)
        with pytest.raises(CallError, match=r"has undone step 0 \(Rooms.release\): fork it from that step"):
            await store.fork(told("k"), "2", DEFINITION)
        _, ended = await forked(store, facts, told("k"), "0")

    assert ended.state == "done"
    assert remote.names() == ["hold", "release", "hold", "charge"]


async def test_a_fork_of_a_fork_sees_the_time_and_chance_of_each_by_which_its_answers_came(database, remote):
    service, store, facts = Trip(remote), SagaStore(database), Facts()
    async with engine(service, database, observers=[facts]):
        await begun(service)
        second, _ = await forked(store, facts, told("k"), "2")
        third, ended = await forked(store, facts, second, "3")
        fourth, again = await forked(store, facts, third, "2")
    noted = [service.seen[number : number + 2] for number in range(0, 8, 2)]

    assert (ended.state, again.state) == ("done", "done")
    assert len({first for first, _ in noted}) == 1
    assert len({last for _, last in noted}) == 4
    assert remote.names() == ["hold", "charge", "charge", "charge"]
    assert (await store.show(fourth)).fork_of == third


async def test_what_is_copied_of_a_saga_is_found_again_when_its_fork_is_resumed(database, remote):
    service, store, facts = Trip(remote), SagaStore(database), Facts()
    async with engine(service, database):
        await begun(service)
        remote.plans["charge"] = ["hang"]
        new = (await store.begin(await store.fork(told("k"), "2", DEFINITION))).id
        await remote.reached.wait()
    async with engine(service, database, observers=[facts]):
        ended = await facts.until(SagaEnded, id=new)

    assert ended.state == "done"
    assert service.seen[0] == service.seen[2] == service.seen[3]
    assert remote.names() == ["hold", "charge", "charge"]


async def test_a_fork_that_makes_no_sense_is_refused(database, remote):
    class Asleep(Trip):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
            if request.amount:
                await flow.sleep(86400.0)
            await self.payments.charge(-1)
            return Booking(room="", paid=0)

    service, store, facts = Asleep(remote), SagaStore(database), Facts()
    remote.plans["charge"] = [CardDeclined(reason="never")]
    remote.plans["release"] = [unavailable(sent=False)] * 99
    async with engine(service, database, observers=[facts]):
        with keyed("asleep"):
            asking = asyncio.ensure_future(service.book(Request()))
        await facts.until(SagaEnded, state="waiting")
        with keyed("parked"), pytest.raises(SagaParked):
            await service.book(Request(amount=0))
        for key, position, why in (
            ("asleep", "0", r"is waiting and goes on by itself: wait for its end, or `meristem sagas cancel` it"),
            ("parked", "0", r"is parked while it is undone: `meristem sagas retry` it until it is undone"),
        ):
            with pytest.raises(CallError, match=why):
                await store.fork(told(key), position, DEFINITION)
        remote.plans.clear()
        await store.retry(told("parked"))
        await facts.until(SagaEnded, id=told("parked"), state="failed")
        with pytest.raises(CallError, match=r"has no step '7'; it has 0 \(Rooms.hold\), 1 \(Payments.charge\)"):
            await store.fork(told("parked"), "7", DEFINITION)
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_saga_that_moves_on_while_it_is_forked_is_left_alone(database, remote):
    class Old(Trip):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            await self.rooms.look("old")
            await self.payments.refund(Payment(amount=1, number=1))
            return Booking(room="", paid=0)

    store, facts = SagaStore(database), Facts()
    async with engine(service := Old(remote), database):
        remote.plans["refund"] = ["hang"]
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await remote.reached.wait()
    await asyncio.gather(asking, return_exceptions=True)
    async with engine(Trip(remote), database, observers=[facts]):
        await facts.until(SagaEnded, state="parked")

    class New(Trip):
        @saga(version=2, patches=["faster"])
        async def book(self, flow: Flow, request: Request) -> Booking:
            return Booking(room="", paid=0)

    made = await store.fork(told("k"), "0", sagas_of(New)["book"])
    await store.retry(told("k"))

    with pytest.raises(CallError, match="has moved on meanwhile"):
        await store.begin(made)
    assert [each.id for each in await store.list()] == [told("k")]
    # Nothing was copied: it would have begun as the code is now.
    assert (made.saga.version, origin_of(made.saga).patches) == (2, ("faster",))


async def test_of_branches_those_are_copied_whose_answers_came_before(database, remote):
    class Both(Trip):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            hold, payment = await flow.gather(self.rooms.hold(request.room), self.payments.charge(request.amount))
            return Booking(room=hold.room, paid=payment.amount)

    remote.plans["hold"] = ["hang"]
    service, store, facts = Both(remote), SagaStore(database), Facts()
    async with engine(service, database, observers=[facts]):
        asking = asyncio.ensure_future(begun(service))
        await facts.until(StepEnded, name="Payments.charge")
        remote.freed.set()
        await asking
        steps = {each.name: each.position for each in (await store.show(told("k"))).steps}
        _, ended = await forked(store, facts, told("k"), steps["Rooms.hold"])

    assert ended.state == "done"
    assert sorted(remote.names()) == ["charge", "hold", "hold"]


async def test_a_parked_saga_is_not_forked_out_of_its_family(database, remote):
    """Its parent would take the fork's begin for its end, and nobody would end its child."""

    class Family(Trip):
        @saga
        async def parent(self, flow: Flow, child: str) -> None:
            await flow.step(self.child, child)

        @saga
        async def child(self, flow: Flow, what: str) -> None:
            await self.rooms.look(what)
            await self.payments.charge(1)

    class Changed(Family):
        @saga
        async def parent(self, flow: Flow, child: str) -> None:
            await flow.step(self.child, child)

        @saga
        async def child(self, flow: Flow, what: str) -> None:
            await self.rooms.look("another")

    store, facts = SagaStore(database), Facts()
    remote.plans["charge"] = ["hang"]
    async with engine(service := Family(remote), database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.parent("room"))
        await remote.reached.wait()
    await asyncio.gather(asking, return_exceptions=True)
    async with engine(Changed(remote), database, observers=[facts]):
        child = (await facts.until(SagaEnded, name="child", state="parked")).id
        with pytest.raises(CallError, match=f"is waited for by saga {told('k', 'parent')}, which began it"):
            await store.fork(child, "0", DEFINITION)
    parent, steps = await store.journal(told("k", "parent"))
    parent.state, under_way = SagaState.PARKED, Relative(id=child, position="0", name="child", state=SagaState.PARKED)
    with pytest.raises(CallError, match=f"has a child under way, child {child}"):
        fork_of(parent, steps, "0", DEFINITION, parent.updated, [under_way])


async def test_a_saga_that_was_parked_at_a_pause_is_forked_at_it_and_not_behind_it(database, remote):
    store = SagaStore(database)
    async with engine(service := Trip(remote), database):
        await begun(service)
    parked, steps = await store.journal(told("k"))
    parked.state = SagaState.PARKED
    steps = [replace(row, sequence=0) if row.position == "3" else row for row in steps]

    with pytest.raises(CallError, match=r"has no step '4'; it has 0 \(.*\), 1 \(.*\), 2 \(.*\), 3 \("):
        fork_of(parked, steps, "4", DEFINITION, parked.updated)
    made = fork_of(parked, steps, "3", DEFINITION, parked.updated)
    assert [row.position for row in made.steps] == ["0", "1", "2"]
