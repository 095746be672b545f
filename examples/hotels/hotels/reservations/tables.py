"""The tables of reservations, and every statement that reads or writes them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    bindparam,
    insert,
    null,
    select,
    text,
    update,
)

metadata = MetaData()

_NAMED = text("intent IS NOT NULL")

bookings = Table(
    "bookings",
    metadata,
    Column("booking_id", Uuid, primary_key=True),
    Column("user_id", Uuid, nullable=False),
    Column("status", String(12), nullable=False),
    Column("hotel", String(200), nullable=False),
    Column("hotel_address", String(200), nullable=False),
    Column("hotel_email", String(254), nullable=False),
    Column("city", String(120), nullable=False),
    Column("room", String(120), nullable=False),
    Column("room_id", Uuid, nullable=False),
    Column("arrival", Date, nullable=False),
    Column("nights", Integer, nullable=False),
    Column("guests", Integer, nullable=False),
    Column("amount", Numeric(12, 2), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("guest_name", String(120), nullable=False),
    Column("guest_email", String(254), nullable=False),
    Column("card_last4", String(4), nullable=False),
    Column("reason", String(300), nullable=False, server_default=""),
    Column("hold", JSON(none_as_null=True)),  # what a cancellation needs to give the room
    Column("payment", JSON(none_as_null=True)),  # and the money back
    Column("created", DateTime(timezone=True), nullable=False),
    Column("intent", Uuid),  # what its guest means to book once; none when it is over, or was never named
    Index("bookings_of_user", "user_id", "created"),
    Index("booking_of_intent", "user_id", "intent", unique=True, sqlite_where=_NAMED, postgresql_where=_NAMED),
)

tracking = Table(
    "tracking",
    metadata,
    Column("line", Integer, primary_key=True),
    Column("booking_id", Uuid, ForeignKey("bookings.booking_id"), nullable=False, index=True),
    Column("milestone", String(20), nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("note", String(300), nullable=False),
)

_SHOWN = [column for column in bookings.c if column.name not in {"hold", "payment", "created", "intent"}]
_LINE = (tracking.c.booking_id, tracking.c.milestone, tracking.c.at, tracking.c.note)

INSERT_BOOKING = insert(bookings)
INSERT_LINE = insert(tracking)

BOOKING = select(*_SHOWN).where(bookings.c.booking_id == bindparam("booking_id"))
INTENDED = select(bookings.c.booking_id).where(
    bookings.c.user_id == bindparam("user_id"), bookings.c.intent == bindparam("intent")
)
BOOKINGS_OF = (
    select(*_SHOWN).where(bookings.c.user_id == bindparam("user_id")).order_by(bookings.c.created.desc()).limit(200)
)
TRACKING = select(*_LINE).where(tracking.c.booking_id == bindparam("booking_id")).order_by(tracking.c.line)
TRACKING_OF = (
    select(*_LINE)
    .join_from(tracking, bookings)
    .where(bookings.c.user_id == bindparam("user_id"))
    .order_by(tracking.c.line)
)
KEPT = select(bookings.c.hold, bookings.c.payment).where(bookings.c.booking_id == bindparam("booking_id"))

# The status that a booking must have is part of each change: a change that comes twice, or too late, changes nothing.
SET_REASON = update(bookings).where(bookings.c.booking_id == bindparam("wanted")).values(reason=bindparam("why"))
CONFIRM = (
    update(bookings)
    .where(bookings.c.booking_id == bindparam("wanted"), bookings.c.status == "pending")
    .values(
        status="confirmed",
        amount=bindparam("paid", type_=Numeric(12, 2)),
        hold=bindparam("held", type_=JSON),
        payment=bindparam("payment_made", type_=JSON),
    )
    .returning(*_SHOWN)
)
MOVE = (
    update(bookings)
    .where(bookings.c.booking_id == bindparam("wanted"), bookings.c.status == bindparam("before"))
    .values(status=bindparam("after"), intent=null())  # every move but to be confirmed ends what was meant
)
