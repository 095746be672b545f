"""A booking ends either complete or undone; all seven services, the bank and a mail server take part."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import msgspec
import pytest
from hotels.contracts.payments import Card, CardDeclined, CardInvalid, EntryKind, Payments
from hotels.contracts.reservations import (
    Booking,
    BookingConfirmed,
    BookingFailed,
    BookingRequest,
    BookingUnknown,
    Milestone,
    NotCancellable,
    ReceiptPending,
    Reservations,
    Status,
)
from hotels.contracts.rooms import Rooms, RoomTaken, RoomUnknown, Stay
from hotels.contracts.search import Search
from hotels.contracts.users import NewUser, User, Users, WrongCredentials
from hotels.rooms.seeding import enter
from hotels.rooms.service import RoomsService
from hotels.system import system

from meristem import CallError, Code, Identity, using
from meristem.testing import ManualClock, RunningSystem

APPROVED, DECLINED, BUSY_ONCE = "4242424242424242", "4000000000000002", "4000000000000341"
ZOE = NewUser(name="Zoë Łuczak", email="zoe@guest.example", password="seven hills")
DAY = date(2030, 6, 7)


class Leaping:
    """A clock on which eleven minutes pass after the first look at it."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.looks = 0

    def now(self) -> datetime:
        self.looks += 1
        return self.clock.now() + timedelta(minutes=11 * min(1, self.looks - 1))


class Site:
    """The running site with one hotel that has one room of a kind."""

    def __init__(self, app: RunningSystem, hotel: Any, post: Any, bank: str, clock: ManualClock) -> None:
        self.app = app
        self.room = hotel.rooms[0]
        self.post = post
        self.bank = bank
        self.clock = clock
        self.reservations = app.client(Reservations)

    def wish(self, number: str = APPROVED, guest: NewUser | None = ZOE, **changes: Any) -> BookingRequest:
        card = Card(number=number, expiry="09/39", cvc="123")
        values: dict[str, Any] = {"room_id": self.room.room_id, "arrival": DAY, "nights": 2, "guests": 2}
        return BookingRequest(card=card, guest=guest, **{**values, **changes})

    async def book(self, wish: BookingRequest | None = None, key: str | None = None) -> Booking:
        with using(key=key):
            return await self.reservations.book(wish or self.wish())

    async def letters(self, count: int) -> list[str]:
        return sorted([(await asyncio.wait_for(self.post.letters.get(), 60))["Subject"] for _ in range(count)])

    async def owner(self) -> User:
        return await self.app.client(Users).enroll(ZOE)

    @asynccontextmanager
    async def signed_in(self) -> AsyncIterator[Reservations]:
        user = await self.owner()
        with using(user=Identity(str(user.user_id), user.name)):
            yield self.reservations

    async def tracked(self, booking_id: UUID) -> Booking:
        """The booking when all that it causes has happened."""
        await self.app.settled(timeout=60)
        async with self.signed_in() as mine:
            return await mine.booking(booking_id)

    async def room_is_free(self) -> bool:
        hold = await self.app.client(Rooms).hold(Stay(room_id=self.room.room_id, arrival=DAY, nights=2, guests=2))
        await self.app.client(Rooms).release(hold)
        return True

    async def kept_by_the_bank(self) -> Decimal:
        async with aiohttp.ClientSession() as http, http.get(f"{self.bank}/statement") as answer:
            lines = msgspec.json.decode(await answer.read())
        return sum((Decimal(line["net"]) for line in lines), Decimal(0))


@pytest.fixture
def site(run: Callable[..., Any], listing: Callable[..., Any], bank: str, post: Any) -> Callable[..., Any]:
    @asynccontextmanager
    async def open_site(count: int = 1) -> AsyncIterator[Site]:
        clock = ManualClock()
        settings = {
            "rooms": {"hotels": 0},
            "users": {"time_cost": 1, "memory_kib": 8, "free_failures": 50},
            "payments": {"bank_url": bank},
            "search": {"partner_url": "http://127.0.0.1:9"},
            "notifications": {"smtp_url": post.url, "site_url": "https://lamplight.example"},
        }
        async with run(*system.services, clock=clock, settings=settings) as app:
            hotel = listing(rooms=[("Double room", 2, count, "80.00")])
            await enter(app.database("rooms"), [hotel])
            yield Site(app, hotel, post, bank, clock)

    return open_site


