"""The tables of events in a service's own database: what it publishes, its dead letters, and what it has heard.

Every index is one more page in each commit, so there is none that only some rows or rare statements need: partial
indexes hold the rows that are asked for, and what is old is found by a walk along the primary key.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text

from meristem.events.revisions import REVISIONS
from meristem.storage.versions import Schema, index_where

METADATA: Final = MetaData()
_number: Final = BigInteger().with_variant(Integer, "sqlite")


def _of_event() -> list[Column[Any]]:
    """What an event takes along when it becomes a dead letter, and back."""
    return [
        Column("event_id", Text, nullable=False),
        Column("subscriber", Text, nullable=False),
        Column("type", Text, nullable=False),
        Column("key", Text, nullable=False),
        Column("body", Text, nullable=False),
        Column("created", Float, nullable=False),
        Column("attempts", Integer, nullable=False),
    ]


OUTBOX: Final = Table(
    "meristem_outbox",
    METADATA,
    Column("seq", _number, primary_key=True, autoincrement=True),  # the order of commits
    *_of_event(),
    Column("due_at", Float, nullable=False),
    Column("error", Text),  # why the last attempt failed, while the row waits for the next one
    Column("member", BigInteger),  # the replica that holds the row in memory; none: free for the one that claims it
    Column("crashes", Integer),  # how often a process ended that held it, of which it may be why; see `poison`
)


_row: Final = OUTBOX.c
FREE: Final = _row.member.is_(None)
HELD: Final = _row.member.is_not(None)
IS_WAITING: Final = _row.error.is_not(None)
index_where("meristem_outbox_free", FREE, _row.subscriber, _row.key, _row.seq, _row.member)
# By key too: what a replica holds keeps the others from its keys. By event: so a row is removed by the name that was
# known before it was written, and its commit needs no answer.
index_where("meristem_outbox_held", HELD, _row.member, _row.subscriber, _row.key, _row.event_id)
index_where("meristem_outbox_waiting", IS_WAITING, _row.subscriber, _row.due_at)

DEAD_LETTERS: Final = Table(
    "meristem_dead_letter",
    METADATA,
    Column("id", _number, primary_key=True, autoincrement=True),
    *_of_event(),
    Column("error", Text),
    Index("meristem_dead_letter_subscriber", "subscriber", "id"),
    sqlite_autoincrement=True,  # it names the letter to people: never reused
)

INBOX: Final = Table(
    "meristem_inbox",
    METADATA,
    Column("event_id", Text, primary_key=True),
    Column("source", Text, primary_key=True),
    Column("subscriber", Text, primary_key=True),
    Column("handled_at", Float, nullable=False),
    sqlite_with_rowid=False,
)

POSITIONS: Final = Table(
    "meristem_position",
    METADATA,
    Column("bus", Text, primary_key=True),
    Column("position", Text, nullable=False),  # how far the service has read of it, where a broker leaves that to it
)

SCHEMA: Final = Schema("events", METADATA, OUTBOX.name, REVISIONS)
