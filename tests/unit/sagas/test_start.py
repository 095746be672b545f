"""One idempotency key begins one saga, and a caller who gives up stops nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Protocol

import pytest
from sagakit import Booking, Bookings, CardDeclined, Facts, Request, engine, keyed, told

from meristem import (
    CallError,
    Code,
    Contract,
    Flow,
    MisuseError,
    SagaHandle,
    SagaState,
    connect,
    once,
    saga,
    start_saga,
)  # fmt: skip
from meristem.context import Unseen
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded


async def test_twenty_calls_with_one_key_are_one_saga(database, remote):
    service = Bookings(remote)
    async with engine(service, database):
        with keyed("k"):
            answers = await asyncio.gather(*(service.book(Request()) for _ in range(20)))
        with keyed("k"):
            again = await service.book(Request())
    assert set(map(repr, [*answers, again])) == {repr(Booking(room="blue", paid=100))}
    assert remote.names() == ["hold", "charge"]


async def test_who_asks_again_as_the_answer_is_given_gets_it_too(database, remote):
    service = Bookings(remote)
    late = []

    def ask_again(fact):
        if isinstance(fact, SagaEnded) and not late:  # before those who wait for the saga have heard, let alone left
            with keyed("k"):
                late.append(asyncio.ensure_future(service.book(Request())))

    async with engine(service, database, observers=[ask_again]):
        with keyed("k"):
            answers = await asyncio.gather(*(service.book(Request()) for _ in range(3)))
        async with asyncio.timeout(10):
            answers.append(await late[0])
    assert set(map(repr, answers)) == {repr(Booking(room="blue", paid=100))}
    assert remote.names() == ["hold", "charge"]


async def test_a_fault_is_remembered_under_its_key(database, remote):
    remote.plans["charge"] = [CardDeclined(reason="empty")]
    service = Bookings(remote)
    async with engine(service, database):
        for _ in range(3):
            with keyed("k"), pytest.raises(CardDeclined, match="empty"):
                await service.book(Request())
    assert remote.names() == ["hold", "release"]


async def test_a_saga_that_is_started_is_stored_before_its_first_step_has_ended(database, remote):
    class Slow(Bookings):
        free = asyncio.Event()

        @saga
        async def wait(self, flow: Flow) -> str:
            return await flow.step(self.step)

        async def step(self) -> str:
            await self.free.wait()
            return "done"

    service = Slow(remote, database)
    async with engine(service, database):
        handle = await start_saga(service.wait)
        assert (await SagaStore(database).show(handle.id)).saga.state is SagaState.RUNNING
        waiting = asyncio.ensure_future(handle.result())
        service.free.set()
        assert await waiting == "done"


async def test_the_handle_of_a_saga_that_another_engine_goes_on_with_gives_its_answer(database, remote):
    remote.plans["hold"] = ["hang"]
    first, second = Bookings(remote), Bookings(remote)
    async with engine(first, database):
        handle = await start_saga(first.book, Request())
        await remote.reached.wait()
    async with engine(second, database):
        assert await SagaHandle.of(second.book, handle.id).result() == Booking(room="blue", paid=100)
    assert remote.names() == ["hold", "charge"]


async def test_who_stops_waiting_for_a_handle_stops_nothing(database, remote):
    remote.plans["hold"] = ["hang"]
    service = Bookings(remote)
    async with engine(service, database):
        handle = await start_saga(service.book, Request())
        waiting = asyncio.ensure_future(handle.result())
        await remote.reached.wait()
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        remote.freed.set()
        assert (await handle.result()).paid == 100


async def test_a_handle_tells_of_a_bug_no_more_than_a_caller_is_told(database, remote):
    class Broken(Bookings):
        @saga
        async def fail(self, flow: Flow) -> str:
            raise RuntimeError("s3cret")

    service = Broken(remote)
    async with engine(service, database):
        handle = await start_saga(service.fail)
        with pytest.raises(CallError) as caught:
            await handle.result()
    assert caught.value.code is Code.INTERNAL
    assert "s3cret" not in str(caught.value)


async def test_the_id_of_another_saga_of_the_service_is_refused(database, remote):
    class Inn(Bookings):
        @saga
        async def close(self, flow: Flow) -> str:
            return "closed"

    async with engine(service := Inn(remote), database):
        handle = await start_saga(service.close)
        await handle.result()
        mistaken = SagaHandle.of(service.book, handle.id)
        for asked in (mistaken.state(), mistaken.result(), mistaken.cancel()):
            with pytest.raises(CallError, match=r"is a saga close, and none of .*\.book") as caught:
                await asked
            assert caught.value.code is Code.NOT_FOUND


async def test_a_method_that_is_no_saga_has_no_handle(remote):
    with pytest.raises(MisuseError, match="Remote.client cannot be started as a saga"):
        await start_saga(remote.client, 1)


class Trips(Contract, Protocol, package="tests.trips.v1"):
    @once(http="POST /trips")
    async def book(self, train: str) -> str: ...


async def test_a_client_from_outside_is_told_what_to_do_instead_of_starting_a_saga():
    told = (
        r"Trips.book cannot be started .* from outside .*: call it under an idempotency key .*, or publish an operation"
    )
    async with connect("http://127.0.0.1:9") as system:  # nothing is sent there
        book = system.client(Trips).book
        with pytest.raises(MisuseError, match=told):
            await start_saga(book, "IC 42")
        with pytest.raises(MisuseError, match=told):
            SagaHandle.of(book, "0" * 32)


async def test_the_steps_keep_the_trace_of_the_call_that_began_them(database, remote, monkeypatch):
    """Though that call was not sampled, and nobody had asked for its trace's id before the saga was stored."""
    seen, trace, handle = [], Unseen(), remote.handle

    async def recording(call):
        seen.append(call.context.trace.header())
        return await handle(call)

    monkeypatch.setattr(remote, "handle", recording)
    async with engine(service := Bookings(remote), database):
        with keyed("k", trace=trace):
            await service.book(Request())
    assert seen == [trace.header()] * 2


