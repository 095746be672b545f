"""The tables of carts, and every statement that reads or writes them."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    exists,
    insert,
    select,
    update,
)

metadata = MetaData()

# An owner is `customer 7`, or `visitor` and the digest of what the browser keeps.
carts = Table(
    "carts",
    metadata,
    Column("owner", String(80), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("touched", DateTime(timezone=True), nullable=False, index=True),
)

lines = Table(
    "lines",
    metadata,
    Column("line", Integer, primary_key=True),  # in the order in which books were added
    Column("owner", String(80), ForeignKey("carts.owner"), nullable=False, index=True),
    Column("book_id", Integer, nullable=False),
    Column("copies", Integer, nullable=False),
)

INSERT_CART = insert(carts)
VERSION = select(carts.c.version).where(carts.c.owner == bindparam("owner"))
# Each change begins with this one, so that the changes of one cart come one after the other on any database.
TOUCH = (
    update(carts)
    .where(carts.c.owner == bindparam("whose"))
    .values(version=carts.c.version + 1, touched=bindparam("now"))
    .returning(carts.c.version)
)
TOUCH_AS_SEEN = TOUCH.where(carts.c.version == bindparam("seen"))

LINES = select(lines.c.book_id, lines.c.copies).where(lines.c.owner == bindparam("owner")).order_by(lines.c.line)
INSERT_LINE = insert(lines)
SET_COPIES = (
    update(lines)
    .where(lines.c.owner == bindparam("whose"), lines.c.book_id == bindparam("wanted"))
    .values(copies=bindparam("count"))
)
TAKE_OUT = delete(lines).where(lines.c.owner == bindparam("owner"), lines.c.book_id == bindparam("book_id"))
EMPTY = delete(lines).where(lines.c.owner == bindparam("owner"))

_FORGOTTEN = (carts.c.touched < bindparam("before"), carts.c.owner.like("visitor %"))
FORGET_LINES = delete(lines).where(exists().where(carts.c.owner == lines.c.owner, *_FORGOTTEN))
FORGET_CARTS = delete(carts).where(*_FORGOTTEN)