async def test_a_booking_does_all_that_it_should(site: Callable[..., Any]) -> None:
    async with site() as given:
        booking = await given.book()

        assert booking.status is Status.CONFIRMED
        assert (booking.price.amount, booking.card_last4) == (Decimal("160.00"), "4242")
        told = await given.letters(2)
        record = await given.tracked(booking.booking_id)
        async with given.signed_in() as mine:
            pdf = await mine.receipt(booking.booking_id)
            ledger = await given.app.client(Payments).ledger(booking.booking_id)
            assert [each.booking_id for each in await mine.mine()] == [booking.booking_id]
        found = await given.app.client(Search).find("Lisbon", DAY)

    assert [track.milestone for track in record.tracking][:4] == [
        Milestone.REQUESTED, Milestone.HELD, Milestone.PAID, Milestone.CONFIRMED,
    ]  # fmt: skip
    assert {track.milestone for track in record.tracking[4:]} == {
        Milestone.RECEIPT_ISSUED, Milestone.GUEST_TOLD, Milestone.HOTEL_TOLD,
    }  # fmt: skip
    assert told == [
        "New reservation: Zoë Łuczak, Friday 7 June 2030, 2 nights",
        "Your room in Lisbon is booked: Casa do Rio, Friday 7 June 2030",
    ]
    assert pdf.startswith(b"%PDF")
    assert [line.kind for line in ledger] == [EntryKind.CHARGE]
    assert found.offers == []


async def test_a_declined_card_leaves_nothing_behind(site: Callable[..., Any]) -> None:
    async with site() as given:
        with pytest.raises(CardDeclined):
            await given.book(given.wish(DECLINED))

        [failed] = given.app.published(BookingFailed)
        assert failed.event.booking.reason == "The bank refused the card; nothing was charged."
        assert await given.room_is_free()
        assert await given.kept_by_the_bank() == 0
        async with given.signed_in() as mine:
            (booking,) = await mine.mine()

    assert booking.status is Status.FAILED
    assert [track.milestone for track in booking.tracking] == [
        Milestone.REQUESTED, Milestone.HELD, Milestone.RELEASED, Milestone.FAILED,
    ]  # fmt: skip


async def test_a_hold_that_ran_out_while_the_bank_was_thinking_gives_the_money_back(site: Callable[..., Any]) -> None:
    async with site() as given:
        given.app.service(RoomsService).clock = Leaping(given.clock)
        with pytest.raises(RoomTaken):
            await given.book()

        [failed] = given.app.published(BookingFailed)
        assert failed.event.booking.reason == "The room was no longer kept when the payment came."
        assert Milestone.REFUNDED in {track.milestone for track in failed.event.booking.tracking}
        assert await given.kept_by_the_bank() == 0
        assert await given.room_is_free()


async def test_a_bank_that_is_busy_is_asked_again_until_the_booking_stands(site: Callable[..., Any]) -> None:
    async with site() as given:
        booking = asyncio.ensure_future(given.book(given.wish(BUSY_ONCE)))
        await given.app.eventually(booking.done, timeout=60)

        assert booking.result().status is Status.CONFIRMED
        assert await given.kept_by_the_bank() == Decimal("160.00")


async def test_the_same_request_twenty_times_is_one_booking(site: Callable[..., Any]) -> None:
    async with site(count=5) as given:
        answers = await asyncio.gather(*(given.book(key="the same") for _ in range(20)))

        assert len({answer.booking_id for answer in answers}) == 1
        assert await given.kept_by_the_bank() == Decimal("160.00")
        assert len(await given.letters(2)) == 2


