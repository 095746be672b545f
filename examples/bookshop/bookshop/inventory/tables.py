"""The tables of the stock, and every statement that reads or writes them."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Uuid,
    and_,
    bindparam,
    insert,
    or_,
    select,
    update,
)

metadata = MetaData()

stock = Table(
    "stock",
    metadata,
    Column("book_id", Integer, primary_key=True, autoincrement=False),
    Column("left", Integer, nullable=False),
)

reservations = Table(
    "reservations",
    metadata,
    Column("order_id", Uuid, primary_key=True),
    Column("state", String(10), nullable=False),  # held, confirmed, released or expired
    Column("expires", DateTime(timezone=True), nullable=False),  # has no meaning once confirmed
    Index("reservations_by_expiry", "state", "expires"),
)

reserved = Table(
    "reserved",
    metadata,
    Column("order_id", Uuid, ForeignKey("reservations.order_id"), primary_key=True),
    Column("book_id", Integer, primary_key=True, autoincrement=False),
    Column("copies", Integer, nullable=False),
)

_IS_KEPT = or_(
    reservations.c.state == "confirmed",
    and_(reservations.c.state == "held", reservations.c.expires > bindparam("now")),
)

STOCK = select(stock).where(stock.c.book_id.in_(bindparam("book_ids", expanding=True)))
LEFT = select(stock.c.left).where(stock.c.book_id == bindparam("book_id"))
INSERT_STOCK = insert(stock)
ADD = update(stock).where(stock.c.book_id == bindparam("wanted")).values(left=stock.c.left + bindparam("more"))
# The look and the taking are one statement: of two who want the last copy, one changes no row.
TAKE = (
    update(stock)
    .where(stock.c.book_id == bindparam("wanted"), stock.c.left >= bindparam("copies"))
    .values(left=stock.c.left - bindparam("copies"))
)

INSERT_RESERVATION = insert(reservations)
INSERT_RESERVED = insert(reserved)
RESERVED = select(reserved.c.book_id, reserved.c.copies).where(reserved.c.order_id == bindparam("order_id"))
# A reservation that is confirmed already stays so.
CONFIRM = update(reservations).where(reservations.c.order_id == bindparam("wanted"), _IS_KEPT).values(state="confirmed")
RELEASE = (
    update(reservations)
    .where(reservations.c.order_id == bindparam("wanted"), reservations.c.state.in_(("held", "confirmed")))
    .values(state="released")
)
EXPIRE = (
    update(reservations)
    .where(reservations.c.state == "held", reservations.c.expires <= bindparam("now"))
    .values(state="expired")
    .returning(reservations.c.order_id)
)
