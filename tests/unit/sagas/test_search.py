"""Sagas are found by fields of their input that they declare, those that began before the declaration, too."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import pytest
from sagakit import Booking, Bookings, Facts, Request, engine, keyed, told
from sqlalchemy import delete, func, select

from meristem import CallError, Code, Message, find_sagas
from meristem.context import Context, using
from meristem.errors import MisuseError
from meristem.sagas.administration import SagaStore
from meristem.sagas.facts import SagaEnded
from meristem.sagas.flow import Flow
from meristem.sagas.forgetting import forget_sagas
from meristem.sagas.records import SagaState
from meristem.sagas.saga import saga, sagas_of
from meristem.sagas.tables import SEARCH
from meristem.testing import ManualClock


class Guest(Message):
    guest_id: int
    name: str | None = None


class Stay(Message):
    guest: Guest
    hotel: UUID | None = None
    price: Decimal = Decimal(0)
    since: datetime | None = None


class Hotel(Bookings):
    @saga(search=["stay.guest.guest_id", "stay.guest.name", "stay.price", "stay.hotel", "stay.since", "vip"])
    async def stays(self, flow: Flow, stay: Stay, *, vip: bool = False) -> str:
        return await self.rooms.hold(str(stay.guest.guest_id)) and "held"

    @saga
    async def plain(self, flow: Flow, number: int) -> int:
        return number


class Undeclared(Hotel):
    @saga
    async def stays(self, flow: Flow, stay: Stay, *, vip: bool = False) -> str:
        return await self.rooms.hold(str(stay.guest.guest_id)) and "held"


HOTEL = UUID("5f0c1e2d-0000-4000-8000-0000000000ab")
ADA = Stay(guest=Guest(guest_id=42, name="Ada"), price=Decimal("12.50"))
BOB = Stay(guest=Guest(guest_id=7))


async def terms(database):
    return await database.fetch_value(select(func.count()).select_from(SEARCH))


async def stayed(service, key, stay, **more):
    with keyed(key):
        await service.stays(stay, **more)
    return told(key, "stays")


async def test_sagas_are_found_by_the_fields_they_declare_and_others_leave_no_trace_in_the_index(database, remote):
    service, store = Hotel(remote), SagaStore(database)
    async with engine(service, database):
        await service.plain(1)
        assert await terms(database) == 0
        ada, vip = await stayed(service, "a", ADA), await stayed(service, "v", ADA, vip=True)
        bob = await stayed(service, "b", BOB)

        async def found(**fields):
            return [handle.id for handle in await find_sagas(service.stays, **fields)]

        assert await found(guest_id=42) == [vip, ada]
        assert await found(guest_id=42, vip=False) == [ada]
        assert await found(name=None) == [bob]
        assert await found(price=Decimal("12.50"), name="Ada", vip=True) == [vip]
        assert await found(guest_id=42, name="Bob") == []
        [handle] = await find_sagas(service.stays, guest_id=42, limit=1)
        assert (handle.id, await handle.result(), await handle.state()) == (vip, "held", SagaState.DONE)

    # What is typed is a text.
    assert [each.id for each in await store.list(where={"guest_id": "42", "vip": "true"})] == [vip]
    assert await store.list(SagaState.FAILED, where={"guest_id": "42"}) == []
    assert "Ada" not in str(await database.fetch_all(SEARCH.select()))


async def test_a_value_is_found_by_what_equals_it_and_by_nothing_else(database, remote):
    service, store = Hotel(remote), SagaStore(database)
    noon = datetime(2026, 11, 29, 12, tzinfo=UTC)
    async with engine(service, database):
        nobody = await stayed(service, "n", Stay(guest=Guest(guest_id=1), price=Decimal("1E+2"), since=noon))
        null = await stayed(
            service, "t", Stay(guest=Guest(guest_id=2, name="null"), price=Decimal("100.0"), hotel=HOTEL)
        )
        odd = await stayed(service, "o", Stay(guest=Guest(guest_id=3, name='100%"ä'), price=Decimal("1.50")))

        async def found(**fields):
            return [handle.id for handle in await find_sagas(service.stays, **fields)]

        async def typed(**fields):
            return [each.id for each in await store.list(where=fields)]

        assert await found(name=None) == await typed(name="null") == [nobody]
        assert await found(name="null") == await typed(name='"null"') == [null]
        assert await found(name='100%"ä') == await typed(name='100%"ä') == [odd]
        assert await typed(name="%") == await typed(name="\udcff") == []
        assert await found(price=Decimal(100)) == await typed(price="100") == await typed(price="100.00")
        assert await typed(price="1e2") == [null, nobody]
        assert await found(price=1.5) == await found(price="1.5") == await typed(price="1.5") == [odd]
        assert await found(since=noon.astimezone(timezone(timedelta(hours=2)))) == [nobody]
        assert await typed(since="2026-11-29T13:00:00+01:00") == await typed(since="2026-11-29 12:00Z") == [nobody]
        assert await found(hotel=str(HOTEL)) == await typed(hotel=str(HOTEL).upper()) == [null]
        assert await typed(guest_id="2") == await typed(guest_id="2.0") == await found(guest_id=2) == [null]
        assert await typed(vip="true") == []
        plain = await stayed(service, "d", {"guest": {"guest_id": 4, "name": "Dee"}, "price": "3.10"})
        assert await found(name="Dee", price=Decimal("3.1")) == [plain]
        assert await found(vip=False, guest_id=3) == await typed(vip="false", guest_id="3") == [odd]


async def test_sagas_that_began_before_a_field_was_declared_are_found_once_they_are_added(database, remote):
    old, new, store = Undeclared(remote), Hotel(remote), SagaStore(database)
    async with engine(old, database):
        ids = [await stayed(old, f"k{number}", ADA) for number in range(3)]
        assert await store.searchable() == []
    async with engine(new, database):
        found = await find_sagas(new.stays, guest_id=42)
        assert {each.id for each in found} == set(ids)
        declared = await store.searchable()
        assert {(each.saga, each.field) for each in declared} == {
            ("stays", name) for name in ("guest_id", "name", "price", "hotel", "since", "vip")
        }
        assert all(each.upto is not None for each in declared)
    async with engine(old, database) as made:  # whose sagas would not be found: nobody is told that they are
        await made._index.whole.wait()
        assert await store.searchable() == []


async def test_what_an_older_replica_begins_meanwhile_is_added_a_day_later(database, remote, monkeypatch):
    monkeypatch.setattr("meristem.sagas.search_index._PIECE", 1)
    service, clock = Hotel(remote), ManualClock()
    async with engine(service, database, clock):
        await find_sagas(service.stays, guest_id=42)  # the index is whole
        ids = {await stayed(service, f"k{number}", ADA) for number in range(3)}
        await database.execute(delete(SEARCH))  # as if a release had begun them that has no index
        assert await find_sagas(service.stays, guest_id=42) == []
        await clock.advance(86400.0)
        async with asyncio.timeout(60):
            while {each.id for each in await find_sagas(service.stays, guest_id=42)} != ids:
                await asyncio.sleep(0)


async def test_an_index_that_is_not_whole_is_waited_for_as_long_as_the_caller_has_time(database, remote):
    service = Hotel(remote)
    async with engine(service, database) as made:
        await find_sagas(service.stays, guest_id=42)
        made._index.whole.clear()
        loop = asyncio.get_running_loop()
        with using(Context(deadline=loop.time() + 0.01)), pytest.raises(CallError, match="not whole yet") as raised:
            await find_sagas(service.stays, guest_id=42)
    assert raised.value.code is Code.DEADLINE_EXCEEDED


async def test_a_fork_is_found_as_the_saga_it_came_from_and_what_is_forgotten_leaves_nothing(database, remote):
    service, store, facts = Hotel(remote), SagaStore(database), Facts()
    async with engine(service, database, observers=[facts]):
        first = await stayed(service, "a", ADA)
        fork = await store.begin(await store.fork(first, "0", sagas_of(Hotel)["stays"]))
        await facts.until(SagaEnded, id=fork.id)
        assert {each.id for each in await find_sagas(service.stays, guest_id=42)} == {first, fork.id}
        before = (await store.show(fork.id)).saga.updated
        await forget_sagas(database, before.replace(year=before.year + 1))

    assert await terms(database) == 0


async def test_a_saga_that_is_not_stored_leaves_nothing_in_the_index(database, remote):
    """Its row and its terms are of one commit, that of its first step."""

    class Local(Bookings):
        @saga(search=["request.room"])
        async def book(self, flow: Flow, request: Request) -> Booking:
            return await flow.step(self.hang)

        async def hang(self) -> Booking:
            remote.reached.set()
            await remote.freed.wait()
            return Booking(room="blue", paid=1)

    async with engine(service := Local(remote), database):
        with keyed("k"):
            asking = asyncio.ensure_future(service.book(Request()))
        await remote.reached.wait()
    await asyncio.gather(asking, return_exceptions=True)
    left = await terms(database)
    remote.freed.set()
    async with engine(service, database):
        with keyed("k"):
            await service.book(Request())
        [found] = await find_sagas(service.book, room="blue")

    assert (left, found.id, await terms(database)) == (0, told("k"), 1)


def test_a_field_that_is_not_there_or_has_no_plain_value_is_refused():
    def declared(*search):
        class Wrong(Bookings):
            @saga(search=search)
            async def stays(self, flow: Flow, stay: Stay, name: str, rooms: list[str]) -> None: ...

        return sagas_of(Wrong)["stays"].searched

    for paths, why in (
        (["guest"], "the saga has no 'guest'; it has stay, name, rooms"),
        (["stay.guest.age"], "stay.guest has no 'age'; it has guest_id, name"),
        (["stay.guest"], "it is no single value: name one of its fields"),
        (["rooms"], "it is no single value"),
        (["name", "stay.guest.name"], "another one is called 'name', too"),
    ):
        with pytest.raises(MisuseError, match=why):
            declared(*paths)
    with pytest.raises(MisuseError, match="fields are listed by their names"):
        saga(search="name")(Hotel.plain)


async def test_what_is_not_declared_and_what_is_not_the_services_own_is_refused(database, remote):
    service = Hotel(remote)
    async with engine(service, database):
        with pytest.raises(MisuseError, match=r"can't be found by 'age': write @saga\(search=\['age'\]\); it declares"):
            await find_sagas(service.stays, age=3)
        with pytest.raises(MisuseError, match="it declares none"):
            await find_sagas(service.plain, number=3)
        with pytest.raises(MisuseError):
            await find_sagas(service.rooms.hold, room="blue")
