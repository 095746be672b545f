"""The truth about hotels, rooms and who holds them."""

from datetime import date, datetime
from typing import Annotated, Protocol
from uuid import UUID

from msgspec import Meta

from hotels.contracts.money import Money
from meristem import Code, Contract, Event, Fault, Message, once, safe

Nights = Annotated[int, Meta(ge=1, le=30)]
Guests = Annotated[int, Meta(ge=1, le=8)]


class RoomUnknown(Fault, code=Code.NOT_FOUND):
    """There is no such room."""

    room_id: UUID


class RoomTaken(Fault, code=Code.FAILED_PRECONDITION, status=409):
    """The last room for these nights has just been taken."""

    room_id: UUID


class HoldUnknown(Fault, code=Code.NOT_FOUND):
    """There is no such hold, or it has expired."""

    hold_id: UUID


class Place(Message):
    """A city as the world knows it."""

    name: str
    country: str
    country_code: str
    latitude: float
    longitude: float


class Hotel(Message):
    """A hotel and where it stands."""

    hotel_id: UUID
    name: str
    stars: int
    address: str
    place: Place
    latitude: float
    longitude: float
    email: str
    description: str
    amenities: list[str]


class Room(Message):
    """A kind of room in a hotel, of which there are `count`."""

    room_id: UUID
    name: str
    capacity: int
    count: int
    nightly: Money


class RoomDetails(Message):
    """A room together with its hotel."""

    room: Room
    hotel: Hotel


class Stay(Message):
    """The wish to sleep in a room for some nights."""

    room_id: UUID
    arrival: date
    nights: Nights
    guests: Guests


class Hold(Message):
    """A room kept for a guest; until it is confirmed it expires."""

    hold_id: UUID
    stay: Stay
    price: Money
    expires: datetime


class HotelListed(Event, package="hotels.rooms.v1", key="hotel_id"):
    """A hotel entered the catalogue, or its entry changed."""

    hotel_id: UUID
    hotel: Hotel
    rooms: list[Room]


class RoomHeld(Event, package="hotels.rooms.v1", key="room_id"):
    """One room fewer is free for these nights."""

    room_id: UUID
    hold_id: UUID
    arrival: date
    nights: Nights


class RoomReleased(Event, package="hotels.rooms.v1", key="room_id"):
    """One room more is free for these nights."""

    room_id: UUID
    hold_id: UUID
    arrival: date
    nights: Nights


class Rooms(Contract, Protocol, package="hotels.rooms.v1"):
    """Knows every hotel and room, and gives a room to one guest at a time."""

    @safe(raises=[RoomUnknown])
    async def room(self, room_id: UUID) -> RoomDetails:
        """A room and its hotel."""
        ...

    @once(raises=[RoomUnknown, RoomTaken])
    async def hold(self, stay: Stay) -> Hold:
        """Keep a room for some minutes; a hold that is not confirmed expires."""
        ...

    @once(raises=[HoldUnknown])
    async def confirm(self, hold_id: UUID) -> None:
        """Keep the room for good; refused when the hold has expired."""
        ...

    @once
    async def release(self, hold: Hold) -> None:
        """Give the room back; a hold that is gone already is no error."""
        ...
