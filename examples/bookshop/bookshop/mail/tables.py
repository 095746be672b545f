"""The table of letters, and every statement that reads or writes it."""

from __future__ import annotations

from sqlalchemy import Column, DateTime, Index, MetaData, String, Table, bindparam, insert, select

metadata = MetaData()

letters = Table(
    "letters",
    metadata,
    Column("letter", String(20), primary_key=True),
    Column("about", String(40), primary_key=True),  # the order, or the campaign
    Column("recipient", String(254), primary_key=True),
    Column("message_id", String(200), nullable=False),
    Column("sent", DateTime(timezone=True), nullable=False),
    Index("letters_to", "recipient", "sent"),
)

INSERT_LETTER = insert(letters)
LETTER = select(letters.c.message_id).where(
    letters.c.letter == bindparam("letter"),
    letters.c.about == bindparam("about"),
    letters.c.recipient == bindparam("recipient"),
)
LETTERS_TO = select(letters).where(letters.c.recipient == bindparam("recipient")).order_by(letters.c.sent)
