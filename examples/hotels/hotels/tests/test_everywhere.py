"""The whole site by its contracts alone, so that it may run anywhere: `meristem check --divided` runs it everywhere."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hotels.contracts.payments import Card, CardDeclined, EntryKind, Payments
from hotels.contracts.reservations import Booking, BookingRequest, Milestone, Reservations, Status
from hotels.contracts.rooms import RoomTaken
from hotels.contracts.search import Offer, Search
from hotels.contracts.users import NewUser, Users
from hotels.system import SERVICES

from meristem import Identity, System, using
from meristem.testing import RunningSystem, running

APPROVED, DECLINED = "4242424242424242", "4000000000000002"
ADA = NewUser(name="Ada Lovelace", email="ada@guest.example", password="analytical engine")
EVE = NewUser(name="Eve Stranger", email="eve@guest.example", password="another engine")
DAY = date.today() + timedelta(days=40)  # noqa: DTZ011 - a stay in the near future, whatever the zone
site = System("hotels", services=SERVICES)


@pytest.fixture
async def app(bank: str, post: Any, tmp_path: Path) -> AsyncIterator[RunningSystem]:
    settings = {
        "rooms": {"hotels": 55},
        "users": {"time_cost": 1, "memory_kib": 8},
        "payments": {"bank_url": bank, "bank_timeout": 9.0},  # a busy machine is no outage
        "search": {"partner_url": "http://127.0.0.1:9"},
        "notifications": {"smtp_url": post.url, "site_url": "https://lamplight.example"},
    }
    async with running(site, settings=settings, database=f"sqlite:///{tmp_path}/{{service}}.db") as system:
        await system.settled(timeout=60)
        yield system


async def cheapest(app: RunningSystem) -> Offer:
    """The cheapest room in the city with most hotels."""
    city, *_ = await app.client(Search).cities()
    return (await app.client(Search).find(city.name, DAY)).offers[0]


async def book(app: RunningSystem, offer: Offer, number: str = APPROVED, guest: NewUser = ADA) -> Booking:
    assert offer.room_id is not None
    card = Card(number=number, expiry="09/39", cvc="123")
    return await app.client(Reservations).book(
        BookingRequest(card=card, guest=guest, room_id=offer.room_id, arrival=DAY, nights=2, guests=2)
    )


async def identity(app: RunningSystem, guest: NewUser = ADA) -> Identity:
    user = await app.client(Users).enroll(guest)
    return Identity(str(user.user_id), user.name)


async def record(app: RunningSystem, booking_id: UUID) -> Booking:
    """The booking when all that it causes has happened."""
    await app.settled(timeout=60)
    with using(user=await identity(app)):
        return await app.client(Reservations).booking(booking_id)


async def test_a_booking_is_paid_told_and_can_be_cancelled(app: RunningSystem) -> None:
    booking = await book(app, await cheapest(app))

    done = await record(app, booking.booking_id)
    assert done.status is Status.CONFIRMED
    assert {Milestone.PAID, Milestone.RECEIPT_ISSUED, Milestone.GUEST_TOLD} <= {
        each.milestone for each in done.tracking
    }
    with using(user=await identity(app)):
        await app.client(Reservations).cancel(booking.booking_id)
    assert (await record(app, booking.booking_id)).status is Status.CANCELLED
    ledger = await app.client(Payments).ledger(booking.booking_id)
    assert [each.kind for each in ledger] == [EntryKind.CHARGE, EntryKind.REFUND]


async def test_a_declined_card_leaves_the_room_to_others(app: RunningSystem) -> None:
    offer = await cheapest(app)
    with pytest.raises(CardDeclined):
        await book(app, offer, DECLINED)

    await app.settled(timeout=60)
    assert await cheapest(app) == offer


async def test_a_room_is_booked_no_oftener_than_there_are_rooms(app: RunningSystem) -> None:
    offer = await cheapest(app)
    assert offer.free is not None
    for _ in range(offer.free):
        await book(app, offer)

    with pytest.raises(RoomTaken):
        await book(app, offer, guest=EVE)
