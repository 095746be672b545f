"""Two guests never get the last room, and a room that nobody pays for comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from hotels.contracts.rooms import (
    Hold,
    HoldUnknown,
    HotelListed,
    RoomHeld,
    RoomReleased,
    Rooms,
    RoomTaken,
    RoomUnknown,
    Stay,
)
from hotels.rooms.rows import Span, most_taken
from hotels.rooms.seeding import enter
from hotels.rooms.service import RoomsService

from meristem import CallError, Code, Event
from meristem.testing import ManualClock

ARRIVAL = date(2030, 6, 7)


class House:
    """Rooms with one hotel, and a clock in the hand."""

    def __init__(self, app: Any, hotel: HotelListed, clock: ManualClock) -> None:
        self.app = app
        self.rooms = app.client(Rooms)
        self.service = app.service(RoomsService)
        self.room = hotel.rooms[0]
        self.clock = clock

    def told(self) -> list[Event]:
        """What was told of the rooms, in its order."""
        events = [each.event for each in self.app.published(Event)]
        return [each for each in events if isinstance(each, RoomHeld | RoomReleased)]

    async def pass_time(self, minutes: int) -> None:
        """Move the clock, and run the job whose time has come."""
        await self.clock.advance(60 * minutes)
        await self.service.expire()

    def stay(self, after: int = 0, nights: int = 2, guests: int = 2) -> Stay:
        return Stay(room_id=self.room.room_id, arrival=ARRIVAL + timedelta(days=after), nights=nights, guests=guests)


@pytest.fixture
def house(run: Callable[..., Any], listing: Callable[..., HotelListed]) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_house(count: int = 1) -> Any:
        clock = ManualClock()
        async with run(RoomsService, clock=clock, settings={"rooms": {"hotels": 0}}) as app:
            hotel = listing(rooms=[("Double room", 2, count, "80.00")])
            await enter(app.database("rooms"), [hotel])
            yield House(app, hotel, clock)

    return open_house


async def test_of_fifty_guests_who_want_the_last_room_at_once_one_gets_it(house: Callable[..., Any]) -> None:
    async with house(count=1) as given:
        answers = await asyncio.gather(*(given.rooms.hold(given.stay()) for _ in range(50)), return_exceptions=True)

    assert sum(isinstance(answer, Hold) for answer in answers) == 1
    assert sum(isinstance(answer, RoomTaken) for answer in answers) == 49


async def test_guests_who_follow_one_another_share_a_room(house: Callable[..., Any]) -> None:
    """Three stays overlap a fourth, but no night has more than one of them."""
    async with house(count=2) as given:
        for after in (0, 2, 4):
            await given.rooms.hold(given.stay(after, nights=2))

        across = await given.rooms.hold(given.stay(0, nights=6))

        assert across.price.amount == 6 * given.room.nightly.amount
        with pytest.raises(RoomTaken):
            await given.rooms.hold(given.stay(3, nights=1))


async def test_a_hold_that_is_not_confirmed_in_time_gives_the_room_back(house: Callable[..., Any]) -> None:
    async with house() as given:
        hold = await given.rooms.hold(given.stay())

        await given.app.eventually(given.told, equals=[_held(hold), _released(hold)])

        assert timedelta(minutes=10) <= timedelta(seconds=given.clock.steady()) <= timedelta(minutes=10, seconds=5)
        with pytest.raises(HoldUnknown):
            await given.rooms.confirm(hold.hold_id)
        await given.rooms.hold(given.stay())


async def test_an_expired_hold_does_not_count_even_before_it_is_swept(house: Callable[..., Any]) -> None:
    async with house() as given:
        hold = await given.rooms.hold(given.stay())
        given.clock._now += timedelta(minutes=10)  # no job has run

        await given.rooms.hold(given.stay())

        with pytest.raises(HoldUnknown):
            await given.rooms.confirm(hold.hold_id)


async def test_a_confirmed_hold_stays_until_it_is_released(house: Callable[..., Any]) -> None:
    async with house() as given:
        hold = await given.rooms.hold(given.stay())
        await given.rooms.confirm(hold.hold_id)
        await given.rooms.confirm(hold.hold_id)

        await given.pass_time(minutes=1440)
        with pytest.raises(RoomTaken):
            await given.rooms.hold(given.stay())

        await given.rooms.release(hold)
        await given.rooms.hold(given.stay())


async def test_a_room_is_released_once_however_often_it_is_asked(house: Callable[..., Any]) -> None:
    async with house() as given:
        hold = await given.rooms.hold(given.stay())
        for _ in range(3):
            await given.rooms.release(hold)
        again = await given.rooms.hold(given.stay())

        assert given.told() == [_held(hold), _released(hold), _held(again)]


async def test_what_is_wrong_with_a_stay_is_said_with_the_field(house: Callable[..., Any]) -> None:
    async with house() as given:
        for stay, field in [
            (given.stay(-6000), "arrival"),
            (given.stay(6000), "arrival"),
            (given.stay(guests=3), "guests"),
        ]:
            with pytest.raises(CallError) as refusal:
                await given.rooms.hold(stay)
            assert refusal.value.code is Code.INVALID_ARGUMENT
            assert [violation.field for violation in refusal.value.violations] == [field]


async def test_a_room_that_does_not_exist_is_unknown(house: Callable[..., Any]) -> None:
    async with house() as given:
        with pytest.raises(RoomUnknown):
            await given.rooms.hold(Stay(room_id=uuid4(), arrival=ARRIVAL, nights=1, guests=1))
        with pytest.raises(RoomUnknown):
            await given.rooms.room(uuid4())
        with pytest.raises(HoldUnknown):
            await given.rooms.confirm(uuid4())


async def test_a_room_is_told_with_its_hotel(house: Callable[..., Any]) -> None:
    async with house() as given:
        details = await given.rooms.room(given.room.room_id)

    assert (details.room, details.hotel.place.name) == (given.room, "Lisbon")


def test_the_fullest_night_decides() -> None:
    nights = [ARRIVAL + timedelta(days=day) for day in range(4)]
    first = Span(arrival=nights[0], departure=nights[2])
    second = Span(arrival=nights[2], departure=nights[3])

    assert most_taken([first, second], nights) == 1
    assert most_taken([first, first, second], nights) == 2
    assert most_taken([], nights) == 0


def _held(hold: Hold) -> RoomHeld:
    return RoomHeld(room_id=hold.stay.room_id, hold_id=hold.hold_id, arrival=hold.stay.arrival, nights=hold.stay.nights)


def _released(hold: Hold) -> RoomReleased:
    return RoomReleased(
        room_id=hold.stay.room_id, hold_id=hold.hold_id, arrival=hold.stay.arrival, nights=hold.stay.nights
    )
