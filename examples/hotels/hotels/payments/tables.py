"""The tables of payments, and every statement that reads or writes them."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    DateTime,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Uuid,
    bindparam,
    insert,
    select,
    update,
)

metadata = MetaData()

payments = Table(
    "payments",
    metadata,
    Column("payment_id", Uuid, primary_key=True),
    Column("booking_id", Uuid, nullable=False, index=True),
    Column("amount", Numeric(12, 2), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("bank_reference", String(100), nullable=False, unique=True),
    Column("last4", String(4), nullable=False),
    Column("taken", DateTime(timezone=True), nullable=False),
)

refunds = Table(
    "refunds",
    metadata,
    Column("payment_id", Uuid, primary_key=True),  # a payment is refunded once
    Column("bank_reference", String(100), nullable=False, unique=True),
    Column("amount", Numeric(12, 2), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("refunded", DateTime(timezone=True), nullable=False),
)

# The database itself refuses to change or delete a line: see the triggers in migrations.
ledger = Table(
    "ledger",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(10), nullable=False),
    Column("booking_id", Uuid, nullable=False, index=True),
    Column("amount", Numeric(12, 2), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("bank_reference", String(100), nullable=False),
    Column("entered", DateTime(timezone=True), nullable=False),
    Column("seal", String(64), nullable=False),  # covers the line and the seal of the line before
)

# One row: the number and the seal of the last line. Who adds a line locks it, so numbers have no gaps.
ledger_end = Table(
    "ledger_end",
    metadata,
    Column("only", Integer, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("seal", String(64), nullable=False),
)

_REFUND = (refunds.c.payment_id, refunds.c.amount, refunds.c.currency, refunds.c.refunded)

INSERT_PAYMENT = insert(payments)
PAYMENT = select(payments).where(payments.c.payment_id == bindparam("payment_id"))
INSERT_REFUND = insert(refunds)
REFUND = select(*_REFUND).where(refunds.c.payment_id == bindparam("payment_id"))

NEXT_NUMBER = (
    update(ledger_end).values(number=ledger_end.c.number + 1).returning(ledger_end.c.number, ledger_end.c.seal)
)
MOVE_END = update(ledger_end).values(seal=bindparam("latest"))
INSERT_LINE = insert(ledger)
LINES = select(ledger).where(ledger.c.booking_id == bindparam("booking_id")).order_by(ledger.c.number)
LINES_AFTER = (
    select(ledger).where(ledger.c.number > bindparam("after")).order_by(ledger.c.number).limit(bindparam("most"))
)
END = select(ledger_end.c.number, ledger_end.c.seal)
