"""The journal's tables in a service's own database."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    and_,
    literal_column,
)

from meristem.sagas.revisions import REVISIONS
from meristem.storage.versions import Schema, index_where

metadata: Final = MetaData()

_moment = DateTime(timezone=True)
_id = Integer().with_variant(BigInteger(), "postgresql")


SAGAS: Final = Table(
    "meristem_saga",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("input", Text, nullable=False),
    Column("context", Text, nullable=False),
    Column("seed", String(32), nullable=False),  # of flow.random() and flow.uuid()
    Column("horizon", _id, nullable=False),  # events up to here came before the saga began
    Column("result", Text),
    Column("error", Text),
    Column("problem", Text),  # why it is parked, for a person
    Column("resume", String(10)),  # the state in which a parked saga goes on
    Column("cancelled", Boolean, nullable=False),
    Column("member", BigInteger),  # the replica that works on it, by its number under the lease
    Column("fence", Integer, nullable=False),
    Column("wake_at", _moment),
    Column("attempts", Integer, nullable=False),
    Column("created", _moment, nullable=False),
    Column("updated", _moment, nullable=False),
    Column("crashes", Integer),  # how often a process ended that worked on it, since it last came further
    Column("asked", String(32)),  # what was asked under a scoped key, and whether anonymously; see `origin`
    Index("meristem_saga_began", "created", "name"),  # a list of one name passes the others over in the index
)
# Literals, since a partial index serves only a statement that repeats its condition.
NOT_DONE: Final = SAGAS.c.state != literal_column("'done'")
index_where("meristem_saga_asked", SAGAS.c.asked.is_not(None), SAGAS.c.asked)
SLEEPS: Final = SAGAS.c.wake_at.is_not(None)
index_where(
    "meristem_saga_state", NOT_DONE, *(SAGAS.c[each] for each in ("state", "created", "member", "name", "horizon"))
)
index_where("meristem_saga_wake", SLEEPS, SAGAS.c.wake_at)

STEPS: Final = Table(
    "meristem_saga_step",
    metadata,
    Column("saga_id", String(32), primary_key=True),
    Column("position", String(100), primary_key=True),
    Column("kind", String(10), primary_key=True),  # a step and its undo share a position
    Column("name", String(200), nullable=False),
    Column("request", String(100), nullable=False),
    Column("state", String(10), nullable=False),
    Column("sequence", Integer, nullable=False),  # the order in which the function got its answers
    Column("reply", Text),
    Column("error", Text),
    Column("due", _moment),
    Column("subject", String(200)),  # the key of the event that is waited for
    Column("event", _id),  # the event that answered
    Column("attempts", Integer, nullable=False),
    Column("started", _moment, nullable=False),
    Column("ended", _moment),
)
AWAITS: Final = and_(STEPS.c.kind == literal_column("'wait'"), STEPS.c.state == literal_column("'waiting'"))
index_where("meristem_saga_step_wait", AWAITS, STEPS.c.name, STEPS.c.subject)

TRIES: Final = Table(  # the steps that are tried again, once that takes a while; see `JournalWriter.note`
    "meristem_saga_try",
    metadata,
    Column("saga_id", String(32), primary_key=True),
    Column("position", String(100), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("started", _moment, nullable=False),
    Column("due", _moment, nullable=False),  # of the next try
)

SEARCH: Final = Table(  # of sagas that declare fields by which they are found; see `search`
    "meristem_saga_search",
    metadata,
    Column("saga_id", String(32), primary_key=True),
    Column("field", String(200), primary_key=True),
    Column("term", String(32), nullable=False),
    Index("meristem_saga_search_term", "term"),
)
FIELDS: Final = Table(
    "meristem_saga_field",
    metadata,
    Column("saga", String(200), primary_key=True),
    Column("field", String(200), primary_key=True),
    Column("upto", _moment),  # all sagas that began before are in the index; NULL while old ones are missing
)

EVENTS: Final = Table(
    "meristem_saga_event",
    metadata,
    Column("id", _id, primary_key=True),
    Column("type", String(200), nullable=False),
    Column("key", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("received", _moment, nullable=False),
    Index("meristem_saga_event_key", "type", "key"),
    sqlite_autoincrement=True,  # an id is never used again, or a saga's horizon would hide an event
)

SCHEMA: Final = Schema("sagas", metadata, SAGAS.name, REVISIONS)
