"""Sagas are found by state, name and age, page by page, and what is parked goes on together."""

from __future__ import annotations

import asyncio
import time

from sagakit import Booking, Bookings, Request, engine, keyed, told
from sqlalchemy import insert, literal, select

from meristem.sagas.administration import SagaStore
from meristem.sagas.flow import Flow
from meristem.sagas.records import SagaState
from meristem.sagas.saga import saga
from meristem.sagas.tables import SAGAS
from meristem.testing import ManualClock

LATER = (SagaState.RUNNING, SagaState.WAITING)


class Several(Bookings):
    @saga
    async def greet(self, flow: Flow, name: str) -> str:
        return name

    @saga
    async def sleep(self, flow: Flow) -> None:
        await flow.sleep(1e6)


async def test_sagas_are_found_by_state_name_and_when_they_began(database, remote):
    clock, service, store = ManualClock(), Several(remote), SagaStore(database)
    async with engine(service, database, clock):
        with keyed("old"):
            await service.greet("Ada")
        clock.step(60.0)
        noon = clock.now()
        with keyed("new"):
            await service.greet("Bob")
        with keyed("asleep"):
            asleep = asyncio.ensure_future(service.sleep())
        while not await store.list(*LATER):
            await asyncio.sleep(0)
    await asyncio.gather(asleep, return_exceptions=True)

    async def found(*states, **asked):
        return {each.id for each in await store.list(*states, **asked)}

    old, new, sleeper = told("old", "greet"), told("new", "greet"), told("asleep", "sleep")
    assert await found() == {old, new, sleeper}
    assert await found(SagaState.DONE) == {old, new}
    assert await found(*LATER) == {sleeper}
    assert await found(SagaState.DONE, *LATER, since=noon) == {new, sleeper}
    assert await found(name="greet", before=noon) == {old}
    assert await found(SagaState.FAILED) == set()


async def test_pages_have_each_saga_once_though_several_began_at_one_time(database, remote):
    service, store = Several(remote), SagaStore(database)
    async with engine(service, database, ManualClock()):  # it stands still
        for name in ("Ada", "Bob", "Cyd", "Dan", "Eve"):
            await service.greet(name)

    pages, last = [], None
    while page := await store.list(after=last, limit=2):
        pages.append([each.id for each in page])
        last = page[-1].created, page[-1].id

    assert [len(page) for page in pages] == [2, 2, 1]
    assert sorted(each for page in pages for each in page) == sorted(each.id for each in await store.list())


async def test_all_that_is_parked_goes_on_or_that_of_one_name(database, remote):
    class Old(Bookings):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            await flow.sleep(3600.0)
            return Booking(room="", paid=0)

        @saga
        async def other(self, flow: Flow) -> None:
            await flow.sleep(3600.0)

    class New(Bookings):
        @saga
        async def book(self, flow: Flow, request: Request) -> Booking:
            return Booking(room="", paid=0)

        @saga
        async def other(self, flow: Flow) -> None: ...

    clock, store = ManualClock(), SagaStore(database)
    async with engine(service := Old(remote), database, clock):
        asking = [asyncio.ensure_future(each) for each in (service.book(Request()), service.other())]
        while len(await store.list(SagaState.WAITING)) < 2:
            await asyncio.sleep(0)
    await asyncio.gather(*asking, return_exceptions=True)
    clock.step(3601.0)
    async with engine(New(remote), database, clock):
        while len(await store.list(SagaState.PARKED)) < 2:
            await asyncio.sleep(0)

    first = (await store.retry_some(name="other")).sagas
    second = (await store.retry_some()).sagas
    third = (await store.retry_some()).sagas

    assert [[each.name for each in page] for page in (first, second, third)] == [["other"], ["book"], []]
    assert {each.state for each in (*first, *second)} == {SagaState.RUNNING}


async def test_many_are_changed_in_pieces_and_keep_nobody_waiting(database, remote):
    service, store = Several(remote), SagaStore(database)
    async with engine(service, database, ManualClock()):
        asleep = asyncio.ensure_future(service.sleep())
        while not (found := await store.list(SagaState.WAITING)):
            await asyncio.sleep(0)
    await asyncio.gather(asleep, return_exceptions=True)
    others = [each for each in SAGAS.c if each is not SAGAS.c.id]
    async with database.unit() as unit:
        for number in range(1200):
            copied = select(literal(f"copy{number:04}"), *others).where(SAGAS.c.id == found[0].id)
            await unit.execute(insert(SAGAS).from_select([SAGAS.c.id, *others], copied))
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.005)
            worst = max(worst, time.perf_counter() - before)

    watching = asyncio.ensure_future(watch())
    batches, place = [], None
    while not batches or place is not None:
        sagas, place = await store.cancel_some(after=place)
        batches.append(sagas)
    watching.cancel()

    assert [len(each) for each in batches] == [500, 500, 201]
    assert len({each.id for batch in batches for each in batch}) == 1201
    assert {(each.state, each.cancelled) for batch in batches for each in batch} == {(SagaState.RUNNING, True)}
    assert (await store.cancel_some()).sagas == []
    assert worst < 0.5  # seconds; a piece takes some 15 ms