async def test_calls_without_a_key_are_sagas_of_their_own(database, remote):
    service = Bookings(remote)
    async with engine(service, database):
        await asyncio.gather(service.book(Request()), service.book(Request()))
    assert sorted(remote.names()) == ["charge", "charge", "hold", "hold"]


@pytest.mark.parametrize("together", [True, False])
async def test_a_key_is_refused_for_another_request(database, remote, together):
    service = Bookings(remote)
    async with engine(service, database):
        with keyed("k"):
            first = asyncio.ensure_future(service.book(Request()))
            await (asyncio.sleep(0) if together else first)
            with pytest.raises(CallError, match="used for another request") as raised:
                await service.book(Request(amount=1))
        await first
    assert raised.value.code is Code.ALREADY_EXISTS


async def test_a_caller_who_gives_up_does_not_stop_the_saga(database, remote):
    remote.plans["charge"] = ["hang"]
    service, facts = Bookings(remote), Facts()
    async with engine(service, database, observers=[facts]):
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await remote.reached.wait()
        asking.cancel()
        remote.freed.set()
        await facts.until(SagaEnded, state="done")
        with keyed("k"):
            assert (await service.book(Request())).paid == 100


async def test_a_callers_deadline_ends_the_waiting_and_not_the_saga(database, remote):
    remote.plans["charge"] = ["hang"]
    service, facts = Bookings(remote), Facts()
    async with engine(service, database, observers=[facts]):
        with keyed("k", deadline=time.monotonic() + 0.02), pytest.raises(CallError, match="and goes on") as raised:
            await service.book(Request())
        assert raised.value.code is Code.DEADLINE_EXCEEDED
        remote.freed.set()
        await facts.until(SagaEnded, state="done")


async def test_the_saga_is_journaled_before_its_first_step(database, remote):
    remote.plans["hold"] = ["hang"]
    service = Bookings(remote)
    async with engine(service, database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await remote.reached.wait()
        assert (await SagaStore(database).show(told("k"))).steps == []
        remote.freed.set()
        await asking


async def test_a_saga_started_within_a_unit_of_work_does_not_join_it(database, remote):
    """As under @once: a unit is current, without a statement yet; its end says nothing about the saga."""
    service = Bookings(remote)
    async with engine(service, database):
        with contextlib.suppress(LookupError), keyed("k"):
            async with database.unit():
                await service.book(Request())
                raise LookupError
        assert (await SagaStore(database).show(told("k"))).saga.state == "done"
