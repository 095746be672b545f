"""A search finds exactly the rooms that are free in every night of the stay."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hotels.contracts.rooms import HotelListed, RoomHeld, RoomReleased
from hotels.contracts.search import PartnerState
from hotels.search import tables
from hotels.search.folding import fold
from hotels.search.partner import Outcome
from hotels.search.service import SearchService
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from meristem import CallError
from meristem.storage.database import database_for
from meristem.testing import ManualClock

DAY = date(2030, 6, 7)


class NoPartner:
    """A partner without offers."""

    async def offers(self, city: str, arrival: date, nights: int, guests: int) -> Outcome:
        return PartnerState.ANSWERED, []


@asynccontextmanager
async def searching(*listings: HotelListed) -> AsyncIterator[SearchService]:
    database = database_for("sqlite://", name="search")
    await database.start()
    try:
        await database.create(tables.metadata)
        service = SearchService(NoPartner(), database, ManualClock())  # type: ignore[arg-type]
        for listing in listings:
            await service.list_hotel(listing)
        yield service
    finally:
        await database.stop()


stays = st.tuples(st.integers(0, 8), st.integers(1, 5))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(count=st.integers(1, 3), held=st.lists(stays, max_size=8), released=st.sets(st.integers(0, 7)), asked=stays)
def test_a_search_agrees_with_counting_by_hand(
    listing: Callable[..., HotelListed],
    count: int,
    held: list[tuple[int, int]],
    released: set[int],
    asked: tuple[int, int],
) -> None:
    hotel = listing(rooms=[("Double room", 2, count, "80.00")])
    room_id = hotel.rooms[0].room_id

    async def search() -> list[int | None]:
        async with searching(hotel) as service:
            for number, (after, nights) in enumerate(held):
                facts: Any = {"room_id": room_id, "hold_id": uuid4(), "arrival": DAY + timedelta(after)}
                await service.take(RoomHeld(nights=nights, **facts))
                if number in released:
                    await service.give_back(RoomReleased(nights=nights, **facts))
            found = await service.find("Lisbon", DAY + timedelta(asked[0]), asked[1])
            return [offer.free for offer in found.offers]

    taken = Counter(
        after + night
        for number, (after, nights) in enumerate(held)
        if number not in released
        for night in range(nights)
    )
    left = count - max(taken[asked[0] + night] for night in range(asked[1]))
    assert asyncio.run(search()) == ([left] if left > 0 else [])


async def test_offers_fit_the_party_and_the_purse_cheapest_first(listing: Callable[..., HotelListed]) -> None:
    rooms = [
        ("Suite", 4, 1, "300.00"),
        ("Single room", 1, 1, "40.00"),
        ("Twin room", 2, 1, "80.00"),
        ("Family", 4, 1, "99.99"),
    ]
    async with searching(listing(rooms=rooms)) as service:
        found = await service.find("Lisbon", DAY, nights=3, guests=2, max_price=Decimal("100.00"))
        dearest = await service.find("Lisbon", DAY, max_price=Decimal(10) ** 30)
        first = await service.find("Lisbon", DAY, limit=1)

    assert [(offer.room, offer.total.amount) for offer in found.offers] == [
        ("Twin room", Decimal("240.00")),
        ("Family", Decimal("299.97")),
    ]
    assert len(dearest.offers) == 3
    assert [offer.room for offer in first.offers] == ["Twin room"]


@pytest.mark.parametrize("written", ["kraków", "KRAKOW", " Krakow ", "krako\u0301w"])
async def test_a_city_is_found_however_it_is_written(listing: Callable[..., HotelListed], written: str) -> None:
    async with searching(listing(city="Kraków", country="Poland")) as service:
        found = await service.find(written, DAY)

    assert (found.city, len(found.offers)) == ("Kraków", 1)


async def test_an_unknown_city_has_no_offers(listing: Callable[..., HotelListed]) -> None:
    async with searching(listing()) as service:
        found = await service.find(" Atlantis ", DAY)

    assert (found.city, found.offers) == ("Atlantis", [])


@pytest.mark.parametrize(
    ("city", "arrival", "field"),
    [("Lisbon", date(2029, 12, 31), "arrival"), ("Lisbon", date(9999, 12, 31), "arrival"), (" ! ", DAY, "city")],
)
async def test_a_search_that_makes_no_sense_is_refused_with_the_field(
    listing: Callable[..., HotelListed], city: str, arrival: date, field: str
) -> None:
    async with searching(listing()) as service:
        with pytest.raises(CallError) as refusal:
            await service.find(city, arrival)

    assert [violation.field for violation in refusal.value.violations] == [field]


@pytest.mark.parametrize("price", ["-0.01", "NaN", "Infinity"])
async def test_a_price_that_is_none_is_refused(listing: Callable[..., HotelListed], price: str) -> None:
    async with searching(listing()) as service:
        with pytest.raises(CallError) as refusal:
            await service.find("Lisbon", DAY, max_price=Decimal(price))

    assert [violation.field for violation in refusal.value.violations] == ["max_price"]


async def test_a_listing_replaces_the_earlier_one(listing: Callable[..., HotelListed]) -> None:
    async with searching(listing(), listing(rooms=[("Single room", 1, 2, "50.00")])) as service:
        found = await service.find("Lisbon", DAY, guests=1)

    assert [offer.room for offer in found.offers] == ["Single room"]


async def test_cities_are_offered_by_the_beginning_of_their_name(listing: Callable[..., HotelListed]) -> None:
    listings = [
        listing("A", "Lisbon"),
        listing("B", "Lisbon"),
        listing("C", "Lille", "France"),
        listing("D", "Łódź", "Poland"),
        listing("E", "Oslo", "Norway"),
    ]
    async with searching(*listings) as service:
        assert [(city.name, city.hotels) for city in await service.cities("li")] == [("Lisbon", 2), ("Lille", 1)]
        assert [city.name for city in await service.cities("lod")] == ["Łódź"]
        assert [city.name for city in await service.cities("", limit=1)] == ["Lisbon"]
        assert await service.cities("x") == []


@pytest.mark.sqlite
async def test_a_search_walks_indexes_and_sorts_nothing(listing: Callable[..., HotelListed]) -> None:
    compiled = tables.FIND.compile(dialect=sqlite.dialect(paramstyle="named"))
    values = {"city_key": "x", "dearest": 1, "guests": 1, "most": 1, "arriving": "2030-01-01", "leaving": "2030-01-02"}
    given_values = {name: values.get(name, 0) for name in compiled.params}
    async with searching(listing()) as service:
        plan = await service.database.fetch_all(text(f"EXPLAIN QUERY PLAN {compiled}"), given_values)

    steps = " ".join(str(step["detail"]) for step in plan)
    assert "rooms_by_price" in steps
    assert "SCAN" not in steps
    assert "TEMP B-TREE" not in steps


def test_folding_leaves_letters_and_digits() -> None:
    assert [fold(name) for name in ("São  Paulo", "Saint-Denis", "Xi'an", "ÅRHUS", "Straße", "Ø")] == [
        "sao paulo", "saint denis", "xian", "arhus", "strasse", "o",
    ]  # fmt: skip
