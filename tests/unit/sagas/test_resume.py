"""A saga that was interrupted goes on where its journal ends, here or on another replica."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from sagakit import (
    QUICK,
    Booking,
    Bookings,
    Facts,
    Request,
    engine,
    keyed,
    opened,
    told,
)

from meristem import CallError, Code, SagaParked
from meristem.context import Identity, current
from meristem.contracts.codec import decoder
from meristem.errors import NotServedHere
from meristem.sagas.administration import SagaStore
from meristem.sagas.engine import SagaEngine
from meristem.sagas.facts import SagaEnded, SagaLost
from meristem.sagas.flow import Flow
from meristem.sagas.origin import Origin
from meristem.sagas.policy import Backoff
from meristem.sagas.records import SagaState
from meristem.sagas.saga import saga
from meristem.storage.lease import PATIENCE as LEASE_PATIENCE
from meristem.storage.lease import Lease
from meristem.storage.owner import is_certainly_dead, new_owner
from meristem.testing import ManualClock


class Stepless(Bookings):
    """Code that has lost each step of its saga."""

    @saga
    async def book(self, flow: Flow, request: Request) -> Booking:
        return Booking(room="", paid=0)


async def interrupted(remote, database, key: str = "k", **more) -> None:
    """A booking whose engine stops while the bank has charged and not answered."""
    remote.plans["charge"] = ["hang"]
    service = Bookings(remote)
    async with engine(service, database):
        with keyed(key, **more):
            asking = asyncio.ensure_future(service.book(Request()))
        await remote.reached.wait()
    with pytest.raises(NotServedHere, match="goes on elsewhere"):  # so that a client asks another replica
        await asking


async def ended(service, database, **fields):
    facts = Facts()
    async with engine(service, database, observers=[facts]):
        return await facts.until(SagaEnded, **fields)


async def test_a_finished_step_is_not_repeated_and_an_unfinished_one_has_its_effect_once(database, remote):
    await interrupted(remote, database)
    service = Bookings(remote)
    async with engine(service, database):
        with keyed("k"):
            assert await service.book(Request()) == Booking(room="blue", paid=100)
    assert remote.calls == [("hold", f"{told('k')}:0")] + [("charge", f"{told('k')}:1")] * 2
    assert remote.names() == ["hold", "charge"]


async def test_a_step_during_which_the_owner_died_stays_uncertain_though_no_later_call_of_it_is_sent(database, remote):
    class Hasty(Bookings):
        @saga(patience=0.01)
        async def book(self, flow: Flow, request: Request) -> Booking:
            return await Bookings.book.__saga__.function(self, flow, request)

    await interrupted(remote, database)
    remote.plans["charge"] = [CallError(Code.UNAVAILABLE, "refused", may_have_happened=False)] * 6
    policy = replace(QUICK, retry=Backoff(0.006, 0.006), undo=Backoff(0.001, 0.002, attempts=30))
    facts = Facts()
    async with engine(Hasty(remote), database, policy=policy, observers=[facts]):
        assert (await facts.until(SagaEnded)).state == "failed"
    assert remote.names() == ["hold", "charge", "refund", "release"]


async def test_a_step_that_is_called_for_the_first_time_after_a_restart_is_not_uncertain(database, remote):
    class Longer(Bookings):
        @saga(patience=0.01)
        async def book(self, flow: Flow, request: Request) -> Booking:
            await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
            await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
            return Booking(room="", paid=0)

    remote.plans["charge"] = ["hang"]
    service = Longer(remote)
    async with engine(service, database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await remote.reached.wait()
    await asyncio.wait({asking})
    assert asking.exception() is not None
    remote.plans["hold"] = [CallError(Code.UNAVAILABLE, "refused", may_have_happened=False)] * 60
    policy = replace(QUICK, retry=Backoff(0.006, 0.006))
    facts = Facts()
    async with engine(Longer(remote), database, policy=policy, observers=[facts]):
        assert (await facts.until(SagaEnded)).state == "failed"
    assert remote.names() == ["charge", "refund"]


async def test_it_goes_on_without_anybody_asking(database, remote):
    await interrupted(remote, database)
    fact = await ended(Bookings(remote), database)
    assert (fact.id, fact.state) == (told("k"), "done")


async def test_it_goes_on_for_the_same_user(database, remote):
    users = []

    class Service(Bookings):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            users.append(current().user)
            return await Bookings.book.__saga__.function(self, flow, request)

    await interrupted(remote, database, user=Identity("u1", "Ann", ("guest",), "acme"))
    await ended(Service(remote), database)
    assert users == [Identity("u1", "Ann", ("guest",), "acme")]


def test_a_saga_of_a_release_without_tenants_is_read():
    kept = '{"caller":"shop","user":{"subject":"u1","name":"Ann","roles":["guest"]}}'
    assert decoder(Origin)(kept).user == Identity("u1", "Ann", ("guest",), "")


async def test_undoing_goes_on_and_an_undo_that_is_done_is_not_repeated(database, remote):
    class Service(Bookings):
        @saga
        async def fail(self, flow: Flow) -> None:
            await flow.with_undo(self.rooms.hold("a"), self.rooms.release)
            await flow.with_undo(self.payments.charge(1), self.payments.refund)
            raise LookupError

    remote.plans["release"] = ["hang"]
    service = Service(remote)
    async with engine(service, database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.fail())
        await remote.reached.wait()
    await asyncio.wait({asking})
    assert asking.exception() is not None
    fact = await ended(Service(remote), database)
    assert fact.state == "failed"
    assert [name for name, _ in remote.calls] == ["hold", "charge", "refund", "release", "release"]
    assert remote.names() == ["hold", "charge", "refund", "release"]


async def test_code_that_changed_under_a_saga_parks_it_and_says_what_differs(database, remote):
    class Changed(Bookings):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            await self.payments.charge(request.amount)
            return Booking(room="", paid=0)

    await interrupted(remote, database)
    fact = await ended(Changed(remote), database)
    assert fact.state == "parked"
    assert "step 0: the journal has call Rooms.hold, the code now asks for call Payments.charge" in fact.error


async def test_another_request_under_a_saga_parks_it(database, remote):
    class Changed(Bookings):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            await self.rooms.hold("another")
            return Booking(room="", paid=0)

    await interrupted(remote, database)
    fact = await ended(Changed(remote), database)
    assert "step 0: the journal has call Rooms.hold with request" in fact.error


async def test_code_that_lost_a_step_parks_the_saga(database, remote):
    await interrupted(remote, database)
    fact = await ended(Stepless(remote), database)
    assert "step 0 (Rooms.hold), which the code no longer reaches" in fact.error


async def test_a_parked_saga_goes_on_once_the_old_code_is_back(database, remote):
    await interrupted(remote, database)
    await ended(Stepless(remote), database)
    service = Bookings(remote)
    async with engine(service, database):
        with keyed("k"), pytest.raises(SagaParked, match="no longer reaches"):
            await service.book(Request())
        assert (await SagaStore(database).retry(told("k"))).state is SagaState.RUNNING
        with keyed("k"):
            assert await service.book(Request()) == Booking(room="blue", paid=100)


async def test_the_flow_says_which_version_a_saga_began_with(database, remote):
    class Second(Bookings):
        @saga(version=2)
        async def book(self, flow: Flow, request: Request) -> Booking:
            await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
            if flow.version >= 2:
                await self.rooms.look(request.room)
            payment = await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
            return Booking(room=f"v{flow.version}", paid=payment.amount)

    await interrupted(remote, database)
    service = Second(remote)
    async with engine(service, database):
        with keyed("k"):
            assert (await service.book(Request())).room == "v1"
        assert (await service.book(Request())).room == "v2"


async def test_a_version_that_is_no_longer_supported_is_parked(database, remote):
    class Third(Bookings):
        @saga(version=3, supports=2)
        async def book(self, flow: Flow, request: Request) -> Booking:
            return Booking(room="", paid=0)

    await interrupted(remote, database)
    fact = await ended(Third(remote), database)
    assert fact.state == "parked"
    assert "it began with version 1 of 'book', and this code supports 2 to 3" in fact.error


async def test_a_newer_version_and_an_unknown_saga_are_left_to_their_own_release(database, remote, caplog):
    class Newer(Bookings):
        @saga(version=2)
        async def book(self, flow: Flow, request: Request) -> Booking:
            await self.payments.charge(1)
            return Booking(room="", paid=0)

        @saga
        async def unknown(self, flow: Flow) -> None:
            await self.rooms.hold("a")

    remote.plans |= {"charge": ["hang"], "hold": ["hang"]}
    service = Newer(remote)
    async with engine(service, database):
        asking = [asyncio.ensure_future(each) for each in (service.book(Request()), service.unknown())]
        await remote.called("charge", "hold")
    await asyncio.gather(*asking, return_exceptions=True)
    async with engine(Bookings(remote), database):
        states = {each.state for each in await SagaStore(database).list()}
    assert states == {SagaState.RUNNING}
    assert caplog.text.count("is left to a newer release") == 2


async def test_a_dead_replicas_saga_is_taken_over_when_its_lease_ends_and_the_dead_one_cannot_write(tmp_path, remote):
    """The first replica hangs in a call, doesn't renew, and comes back after the second has finished the saga."""
    clock, facts = ManualClock(), Facts()
    asleep = replace(QUICK, scan=1e6)
    remote.plans["charge"] = ["hang"]
    async with opened(tmp_path / "a.db") as one, opened(tmp_path / "a.db") as two:
        first, second = Bookings(remote), Bookings(remote)
        async with engine(first, one, clock, asleep, [facts], renewal=1e6) as dead:
            with keyed("k"):
                asking = asyncio.ensure_future(first.book(Request()))
            await remote.reached.wait()
            over = Facts()
            async with engine(second, two, clock, asleep, [over], renewal=1e6) as heir:
                for _ in range(LEASE_PATIENCE - 1):
                    await heir._lease.look()
                await heir.settle()
                assert not over.all
                await heir._lease.look()
                await over.until(SagaEnded, state="done")
                await dead._lease.look()
                remote.freed.set()
                await facts.until(SagaLost)
            assert await asking == Booking(room="blue", paid=100)  # as the other one has left it in the journal
    assert remote.names() == ["hold", "charge"]


