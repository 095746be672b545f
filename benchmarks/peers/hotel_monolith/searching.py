"""Search: our own rooms by SQL, and the partner's over HTTP beside it within 300 ms."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import httpx
from hotels.search.folding import fold
from pydantic import ValidationError
from sqlalchemy import Row, func, select

from benchmarks.peers.hotel_monolith.shapes import Money, Offer, Offers, PartnerAnswer, PartnerOffer
from benchmarks.peers.hotel_monolith.store import Store
from benchmarks.peers.hotel_monolith.tables import Night, Room

BUDGET = 0.3


async def find(
    store: Store, http: httpx.AsyncClient, partner: str, city: str, arrival: date, nights: int, guests: int, limit: int
) -> Offers:
    """Our offers and the partner's, cheapest first."""
    asking = asyncio.create_task(_partner(http, partner, city, arrival, nights, guests))
    rows = await _own(store, fold(city), arrival, nights, guests, limit)
    state, theirs = await asking
    place = (rows[0].city, rows[0].country) if rows else (city, "")
    offers = [_own_offer(row, nights) for row in rows] + [_partners(each, place, nights, guests) for each in theirs]
    offers.sort(key=lambda offer: offer.nightly.amount)
    return Offers(city=place[0], arrival=arrival, nights=nights, guests=guests, offers=offers[:limit], partner=state)  # type: ignore[arg-type]


async def _own(store: Store, city_key: str, arrival: date, nights: int, guests: int, limit: int) -> list[Row[Any]]:
    stay = (Night.room_id == Room.room_id, Night.night >= arrival, Night.night < arrival + timedelta(days=nights))
    taken = select(func.max(Night.taken)).where(*stay).correlate(Room).scalar_subquery()
    full = select(Night.room_id).where(*stay, Night.taken >= Room.count).correlate(Room).exists()
    statement = (
        select(
            Room.room_id, Room.hotel, Room.stars, Room.city, Room.country, Room.name, Room.capacity,
            Room.nightly_cents, Room.currency, (Room.count - func.coalesce(taken, 0)).label("free"),
        )
        .where(Room.city_key == city_key, Room.capacity >= guests, Room.count > 0, ~full)
        .order_by(Room.nightly_cents, Room.room_id)
        .limit(limit)
    )  # fmt: skip
    async with store.reading() as session:
        return list((await session.execute(statement)).all())


async def _partner(
    http: httpx.AsyncClient, url: str, city: str, arrival: date, nights: int, guests: int
) -> tuple[str, list[PartnerOffer]]:
    stay = {"city": city, "arrival": arrival.isoformat(), "nights": nights, "guests": guests}
    try:
        async with asyncio.timeout(BUDGET):
            response = await http.get(f"{url}/offers", params=stay)
        return "answered", PartnerAnswer.model_validate_json(response.raise_for_status().content).offers
    except TimeoutError:
        return "slow", []
    except (httpx.HTTPError, ValidationError):
        return "down", []


def _own_offer(row: Row[Any], nights: int) -> Offer:
    nightly = Decimal(row.nightly_cents).scaleb(-2)
    return Offer(
        source="own",
        hotel=row.hotel,
        stars=row.stars,
        city=row.city,
        country=row.country,
        room=row.name,
        capacity=row.capacity,
        nightly=Money(amount=nightly, currency=row.currency),
        total=Money(amount=nightly * nights, currency=row.currency),
        free=row.free,
        room_id=row.room_id,
    )


def _partners(found: PartnerOffer, place: tuple[str, str], nights: int, guests: int) -> Offer:
    nightly = found.price_per_night.quantize(Decimal("0.01"))
    return Offer(
        source="partner",
        hotel=found.hotel,
        stars=found.stars,
        city=place[0],
        country=place[1],
        room=found.room,
        capacity=guests,
        nightly=Money(amount=nightly, currency=found.currency),
        total=Money(amount=nightly * nights, currency=found.currency),
        link=found.url,
    )
