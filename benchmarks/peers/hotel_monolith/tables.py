"""Everything that the monolith keeps, in one SQLite file."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, DateTime, ForeignKey, Index, MetaData, Numeric, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

MONEY = Numeric(12, 2)
STAMP = DateTime(timezone=True)


class Base(DeclarativeBase):
    metadata = MetaData()


class Hotel(Base):
    __tablename__ = "hotels"
    hotel_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    stars: Mapped[int]
    address: Mapped[str] = mapped_column(String(200))
    email: Mapped[str] = mapped_column(String(254))
    description: Mapped[str] = mapped_column(Text)
    amenities: Mapped[list[str]] = mapped_column(JSON)
    city: Mapped[str] = mapped_column(String(120))
    country: Mapped[str] = mapped_column(String(120))


class Room(Base):
    """What a search shows is copied here from the hotel, so that it reads one row for each offer."""

    __tablename__ = "rooms"
    room_id: Mapped[UUID] = mapped_column(primary_key=True)
    hotel_id: Mapped[UUID] = mapped_column(ForeignKey("hotels.hotel_id"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    capacity: Mapped[int]
    count: Mapped[int]
    nightly_cents: Mapped[int]
    currency: Mapped[str] = mapped_column(String(3))
    version: Mapped[int] = mapped_column(default=0)  # moves with every hold: who moves it first goes first
    hotel: Mapped[str] = mapped_column(String(200))
    stars: Mapped[int]
    city: Mapped[str] = mapped_column(String(120))
    city_key: Mapped[str] = mapped_column(String(120))
    country: Mapped[str] = mapped_column(String(120))
    __table_args__ = (Index("rooms_by_price", "city_key", "nightly_cents", "room_id"),)


class Night(Base):
    """How many rooms of a kind are held in a night."""

    __tablename__ = "nights"
    room_id: Mapped[UUID] = mapped_column(primary_key=True)
    night: Mapped[date] = mapped_column(primary_key=True)
    taken: Mapped[int]


class Hold(Base):
    __tablename__ = "holds"
    hold_id: Mapped[UUID] = mapped_column(primary_key=True)
    room_id: Mapped[UUID] = mapped_column(ForeignKey("rooms.room_id"))
    arrival: Mapped[date]
    departure: Mapped[date]
    guests: Mapped[int]
    state: Mapped[str] = mapped_column(String(10))
    expires: Mapped[datetime] = mapped_column(STAMP)
    __table_args__ = (Index("holds_of_room", "room_id", "departure"),)


class User(Base):
    __tablename__ = "users"
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str] = mapped_column(String(254), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))


class Session(Base):
    __tablename__ = "sessions"
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"))
    expires: Mapped[datetime] = mapped_column(STAMP)


class Booking(Base):
    __tablename__ = "bookings"
    booking_id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(index=True)
    hold_id: Mapped[UUID]
    status: Mapped[str] = mapped_column(String(12), index=True)
    hotel: Mapped[str] = mapped_column(String(200))
    hotel_address: Mapped[str] = mapped_column(String(200))
    hotel_email: Mapped[str] = mapped_column(String(254))
    city: Mapped[str] = mapped_column(String(120))
    room: Mapped[str] = mapped_column(String(120))
    room_id: Mapped[UUID]
    arrival: Mapped[date]
    nights: Mapped[int]
    guests: Mapped[int]
    amount: Mapped[Decimal] = mapped_column(MONEY)
    currency: Mapped[str] = mapped_column(String(3))
    guest_name: Mapped[str] = mapped_column(String(120))
    guest_email: Mapped[str] = mapped_column(String(254))
    card_last4: Mapped[str] = mapped_column(String(4))
    created: Mapped[datetime] = mapped_column(STAMP)


class Track(Base):
    __tablename__ = "tracking"
    line: Mapped[int] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(ForeignKey("bookings.booking_id"), index=True)
    milestone: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime] = mapped_column(STAMP)
    note: Mapped[str] = mapped_column(String(300), default="")


class Payment(Base):
    __tablename__ = "payments"
    payment_id: Mapped[UUID] = mapped_column(primary_key=True)
    booking_id: Mapped[UUID] = mapped_column(index=True)
    amount: Mapped[Decimal] = mapped_column(MONEY)
    currency: Mapped[str] = mapped_column(String(3))
    bank_reference: Mapped[str] = mapped_column(String(100), unique=True)
    last4: Mapped[str] = mapped_column(String(4))
    taken: Mapped[datetime] = mapped_column(STAMP)


class LedgerLine(Base):
    __tablename__ = "ledger"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    booking_id: Mapped[UUID] = mapped_column(index=True)
    amount: Mapped[Decimal] = mapped_column(MONEY)
    bank_reference: Mapped[str] = mapped_column(String(100))
    entered: Mapped[datetime] = mapped_column(STAMP)
    seal: Mapped[str] = mapped_column(String(64))


class LedgerEnd(Base):
    __tablename__ = "ledger_end"
    only: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[int]
    seal: Mapped[str] = mapped_column(String(64))


class Receipt(Base):
    __tablename__ = "receipts"
    booking_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(String(20), unique=True)
    issued: Mapped[datetime] = mapped_column(STAMP)
    pdf: Mapped[bytes]


class Sequence(Base):
    __tablename__ = "sequences"
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]


class Letter(Base):
    __tablename__ = "letters"
    booking_id: Mapped[UUID] = mapped_column(primary_key=True)
    letter: Mapped[str] = mapped_column(String(20), primary_key=True)
    recipient: Mapped[str] = mapped_column(String(254))
    sent: Mapped[datetime] = mapped_column(STAMP)


class Answer(Base):
    """The first answer to an idempotency key; a row without one belongs to a request that runs."""

    __tablename__ = "answers"
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    request: Mapped[str] = mapped_column(String(64))
    booking_id: Mapped[UUID]
    body: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Job(Base):
    """What remains to be done for a booking, written in the transaction that makes it due."""

    __tablename__ = "jobs"
    job_id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))
    booking_id: Mapped[UUID]
