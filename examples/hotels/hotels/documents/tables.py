"""The tables of documents, and every statement that reads or writes them."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Uuid,
    bindparam,
    insert,
    literal,
    select,
    true,
    update,
)

metadata = MetaData()

receipts = Table(
    "receipts",
    metadata,
    Column("booking_id", Uuid, primary_key=True),
    Column("number", String(20), nullable=False, unique=True),
    Column("issued", DateTime(timezone=True), nullable=False),
    Column("pdf", LargeBinary, nullable=False),
)

# The last number given out in a year. The row moves in the transaction that stores the receipt, so there is no gap.
sequences = Table(
    "sequences",
    metadata,
    Column("year", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
)

INSERT_RECEIPT = insert(receipts)
PDF = select(receipts.c.pdf).where(receipts.c.booking_id == bindparam("booking_id"))

LAST = select(sequences.c.last).where(sequences.c.year == bindparam("year"))
TAKE_NEXT = (
    update(sequences)
    .where(sequences.c.year == bindparam("this"))
    .values(last=sequences.c.last + 1)
    .returning(sequences.c.last)
)
# The first receipts of a year may be numbered by two replicas at once. SQLite wants the WHERE.
OPEN_YEAR = insert(sequences).from_select(
    ["year", "last"],
    select(bindparam("year", type_=Integer).label("year"), literal(0))
    .where(true())
    .suffix_with("ON CONFLICT DO NOTHING"),
)
