"""The tables of notifications, and every statement that reads or writes them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    MetaData,
    String,
    Table,
    Uuid,
    bindparam,
    insert,
    select,
    true,
    update,
)

metadata = MetaData()

# What is known of a booking so far; the receipt may be known before the booking.
bookings = Table(
    "bookings",
    metadata,
    Column("booking_id", Uuid, primary_key=True),
    Column("booking", JSON(none_as_null=True)),
    Column("receipt", String(20)),
)

letters = Table(
    "letters",
    metadata,
    Column("booking_id", Uuid, primary_key=True),
    Column("letter", String(20), primary_key=True),
    Column("recipient", String(254), nullable=False),
    Column("message_id", String(200), nullable=False),
    Column("sent", DateTime(timezone=True), nullable=False),
)

# Written first, so that what is added finds a row whichever event comes first, also where two replicas handle both at
# the same time. Every database understands it; SQLite wants a WHERE before the ON of a conflict.
OPEN_BOOKING = insert(bookings).from_select(
    ["booking_id"],
    select(bindparam("booking_id", type_=Uuid).label("booking_id")).where(true()).suffix_with("ON CONFLICT DO NOTHING"),
)
ADD_BOOKING = (
    update(bookings)
    .where(bookings.c.booking_id == bindparam("wanted"))
    .values(booking=bindparam("told", type_=JSON))
    .returning(bookings.c.booking, bookings.c.receipt)
)
ADD_RECEIPT = (
    update(bookings)
    .where(bookings.c.booking_id == bindparam("wanted"))
    .values(receipt=bindparam("number"))
    .returning(bookings.c.booking, bookings.c.receipt)
)

INSERT_LETTER = insert(letters)
LETTER = select(letters.c.message_id).where(
    letters.c.booking_id == bindparam("booking_id"), letters.c.letter == bindparam("letter")
)
LETTERS = select(letters).where(letters.c.booking_id == bindparam("booking_id")).order_by(letters.c.sent)
