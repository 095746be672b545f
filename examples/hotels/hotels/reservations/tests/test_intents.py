"""What a guest means to do once is booked and charged once, by whatever ways and however often it is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hotels.contracts.payments import CardDeclined
from hotels.contracts.reservations import AlreadyBooked, Booking
from hotels.contracts.users import NewUser
from hotels.reservations.tests.test_booking import DECLINED, site

__all__ = ["site"]


async def test_an_intent_is_booked_and_charged_once_under_any_number_of_keys(site: Callable[..., Any]) -> None:
    async with site(count=5) as given:
        wish = given.wish(intent=uuid4())
        answers = await asyncio.gather(*(given.book(wish, f"key {n}") for n in range(10)), return_exceptions=True)

        (booking,) = [each for each in answers if isinstance(each, Booking)]
        assert {each.booking_id for each in answers if isinstance(each, AlreadyBooked)} == {booking.booking_id}
        assert sum(isinstance(each, AlreadyBooked) for each in answers) == 9
        assert await given.kept_by_the_bank() == Decimal("160.00")
        async with given.signed_in() as mine:
            assert [each.booking_id for each in await mine.mine()] == [booking.booking_id]
            found = await mine.intended(wish.intent)
            assert found is not None
            assert found.booking_id == booking.booking_id
            assert await mine.intended(uuid4()) is None


async def test_a_booking_that_failed_or_was_cancelled_leaves_its_intent_free(site: Callable[..., Any]) -> None:
    async with site() as given:
        intent = uuid4()
        with pytest.raises(CardDeclined):
            await given.book(given.wish(DECLINED, intent=intent))
        first = await given.book(given.wish(intent=intent))
        async with given.signed_in() as mine:
            await mine.cancel(first.booking_id)
            assert await mine.intended(intent) is None
        second = await given.book(given.wish(intent=intent))

    assert second.booking_id != first.booking_id


async def test_the_intents_of_two_guests_never_meet(site: Callable[..., Any]) -> None:
    async with site(count=2) as given:
        intent = uuid4()
        first = await given.book(given.wish(intent=intent))
        other = NewUser(name="Ada", email="ada@guest.example", password="seven hills")
        second = await given.book(given.wish(intent=intent, guest=other))

    assert {first.guest_name, second.guest_name} == {"Zoë Łuczak", "Ada"}
