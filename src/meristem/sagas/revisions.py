"""What the releases changed of the journal's tables, frozen as it was written."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
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
from sqlalchemy.schema import CreateIndex, CreateTable, DropIndex

from meristem.storage.versions import AddColumn, DropColumn, Revision, index_where

_SAGAS_AT_FIRST: Final = Table(
    "meristem_saga",
    MetaData(),
    Column("owner", String),
    Column("lease_until", DateTime(timezone=True)),
    Column("member", BigInteger),
    Column("asked", String(32)),
    Column("crashes", Integer),
)
_is_asked: Final = _SAGAS_AT_FIRST.c.asked.is_not(None)
_ASKED: Final = index_where("meristem_saga_asked", _is_asked, _SAGAS_AT_FIRST.c.asked)

_FOUND: Final = ("state", "created", "member", "name", "horizon")
_leased: Final = MetaData()
_saga: Final = Table("meristem_saga", _leased, *(Column(name) for name in (*_FOUND, "updated", "wake_at"))).c
_step: Final = Table("meristem_saga_step", _leased, *(Column(name) for name in ("state", "kind", "name", "subject"))).c
_SAGAS_BY_AGE: Final = Index("meristem_saga_state", _saga.state, _saga.updated)
_BY_BEGIN: Final = Index("meristem_saga_created", _saga.created)
_BY_BEGIN_AND_NAME: Final = Index("meristem_saga_began", _saga.created, _saga.name)
_STEPS_BY_STATE: Final = Index("meristem_saga_step_wait", _step.state, _step.kind)
_not_done: Final = _saga.state != literal_column("'done'")
_sleeps: Final = _saga.wake_at.is_not(None)
_awaits: Final = and_(_step.kind == literal_column("'wait'"), _step.state == literal_column("'waiting'"))

_TRIES: Final = Table(
    "meristem_saga_try",
    MetaData(),
    Column("saga_id", String(32), primary_key=True),
    Column("position", String(100), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("started", DateTime(timezone=True), nullable=False),
    Column("due", DateTime(timezone=True), nullable=False),
)

_search: Final = MetaData()
_SEARCH: Final = Table(
    "meristem_saga_search",
    _search,
    Column("saga_id", String(32), primary_key=True),
    Column("field", String(200), primary_key=True),
    Column("term", String(32), nullable=False),
)
_FIELDS: Final = Table(
    "meristem_saga_field",
    _search,
    Column("saga", String(200), primary_key=True),
    Column("field", String(200), primary_key=True),
    Column("upto", DateTime(timezone=True)),
)

REVISIONS: Final = [
    Revision("001_tables", compatible=True),
    # Whichever replica worked on a saga did so by a lease that is no more: another one takes it up.
    Revision(
        "002_lease",
        compatible=False,
        steps=[
            AddColumn(_SAGAS_AT_FIRST.c.member),
            DropColumn(_SAGAS_AT_FIRST.c.owner),
            DropColumn(_SAGAS_AT_FIRST.c.lease_until),
        ],
    ),
    # Beside this release an earlier one would begin a saga anew, by the id that a key as it came gives.
    Revision("003_scoped_keys", compatible=False, steps=[AddColumn(_SAGAS_AT_FIRST.c.asked), CreateIndex(_ASKED)]),
    # Indexes of what is looked for, and no longer of all. An older release finds all without them too, only slower.
    Revision(
        "004_indexes",
        compatible=True,
        steps=[
            DropIndex(_SAGAS_BY_AGE),
            DropIndex(_STEPS_BY_STATE),
            CreateIndex(_BY_BEGIN),
            *(
                CreateIndex(index_where(name, where, *columns))
                for name, where, columns in (
                    ("meristem_saga_state", _not_done, [_saga[each] for each in _FOUND]),
                    ("meristem_saga_wake", _sleeps, [_saga.wake_at]),
                    ("meristem_saga_step_wait", _awaits, [_step.name, _step.subject]),
                )
            ),
        ],
    ),
    # Why a step is tried again: an older release writes none and leaves those that are there.
    Revision("005_tries", compatible=True, steps=[CreateTable(_TRIES)]),
    # An older release begins sagas without terms: a newer one adds them within a day.
    Revision(
        "006_search",
        compatible=True,
        steps=[
            CreateTable(_SEARCH),
            CreateIndex(Index("meristem_saga_search_term", _SEARCH.c.term)),
            CreateTable(_FIELDS),
        ],
    ),
    # A list of one name reads no row of the others. An older release finds all by it too.
    Revision("007_began", compatible=True, steps=[DropIndex(_BY_BEGIN), CreateIndex(_BY_BEGIN_AND_NAME)]),
    # An older release counts no ends, and leaves the counts that are there.
    Revision("008_crashes", compatible=True, steps=[AddColumn(_SAGAS_AT_FIRST.c.crashes)]),
]
