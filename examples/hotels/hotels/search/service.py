"""Answers searches from the read model, and adds what the partner offers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import final
from uuid import UUID

from hotels.contracts.money import Money
from hotels.contracts.rooms import HotelListed, Room, RoomHeld, RoomReleased
from hotels.contracts.search import City, Offer, Offers, Search, Source
from hotels.search import tables
from hotels.search.folding import fold
from hotels.search.partner import PartnerClient, PartnerOffer
from hotels.stays import check_arrival, nights_of, refused
from meristem import Clock, Database, Message, Service, on

DEAREST = Decimal(10_000_000)  # than any room
LAST_LETTER = "\U0010ffff"


class OwnOffer(Message):
    """A room as the read model gives it."""

    room_id: UUID
    hotel: str
    stars: int
    city: str
    country: str
    room: str
    capacity: int
    nightly_cents: int
    currency: str
    free: int


class KnownCity(Message):
    """A city and its country, written properly."""

    city: str
    country: str


@final
@dataclass
class SearchService(Search, Service, tables=tables.metadata, provides=[PartnerClient]):
    """The read model of rooms, with the partner beside it."""

    partner: PartnerClient
    database: Database
    clock: Clock

    async def find(
        self,
        city: str,
        arrival: date,
        nights: int = 1,
        guests: int = 2,
        max_price: Decimal | None = None,
        limit: int = 50,
    ) -> Offers:
        check_arrival(arrival, self.clock.now().date())
        city_key = fold(city)
        if not city_key:
            raise refused("city", "Name a city.")
        if max_price is not None and not (max_price.is_finite() and max_price >= 0):
            raise refused("max_price", "Give a price of 0 or more.")
        asked = {
            "city_key": city_key,
            "arriving": arrival,
            "leaving": arrival + timedelta(days=nights),
            "guests": guests,
            "dearest": _cents(DEAREST if max_price is None else min(max_price, DEAREST)),
            "most": limit,
        }
        (state, theirs), ours = await asyncio.gather(
            self.partner.offers(city, arrival, nights, guests),
            self.database.fetch_all(tables.FIND, asked, into=OwnOffer),
        )
        place = await self._place(city, city_key, ours)
        offers = [_own(offer, nights) for offer in ours]
        offers += [
            _partners(offer, place, nights, guests)
            for offer in theirs
            if max_price is None or offer.price_per_night <= max_price
        ]
        offers.sort(key=lambda offer: offer.nightly.amount)
        return Offers(
            city=place.city, arrival=arrival, nights=nights, guests=guests, offers=offers[:limit], partner=state
        )

    async def _place(self, city: str, city_key: str, ours: list[OwnOffer]) -> KnownCity:
        """The city as it is properly written; as it was asked for where we know no hotel."""
        if ours:
            return KnownCity(city=ours[0].city, country=ours[0].country)
        known = await self.database.fetch_one(tables.CITY, {"city_key": city_key}, into=KnownCity)
        return known or KnownCity(city=city.strip(), country="")

    async def cities(self, prefix: str = "", limit: int = 10) -> list[City]:
        first = fold(prefix)
        asked = {"first": first, "beyond": first + LAST_LETTER, "most": limit}
        return await self.database.fetch_all(tables.CITIES, asked, into=City)

    @on(HotelListed)
    async def list_hotel(self, event: HotelListed) -> None:
        """Enter a hotel, in place of what was known of it before."""
        hotel = event.hotel
        place = {"city": hotel.place.name, "city_key": fold(hotel.place.name), "country": hotel.place.country}
        shown = {"hotel_id": event.hotel_id, "hotel": hotel.name, "stars": hotel.stars, **place}
        async with self.database.begin() as tx:
            tx.defer(tables.FORGET_ROOMS, {"hotel_id": event.hotel_id})
            tx.defer(tables.FORGET_HOTEL, {"hotel_id": event.hotel_id})
            tx.defer(tables.INSERT_HOTEL, {"hotel_id": event.hotel_id, **place})
            if event.rooms:
                tx.defer(tables.INSERT_ROOM, [{**shown, **_room_columns(room)} for room in event.rooms])

    @on(RoomHeld)
    async def take(self, event: RoomHeld) -> None:
        """One room fewer."""
        await self._count(event.room_id, event.arrival, event.nights, 1)

    @on(RoomReleased)
    async def give_back(self, event: RoomReleased) -> None:
        """One room more."""
        await self._count(event.room_id, event.arrival, event.nights, -1)

    async def _count(self, room_id: UUID, arrival: date, nights: int, change: int) -> None:
        span = {"wanted": room_id, "arriving": arrival, "leaving": arrival + timedelta(days=nights), "change": change}
        async with self.database.begin() as tx:
            tx.defer(tables.OPEN_NIGHT, [{"room_id": room_id, "night": night} for night in nights_of(arrival, nights)])
            tx.defer(tables.COUNT_NIGHTS, span)


def _cents(price: Decimal) -> int:
    return int(price * 100)


def _room_columns(room: Room) -> dict[str, object]:
    return {
        "room_id": room.room_id,
        "room": room.name,
        "capacity": room.capacity,
        "count": room.count,
        "nightly_cents": _cents(room.nightly.amount),
        "currency": room.nightly.currency,
    }


def _own(found: OwnOffer, nights: int) -> Offer:
    nightly = Decimal(found.nightly_cents).scaleb(-2)
    return Offer(
        source=Source.OWN,
        hotel=found.hotel,
        stars=found.stars,
        city=found.city,
        country=found.country,
        room=found.room,
        capacity=found.capacity,
        nightly=Money(amount=nightly, currency=found.currency),
        total=Money(amount=nightly * nights, currency=found.currency),
        free=found.free,
        room_id=found.room_id,
    )


def _partners(found: PartnerOffer, place: KnownCity, nights: int, guests: int) -> Offer:
    nightly = found.price_per_night.quantize(Decimal("0.01"))
    return Offer(
        source=Source.PARTNER,
        hotel=found.hotel,
        stars=found.stars,
        city=place.city,
        country=place.country,
        room=found.room,
        capacity=guests,
        nightly=Money(amount=nightly, currency=found.currency),
        total=Money(amount=nightly * nights, currency=found.currency),
        link=found.url,
    )
