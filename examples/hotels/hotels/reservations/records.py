"""The record of each reservation: the booking, how far it has come, and every milestone on its way."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

import msgspec

from hotels.contracts.money import Money
from hotels.contracts.payments import Payment
from hotels.contracts.reservations import AlreadyBooked, Booking, Milestone, Status, Track
from hotels.contracts.rooms import Hold
from hotels.reservations import tables
from hotels.reservations.orders import Order
from meristem import Clock, Database, IntegrityViolation, Message

LONGEST_NOTE = 300


class BookingRow(Message):
    """A booking as it is stored."""

    booking_id: UUID
    user_id: UUID
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
    amount: Decimal
    currency: str
    guest_name: str
    guest_email: str
    card_last4: str
    reason: str

    def booking(self, tracking: list[Track]) -> Booking:
        """The booking as its guest sees it."""
        columns = msgspec.structs.asdict(self)
        price = Money(amount=columns.pop("amount"), currency=columns.pop("currency"))
        del columns["user_id"]
        return Booking(price=price, tracking=tracking, **columns)


class Kept(Message):
    """What a cancellation gives back."""

    hold: Hold | None
    payment: Payment | None


class Line(Message):
    """A line of the tracking record as it is stored."""

    booking_id: UUID
    milestone: Milestone
    at: datetime
    note: str

    def track(self) -> Track:
        """The line as the guest sees it."""
        return Track(milestone=self.milestone, at=self.at, note=self.note)


@dataclass
class Records:
    """Reads and writes the record; every write joins the current unit of work."""

    database: Database
    clock: Clock

    async def owned(self, booking_id: UUID, user_id: UUID | None) -> Booking | None:
        """A booking, if it exists and belongs to this user; None as the user asks for every owner's."""
        row = await self.database.fetch_one(tables.BOOKING, {"booking_id": booking_id}, into=BookingRow)
        if row is None or user_id not in {None, row.user_id}:
            return None
        return row.booking(await self._tracks(booking_id))

    async def intended(self, user_id: UUID, intent: UUID) -> UUID | None:
        """The booking that a user has with this intent, under way or made."""
        asked = {"user_id": user_id, "intent": intent}
        found: UUID | None = await self.database.fetch_value(tables.INTENDED, asked)
        return found

    async def existing(self, booking_id: UUID) -> Booking:
        """A booking that is known to exist."""
        found = await self.owned(booking_id, None)
        if found is None:
            raise LookupError(f"booking {booking_id} is not in the record")
        return found

    async def all_of(self, user_id: UUID) -> list[Booking]:
        """A user's bookings, newest first."""
        tracks: dict[UUID, list[Track]] = defaultdict(list)
        rows = await self.database.fetch_all(tables.BOOKINGS_OF, {"user_id": user_id}, into=BookingRow)
        for line in await self.database.fetch_all(tables.TRACKING_OF, {"user_id": user_id}, into=Line):
            tracks[line.booking_id].append(line.track())
        return [row.booking(tracks[row.booking_id]) for row in rows]

    async def open(self, order: Order) -> None:
        """Write down a booking that is about to be made; raises AlreadyBooked for an intent that has its booking."""
        async with self.database.begin() as tx:
            if order.intent is None:
                tx.defer(tables.INSERT_BOOKING, _row(order, self.clock.now()))
            else:
                await self._open_once(order)
        await self.add(order.booking_id, Milestone.REQUESTED)

    async def _open_once(self, order: Order) -> None:
        """As `open`, for the only booking of its intent."""
        asked = {"user_id": order.guest.user_id, "intent": order.intent}
        async with self.database.begin() as tx:
            # In this very transaction: beside it, two would both find nothing.
            standing: UUID | None = await tx.fetch_value(tables.INTENDED, asked)
            if standing is None:
                try:
                    async with self.database.begin():
                        await tx.execute(tables.INSERT_BOOKING, _row(order, self.clock.now()))
                except IntegrityViolation:  # a database server runs both at once: the other one was faster
                    standing = await tx.fetch_value(tables.INTENDED, asked)
                    if standing is None:
                        raise
        if standing is not None:
            raise AlreadyBooked(booking_id=standing)

    async def add(self, booking_id: UUID, milestone: Milestone, note: str = "") -> None:
        """Add a milestone."""
        line = {"booking_id": booking_id, "milestone": milestone.value, "at": self.clock.now()}
        async with self.database.begin() as tx:
            tx.defer(tables.INSERT_LINE, {**line, "note": note[:LONGEST_NOTE]})

    async def explain(self, booking_id: UUID, reason: str) -> None:
        """Write down why a booking fails."""
        async with self.database.begin() as tx:
            tx.defer(tables.SET_REASON, {"wanted": booking_id, "why": reason[:LONGEST_NOTE]})

    async def confirm(self, booking_id: UUID, hold: Hold, payment: Payment) -> Booking:
        """A pending booking becomes a confirmed one; any other stays as it is."""
        made = {"paid": payment.amount.amount, "held": hold, "payment_made": payment}
        async with self.database.begin() as tx:
            row = await tx.fetch_one(tables.CONFIRM, {"wanted": booking_id, **made}, into=BookingRow)
            if row is None:
                return await self.existing(booking_id)
            await self.add(booking_id, Milestone.CONFIRMED)
            return row.booking(await self._tracks(booking_id))

    async def move(self, booking_id: UUID, before: Status, after: Status) -> bool:
        """Change the status of a booking, which frees its intent; False when it wasn't `before`."""
        async with self.database.begin() as tx:
            change = {"wanted": booking_id, "before": before.value, "after": after.value}
            return (await tx.execute(tables.MOVE, change)).rowcount == 1

    async def kept(self, booking_id: UUID) -> Kept:
        """What must be given back when a booking is cancelled."""
        found = await self.database.fetch_one(tables.KEPT, {"booking_id": booking_id}, into=Kept)
        return found or Kept(hold=None, payment=None)

    async def _tracks(self, booking_id: UUID) -> list[Track]:
        lines = await self.database.fetch_all(tables.TRACKING, {"booking_id": booking_id}, into=Line)
        return [line.track() for line in lines]


def _row(order: Order, created: datetime) -> dict[str, object]:
    return {
        "booking_id": order.booking_id,
        "user_id": order.guest.user_id,
        "status": Status.PENDING.value,
        "hotel": order.hotel,
        "hotel_address": order.hotel_address,
        "hotel_email": order.hotel_email,
        "city": order.city,
        "room": order.room,
        "room_id": order.stay.room_id,
        "arrival": order.stay.arrival,
        "nights": order.stay.nights,
        "guests": order.stay.guests,
        "amount": order.price.amount,
        "currency": order.price.currency,
        "guest_name": order.guest.name,
        "guest_email": order.guest.email,
        "card_last4": order.card.last4,
        "created": created,
        "intent": order.intent,
    }
