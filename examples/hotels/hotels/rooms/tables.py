"""The tables of rooms, and every statement that reads or writes them."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    Uuid,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

metadata = MetaData()

hotels = Table(
    "hotels",
    metadata,
    Column("hotel_id", Uuid, primary_key=True),
    Column("name", String(200), nullable=False),
    Column("stars", Integer, nullable=False),
    Column("address", String(200), nullable=False),
    Column("latitude", Float, nullable=False),
    Column("longitude", Float, nullable=False),
    Column("email", String(254), nullable=False),
    Column("description", Text, nullable=False),
    Column("amenities", JSON, nullable=False),
    Column("city", String(120), nullable=False),
    Column("country", String(120), nullable=False),
    Column("country_code", String(2), nullable=False),
    Column("city_latitude", Float, nullable=False),
    Column("city_longitude", Float, nullable=False),
)

rooms = Table(
    "rooms",
    metadata,
    Column("room_id", Uuid, primary_key=True),
    Column("hotel_id", Uuid, ForeignKey("hotels.hotel_id"), nullable=False, index=True),
    Column("name", String(120), nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("nightly", Numeric(10, 2), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("version", Integer, nullable=False, server_default="0"),  # moves with every hold: see LOCK_ROOM
)

holds = Table(
    "holds",
    metadata,
    Column("hold_id", Uuid, primary_key=True),
    Column("room_id", Uuid, ForeignKey("rooms.room_id"), nullable=False),
    Column("arrival", Date, nullable=False),
    Column("departure", Date, nullable=False),
    Column("guests", Integer, nullable=False),
    Column("state", String(10), nullable=False),  # held, confirmed, released or expired
    Column("expires", DateTime(timezone=True), nullable=False),  # has no meaning once confirmed
    Index("holds_of_room", "room_id", "departure"),
    Index("holds_by_expiry", "state", "expires"),
)

COUNT_HOTELS = select(func.count()).select_from(hotels)
HOTEL_IDS = select(hotels.c.hotel_id)
INSERT_HOTEL = insert(hotels)
INSERT_ROOM = insert(rooms)

ROOM = (
    select(rooms.c.room_id, rooms.c.capacity, rooms.c.count, rooms.c.nightly, rooms.c.currency)
    .add_columns(rooms.c.name.label("room"), hotels.c.name.label("hotel"))
    .add_columns(*(column for column in hotels.c if column.name != "name"))
    .join_from(rooms, hotels)
    .where(rooms.c.room_id == bindparam("room_id"))
)

# Who updates the row first goes first; everybody else waits here, on any database, and then counts anew.
LOCK_ROOM = (
    update(rooms)
    .where(rooms.c.room_id == bindparam("wanted"))
    .values(version=rooms.c.version + 1)
    .returning(rooms.c.capacity, rooms.c.count, rooms.c.nightly, rooms.c.currency)
)

_ACTIVE = or_(holds.c.state == "confirmed", and_(holds.c.state == "held", holds.c.expires > bindparam("now")))

OVERLAPPING = select(holds.c.arrival, holds.c.departure).where(
    holds.c.room_id == bindparam("room_id"),
    holds.c.departure > bindparam("arriving"),
    holds.c.arrival < bindparam("leaving"),
    _ACTIVE,
)

INSERT_HOLD = insert(holds)

# A hold that is confirmed already stays so.
CONFIRM_HOLD = update(holds).where(holds.c.hold_id == bindparam("wanted"), _ACTIVE).values(state="confirmed")

_ENDED = (holds.c.hold_id, holds.c.room_id, holds.c.arrival, holds.c.departure)

RELEASE_HOLD = (
    update(holds)
    .where(holds.c.hold_id == bindparam("wanted"), holds.c.state.in_(("held", "confirmed")))
    .values(state="released")
    .returning(*_ENDED)
)

EXPIRE_HOLDS = (
    update(holds)
    .where(holds.c.state == "held", holds.c.expires <= bindparam("now"))
    .values(state="expired")
    .returning(*_ENDED)
)
