"""The read model of search, and every statement that reads or writes it."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Date,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    true,
    update,
)

metadata = MetaData()

hotels = Table(
    "hotels",
    metadata,
    Column("hotel_id", Uuid, primary_key=True),
    Column("city", String(120), nullable=False),
    Column("city_key", String(120), nullable=False),
    Column("country", String(120), nullable=False),
    Index("hotels_by_city", "city_key", "city", "country"),
)

# What an offer shows is copied here, so that a search reads one row for each.
rooms = Table(
    "rooms",
    metadata,
    Column("room_id", Uuid, primary_key=True),
    Column("hotel_id", Uuid, nullable=False, index=True),
    Column("hotel", String(200), nullable=False),
    Column("stars", Integer, nullable=False),
    Column("city", String(120), nullable=False),
    Column("city_key", String(120), nullable=False),
    Column("country", String(120), nullable=False),
    Column("room", String(120), nullable=False),
    Column("capacity", Integer, nullable=False),
    Column("count", Integer, nullable=False),
    Column("nightly_cents", Integer, nullable=False),  # compared and sorted by: whole numbers are exact everywhere
    Column("currency", String(3), nullable=False),
    Index("rooms_by_price", "city_key", "nightly_cents", "room_id"),
)

# How many rooms of a kind are held in a night; a night that has no row is free.
occupancy = Table(
    "occupancy",
    metadata,
    Column("room_id", Uuid, primary_key=True),
    Column("night", Date, primary_key=True),
    Column("taken", Integer, nullable=False),
)

_OF_THE_STAY = (
    occupancy.c.room_id == rooms.c.room_id,
    occupancy.c.night >= bindparam("arriving"),
    occupancy.c.night < bindparam("leaving"),
)

_MOST_TAKEN = select(func.max(occupancy.c.taken)).where(*_OF_THE_STAY).correlate(rooms).scalar_subquery()

# Walks rooms_by_price, cheapest first, and drops a room at the first full night that the primary key of occupancy
# finds; so the work ends with the last offer that is shown, however many rooms a city has.
FIND = (
    select(
        rooms.c.room_id,
        rooms.c.hotel,
        rooms.c.stars,
        rooms.c.city,
        rooms.c.country,
        rooms.c.room,
        rooms.c.capacity,
        rooms.c.nightly_cents,
        rooms.c.currency,
        (rooms.c.count - func.coalesce(_MOST_TAKEN, 0)).label("free"),
    )
    .where(
        rooms.c.city_key == bindparam("city_key"),
        rooms.c.nightly_cents <= bindparam("dearest"),
        rooms.c.capacity >= bindparam("guests"),
        rooms.c.count > 0,
        ~exists().where(*_OF_THE_STAY, occupancy.c.taken >= rooms.c.count).correlate(rooms),
    )
    .order_by(rooms.c.nightly_cents, rooms.c.room_id)
    .limit(bindparam("most"))
)

# Grouped by the columns of hotels_by_city in their order: no sort before the one by count.
CITIES = (
    select(hotels.c.city.label("name"), hotels.c.country, func.count().label("hotels"))
    .where(hotels.c.city_key >= bindparam("first"), hotels.c.city_key < bindparam("beyond"))
    .group_by(hotels.c.city_key, hotels.c.city, hotels.c.country)
    .order_by(func.count().desc(), hotels.c.city_key, hotels.c.country)
    .limit(bindparam("most"))
)

CITY = (
    select(hotels.c.city, hotels.c.country)
    .where(hotels.c.city_key == bindparam("city_key"))
    .group_by(hotels.c.city, hotels.c.country)
    .order_by(func.count().desc())
    .limit(1)
)

FORGET_HOTEL = delete(hotels).where(hotels.c.hotel_id == bindparam("hotel_id"))
FORGET_ROOMS = delete(rooms).where(rooms.c.hotel_id == bindparam("hotel_id"))
INSERT_HOTEL = insert(hotels)
INSERT_ROOM = insert(rooms)

# Two statements that every database understands, in place of each one's own "upsert". SQLite wants the WHERE.
OPEN_NIGHT = insert(occupancy).from_select(
    ["room_id", "night", "taken"],
    select(bindparam("room_id", type_=Uuid).label("room_id"), bindparam("night", type_=Date).label("night"), literal(0))
    .where(true())
    .suffix_with("ON CONFLICT DO NOTHING"),
)
COUNT_NIGHTS = (
    update(occupancy)
    .where(
        occupancy.c.room_id == bindparam("wanted"),
        occupancy.c.night >= bindparam("arriving"),
        occupancy.c.night < bindparam("leaving"),
    )
    .values(taken=occupancy.c.taken + bindparam("change", type_=Integer))
)
