"""The order that a booking's saga works on: everything that it needs, and nothing of a card but the bank's token."""

from __future__ import annotations

from uuid import UUID

from hotels.contracts.money import Money
from hotels.contracts.payments import CardToken
from hotels.contracts.reservations import BookingRequest
from hotels.contracts.rooms import RoomDetails, Stay
from hotels.contracts.users import User
from meristem import Message


class Order(Message):
    """A wish to book that was looked through; the journal keeps it as it stands here."""

    booking_id: UUID
    guest: User
    hotel: str
    hotel_address: str
    hotel_email: str
    city: str
    room: str
    stay: Stay
    price: Money
    card: CardToken
    intent: UUID | None = None


def make_order(booking_id: UUID, request: BookingRequest, details: RoomDetails, guest: User, card: CardToken) -> Order:
    """Put together what the saga needs."""
    nightly = details.room.nightly
    return Order(
        booking_id=booking_id,
        guest=guest,
        hotel=details.hotel.name,
        hotel_address=details.hotel.address,
        hotel_email=details.hotel.email,
        city=details.hotel.place.name,
        room=details.room.name,
        stay=Stay(room_id=request.room_id, arrival=request.arrival, nights=request.nights, guests=request.guests),
        price=Money(amount=nightly.amount * request.nights, currency=nightly.currency),
        card=card,
        intent=request.intent,
    )
