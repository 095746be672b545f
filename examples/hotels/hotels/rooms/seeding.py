"""Fills an empty catalogue at the first start; one that was interrupted goes on where it stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

from hotels.contracts.money import Money
from hotels.contracts.rooms import Hotel, HotelListed, Place, Room
from hotels.rooms import tables
from meristem import Database, IntegrityViolation, Progress

if TYPE_CHECKING:
    from hotels.rooms import catalogue

BATCH = 100


async def seed(database: Database, progress: Progress, count: int) -> None:
    """See to it that the catalogue holds `count` hotels; does nothing when it does."""
    if await database.fetch_value(tables.COUNT_HOTELS) >= count:
        return
    from hotels.rooms import catalogue  # noqa: PLC0415 - the cities of the world, for a first start alone

    listed = set(await database.fetch_all(tables.HOTEL_IDS, into=UUID))
    cities = await asyncio.to_thread(catalogue.cities)
    batch: list[HotelListed] = []
    building = catalogue.hotels(count=count, among=cities)
    for hotel in progress.track(building, f"Building {count:,} hotels", total=count):
        if hotel.id not in listed:
            batch.append(_listing(hotel))
        if len(batch) == BATCH:
            await _enter_new(database, batch)
            batch = []
    await _enter_new(database, batch)


async def _enter_new(database: Database, listings: list[HotelListed]) -> None:
    """Enter hotels, but for those that another replica, which starts at the same time, has entered meanwhile."""
    try:
        await enter(database, listings)
    except IntegrityViolation:
        listed = set(await database.fetch_all(tables.HOTEL_IDS, into=UUID))
        left = [each for each in listings if each.hotel_id not in listed]
        if len(left) == len(listings):
            raise  # it was none of these hotels
        await _enter_new(database, left)


async def enter(database: Database, listings: list[HotelListed]) -> None:
    """Enter hotels into the catalogue and tell everybody, both or neither."""
    if not listings:
        return
    async with database.begin() as tx:
        await tx.execute(tables.INSERT_HOTEL, [_hotel_row(listing.hotel) for listing in listings])
        await tx.execute(
            tables.INSERT_ROOM, [_room_row(listing.hotel_id, room) for listing in listings for room in listing.rooms]
        )
        for listing in listings:
            await tx.publish(listing)


def _listing(made: catalogue.Hotel) -> HotelListed:
    hotel = Hotel(
        hotel_id=made.id,
        name=made.name,
        stars=made.stars,
        address=made.address,
        place=Place(
            name=made.city.name,
            country=made.city.country,
            country_code=made.city.country_code,
            latitude=made.city.latitude,
            longitude=made.city.longitude,
        ),
        latitude=made.latitude,
        longitude=made.longitude,
        email=made.email,
        description=made.description,
        amenities=list(made.amenities),
    )
    rooms = [
        Room(
            room_id=room.id,
            name=room.name,
            capacity=room.capacity,
            count=room.count,
            nightly=Money(amount=room.price, currency=room.currency),
        )
        for room in made.rooms
    ]
    return HotelListed(hotel_id=hotel.hotel_id, hotel=hotel, rooms=rooms)


def _hotel_row(hotel: Hotel) -> dict[str, object]:
    return {
        "hotel_id": hotel.hotel_id,
        "name": hotel.name,
        "stars": hotel.stars,
        "address": hotel.address,
        "latitude": hotel.latitude,
        "longitude": hotel.longitude,
        "email": hotel.email,
        "description": hotel.description,
        "amenities": hotel.amenities,
        "city": hotel.place.name,
        "country": hotel.place.country,
        "country_code": hotel.place.country_code,
        "city_latitude": hotel.place.latitude,
        "city_longitude": hotel.place.longitude,
    }


def _room_row(hotel_id: UUID, room: Room) -> dict[str, object]:
    return {
        "room_id": room.room_id,
        "hotel_id": hotel_id,
        "name": room.name,
        "capacity": room.capacity,
        "count": room.count,
        "nightly": room.nightly.amount,
        "currency": room.nightly.currency,
    }
