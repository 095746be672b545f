"""The rows of rooms as they are read, and the messages made of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from uuid import UUID

from hotels.contracts.money import Money
from hotels.contracts.rooms import Hotel, Place, Room, RoomDetails
from meristem import Message


class LockedRoom(Message):
    """What must be known of a room to give it away, read while nobody else can."""

    capacity: int
    count: int
    nightly: Decimal
    currency: str


class Span(Message):
    """The days of a hold; the guest is gone in the night of `departure`."""

    arrival: date
    departure: date


class EndedHold(Message):
    """A hold that was released or has expired."""

    hold_id: UUID
    room_id: UUID
    arrival: date
    departure: date


class RoomRow(Message):
    """A room joined with its hotel."""

    room_id: UUID
    room: str
    capacity: int
    count: int
    nightly: Decimal
    currency: str
    hotel_id: UUID
    hotel: str
    stars: int
    address: str
    latitude: float
    longitude: float
    email: str
    description: str
    amenities: list[str]
    city: str
    country: str
    country_code: str
    city_latitude: float
    city_longitude: float

    def details(self) -> RoomDetails:
        """The row as others know it."""
        room = Room(
            room_id=self.room_id,
            name=self.room,
            capacity=self.capacity,
            count=self.count,
            nightly=Money(amount=self.nightly, currency=self.currency),
        )
        return RoomDetails(room=room, hotel=self._hotel())

    def _hotel(self) -> Hotel:
        place = Place(
            name=self.city,
            country=self.country,
            country_code=self.country_code,
            latitude=self.city_latitude,
            longitude=self.city_longitude,
        )
        return Hotel(
            hotel_id=self.hotel_id,
            name=self.hotel,
            stars=self.stars,
            address=self.address,
            place=place,
            latitude=self.latitude,
            longitude=self.longitude,
            email=self.email,
            description=self.description,
            amenities=self.amenities,
        )


def most_taken(holds: Sequence[Span], nights: Iterable[date]) -> int:
    """How many rooms are held in the fullest of these nights.

    The sum over all holds would be too many: two guests one after the other sleep in the same room.
    """
    return max(sum(hold.arrival <= night < hold.departure for hold in holds) for night in nights)
