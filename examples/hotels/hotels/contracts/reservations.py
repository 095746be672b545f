"""Booking a room: what ties the services together, and the record of each reservation."""

from datetime import date, datetime
from enum import Enum
from typing import Protocol
from uuid import UUID

from hotels.contracts.money import Money
from hotels.contracts.payments import Card, CardDeclined, CardInvalid
from hotels.contracts.rooms import Guests, Nights, RoomTaken, RoomUnknown
from hotels.contracts.users import NewUser, TooManyAttempts, WrongCredentials
from meristem import Code, Contract, Event, Fault, Message, once, safe


class BookingUnknown(Fault, code=Code.NOT_FOUND):
    """You have no such booking."""

    booking_id: UUID


class NotCancellable(Fault, code=Code.FAILED_PRECONDITION, status=409):
    """The stay has begun; it cannot be cancelled any more."""

    booking_id: UUID


class AlreadyBooked(Fault, code=Code.ALREADY_EXISTS):
    """You have this booking already; nothing was charged again."""

    booking_id: UUID


class ReceiptPending(Fault, code=Code.NOT_FOUND):
    """The receipt is still being prepared; ask again in a moment."""

    booking_id: UUID


class Status(Enum):
    """How far a booking has come."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"


class Milestone(Enum):
    """What is recorded of a reservation, in the usual order."""

    REQUESTED = "requested"
    HELD = "held"
    PAID = "paid"
    CONFIRMED = "confirmed"
    RECEIPT_ISSUED = "receipt_issued"
    GUEST_TOLD = "guest_told"
    HOTEL_TOLD = "hotel_told"
    FAILED = "failed"
    REFUNDED = "refunded"
    RELEASED = "released"
    CANCELLED = "cancelled"


class Track(Message):
    """One line of the tracking record."""

    milestone: Milestone
    at: datetime
    note: str = ""


class BookingRequest(Message):
    """The wish to book a room and pay for it.

    `guest` may be left out by somebody who is signed in; else an account is opened, or authenticated, for them.
    `intent` names what the guest means to do once, however often and from wherever it is sent: while a booking of
    theirs with this intent is under way or made, another is refused. One that failed or was cancelled leaves it free.
    """

    room_id: UUID
    arrival: date
    nights: Nights
    guests: Guests
    card: Card
    guest: NewUser | None = None
    intent: UUID | None = None


class Booking(Message):
    """A reservation and everything that happened to it."""

    booking_id: UUID
    status: Status
    hotel: str
    hotel_address: str
    hotel_email: str
    city: str
    room: str
    room_id: UUID
    arrival: date
    nights: int
    guests: int
    price: Money
    guest_name: str
    guest_email: str
    card_last4: str = ""
    reason: str = ""
    tracking: list[Track] = []


class BookingConfirmed(Event, package="hotels.reservations.v1", key="booking_id"):
    """A room was booked and paid for."""

    booking_id: UUID
    booking: Booking


class BookingCancelled(Event, package="hotels.reservations.v1", key="booking_id"):
    """A booking was cancelled, its money given back and its room released."""

    booking_id: UUID
    booking: Booking


class BookingFailed(Event, package="hotels.reservations.v1", key="booking_id"):
    """A booking could not be made; whatever had been done was undone."""

    booking_id: UUID
    booking: Booking


class Reservations(Contract, Protocol, package="hotels.reservations.v1"):
    """Books rooms: a booking ends either complete or undone, whatever fails on its way."""

    @once(
        http="POST /bookings",
        status=201,
        raises=[RoomUnknown, RoomTaken, CardDeclined, CardInvalid, WrongCredentials, TooManyAttempts, AlreadyBooked],
        timeout=30.0,
    )
    async def book(self, request: BookingRequest) -> Booking:
        """Book a room: hold it, take the money, confirm; receipt and mails follow."""
        ...

    @safe(http="GET /bookings", authenticated=True)
    async def mine(self) -> list[Booking]:
        """Your bookings, newest first."""
        ...

    @safe(http="GET /bookings/{booking_id}", raises=[BookingUnknown], authenticated=True)
    async def booking(self, booking_id: UUID) -> Booking:
        """One of your bookings with its tracking record."""
        ...

    @safe(authenticated=True)
    async def intended(self, intent: UUID) -> Booking | None:
        """Your booking with this intent, under way or made; None while there is none."""
        ...

    @safe(
        http="GET /bookings/{booking_id}/receipt.pdf",
        media="application/pdf",
        raises=[BookingUnknown, ReceiptPending],
        authenticated=True,
    )
    async def receipt(self, booking_id: UUID) -> bytes:
        """The receipt of one of your bookings."""
        ...

    @once(
        http="DELETE /bookings/{booking_id}",
        raises=[BookingUnknown, NotCancellable],
        authenticated=True,
        timeout=30.0,
    )
    async def cancel(self, booking_id: UUID) -> Booking:
        """Cancel a booking: the money is given back and the room released."""
        ...