async def test_a_living_replica_keeps_its_sagas(tmp_path, remote):
    clock, other = ManualClock(), Facts()
    slow = replace(QUICK, scan=1.0)
    remote.plans["charge"] = ["hang"]
    async with opened(tmp_path / "a.db") as one, opened(tmp_path / "a.db") as two:
        service = Bookings(remote)
        async with (
            engine(service, one, clock, slow, renewal=1e6) as living,
            engine(Bookings(remote), two, clock, slow, [other], renewal=1e6) as onlooker,
        ):
            asking = asyncio.ensure_future(service.book(Request()))
            await remote.reached.wait()
            for _ in range(40):
                await living._lease.look()
                await onlooker._lease.look()
                await clock.advance(1.0)
                onlooker._poller.poke()
                await onlooker.settle()
            remote.freed.set()
            assert await asking == Booking(room="blue", paid=100)
    assert other.all == []


async def test_a_caller_on_one_replica_gets_the_answer_that_another_made(tmp_path, remote):
    remote.plans["charge"] = ["hang"]
    async with opened(tmp_path / "a.db") as one, opened(tmp_path / "a.db") as two:
        first, second = Bookings(remote), Bookings(remote)
        async with engine(first, one), engine(second, two):
            with keyed("k"):
                asking = asyncio.ensure_future(first.book(Request()))
                await remote.reached.wait()
                also = asyncio.ensure_future(second.book(Request()))
            remote.freed.set()
            assert await asking == await also == Booking(room="blue", paid=100)
    assert remote.names() == ["hold", "charge"]


async def test_a_stopped_engine_takes_nothing_new(database, remote):
    service = Bookings(remote)
    made = SagaEngine("bookings", service, database, ManualClock(), lease=Lease(database, "a"))
    await made.start()
    await made.drain()
    await made.stop()
    await made.stop()
    with pytest.raises(CallError) as raised:
        await service.book(Request())
    assert raised.value.code is Code.UNAVAILABLE
    assert not raised.value.may_have_happened


async def test_the_owner_of_a_lease_is_known_to_be_alive_or_dead():
    mine = new_owner()
    machine, _, _, token = mine.split("|")
    gone = await asyncio.create_subprocess_exec("true")
    await gone.wait()
    assert not is_certainly_dead(mine)
    assert is_certainly_dead(f"{machine}|{gone.pid}|1|{token}")
    assert not is_certainly_dead(f"elsewhere|{gone.pid}|1|{token}")