async def test_of_fifty_guests_who_book_the_last_room_one_has_it(site: Callable[..., Any]) -> None:
    async with site() as given:
        wishes = [
            given.wish(guest=NewUser(name=f"Guest {number}", email=f"g{number}@guest.example", password="seven hills"))
            for number in range(50)
        ]
        answers = await asyncio.gather(*(given.book(wish) for wish in wishes), return_exceptions=True)
        assert len(given.app.published(BookingConfirmed)) == 1
        assert len(given.app.published(BookingFailed)) == 49

        assert sum(isinstance(answer, Booking) for answer in answers) == 1
        assert sum(isinstance(answer, RoomTaken) for answer in answers) == 49
        assert await given.kept_by_the_bank() == Decimal("160.00")


async def test_a_cancellation_gives_everything_back(site: Callable[..., Any]) -> None:
    async with site() as given:
        booking = await given.book()
        async with given.signed_in() as mine:
            cancelled = await mine.cancel(booking.booking_id)
            again = await mine.cancel(booking.booking_id)
            ledger = await given.app.client(Payments).ledger(booking.booking_id)

        assert cancelled.status is again.status is Status.CANCELLED
        assert [line.kind for line in ledger] == [EntryKind.CHARGE, EntryKind.REFUND]
        assert await given.kept_by_the_bank() == 0
        assert await given.room_is_free()
        assert "Your booking is cancelled: Casa do Rio, Friday 7 June 2030" in await given.letters(4)


async def test_after_the_day_of_arrival_nothing_is_cancelled(site: Callable[..., Any]) -> None:
    async with site() as given:
        booking = await given.book()
        given.clock._now += timedelta(days=160)
        async with given.signed_in() as mine:
            with pytest.raises(NotCancellable):
                await mine.cancel(booking.booking_id)


async def test_somebody_else_s_booking_is_unknown(site: Callable[..., Any]) -> None:
    async with site() as given:
        booking = await given.book()
        with using(user=Identity(str(uuid4()))):
            for ask in (given.reservations.booking, given.reservations.receipt, given.reservations.cancel):
                with pytest.raises(BookingUnknown):
                    await ask(booking.booking_id)
            assert await given.reservations.mine() == []


async def test_who_is_signed_in_needs_not_say_who_they_are(site: Callable[..., Any]) -> None:
    async with site() as given, given.signed_in() as mine:
        booking = await mine.book(given.wish(guest=None))

    assert booking.guest_email == ZOE.email


async def test_a_request_that_cannot_be_met_is_refused_before_anything_happens(site: Callable[..., Any]) -> None:
    async with site() as given:
        await given.owner()
        for wish, refusal in [
            (given.wish(guest=None), CallError),
            (given.wish(guest=msgspec.structs.replace(ZOE, password="something else")), WrongCredentials),
            (given.wish("4242424242424241"), CardInvalid),
            (given.wish(room_id=uuid4()), RoomUnknown),
            (given.wish(guests=3), CallError),
            (given.wish(arrival=date(2029, 1, 1)), CallError),
        ]:
            with pytest.raises(refusal) as raised:
                await given.book(wish)
            if isinstance(raised.value, CallError):
                assert raised.value.code in {Code.UNAUTHENTICATED, Code.INVALID_ARGUMENT}
        async with given.signed_in() as mine:
            assert await mine.mine() == []


async def test_a_receipt_that_is_not_there_yet_is_pending(site: Callable[..., Any]) -> None:
    async with site() as given:
        with pytest.raises(CardDeclined):
            await given.book(given.wish(DECLINED))
        async with given.signed_in() as mine:
            (booking,) = await mine.mine()
            with pytest.raises(ReceiptPending):
                await mine.receipt(booking.booking_id)


async def test_neither_card_nor_password_is_written_anywhere(
    site: Callable[..., Any], tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with site() as given:
        await given.book()
        await given.letters(2)

    for file in tmp_path.glob("*.db*"):
        content = file.read_bytes()
        assert APPROVED.encode() not in content, file
        assert ZOE.password.encode() not in content, file
    assert APPROVED not in caplog.text
