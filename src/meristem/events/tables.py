"""The tables of events in a service's own database: the outbox it publishes from, the inbox that handles once."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text
from sqlalchemy.schema import DropTable

from meristem.storage.versions import AddColumn, DropColumn, Revision, Schema

METADATA: Final = MetaData()

OUTBOX: Final = Table(
    "meristem_outbox",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("event_id", Text, nullable=False),
    Column("subscriber", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("state", Text, nullable=False),
    Column("error", Text),
    Column("member", BigInteger),  # the replica that holds the row in memory; none: the one that claims it
    # The name by which a row is acknowledged: known before it is written, so that the commit needs no answer.
    Index("meristem_outbox_event", "event_id", "subscriber", unique=True),
    Index("meristem_outbox_queue", "subscriber", "state", "seq"),
    Index("meristem_outbox_lane", "subscriber", "key", "seq"),
    sqlite_autoincrement=True,  # the number of a dead letter names it to people: never reused
)

INBOX: Final = Table(
    "meristem_inbox",
    METADATA,
    Column("event_id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("subscriber", Text, primary_key=True),
    Column("handled_at", Float, nullable=False),
    Index("meristem_inbox_age", "handled_at"),
    sqlite_with_rowid=False,
)

_before: Final = MetaData()
_OUTBOX_BEFORE: Final = Table("meristem_outbox", _before, Column("owner", Text), Column("member", BigInteger))
_RELAYS_BEFORE: Final = Table("meristem_relays", _before)
SCHEMA: Final = Schema(
    "events",
    METADATA,
    OUTBOX.name,
    [
        Revision("001_tables", compatible=True),
        # Whoever held a row held it by a lease that is no more: the row is free.
        Revision(
            "002_lease",
            compatible=False,
            steps=[
                AddColumn(_OUTBOX_BEFORE.c.member),
                DropColumn(_OUTBOX_BEFORE.c.owner),
                DropTable(_RELAYS_BEFORE),
            ],
        ),
    ],
)

PENDING: Final = "pending"
DEAD: Final = "dead"
