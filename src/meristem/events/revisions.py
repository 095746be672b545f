"""What the releases changed of the tables of events, frozen as it was written."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, Table, Text, insert, select
from sqlalchemy.schema import CreateIndex, CreateTable, DropIndex, DropTable
from sqlalchemy.sql.elements import ClauseElement

from meristem.storage.versions import AddColumn, DropColumn, RenameTable, Revision, index_where

_number: Final = BigInteger().with_variant(Integer, "sqlite")

_at_first: Final = MetaData()
_OUTBOX_AT_FIRST: Final = Table("meristem_outbox", _at_first, Column("owner", Text), Column("member", BigInteger))
_RELAYS: Final = Table("meristem_relays", _at_first)

_leased: Final = MetaData()
_EVENT: Final = ("event_id", "subscriber", "type", "key", "body", "created", "attempts")
_OUTBOX_LEASED: Final = Table(
    "meristem_outbox", _leased, *(Column(name) for name in (*_EVENT, "seq", "due_at", "state", "error"))
)
_INBOX_LEASED: Final = Table("meristem_inbox", _leased, Column("handled_at"))
_INBOX_AGE: Final = Index("meristem_inbox_age", _INBOX_LEASED.c.handled_at)

_split: Final = MetaData()
_OUTBOX: Final = Table(
    "meristem_outbox_new",
    _split,
    Column("seq", _number, primary_key=True, autoincrement=True),
    *(Column(name, Text, nullable=False) for name in ("event_id", "subscriber", "type", "key", "body")),
    Column("created", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Float, nullable=False),
    Column("error", Text),
    Column("member", BigInteger),
)
_OUTBOX_NAMED: Final = _OUTBOX.to_metadata(MetaData(), name="meristem_outbox")
_row: Final = _OUTBOX_NAMED.c
_is_free, _is_held, _waits = _row.member.is_(None), _row.member.is_not(None), _row.error.is_not(None)
_DEAD_LETTERS: Final = Table(
    "meristem_dead_letter",
    _split,
    Column("id", _number, primary_key=True, autoincrement=True),
    *(Column(name, Text, nullable=False) for name in ("event_id", "subscriber", "type", "key", "body")),
    Column("created", Float, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    sqlite_autoincrement=True,
)
_POSITIONS: Final = Table(
    "meristem_position", MetaData(), Column("bus", Text, primary_key=True), Column("position", Text, nullable=False)
)
_OUTBOX_SPLIT: Final = Table("meristem_outbox", MetaData(), Column("crashes", Integer))
_before: Final = _OUTBOX_LEASED.c


def _moved(to: Table, names: tuple[str, ...], state: str) -> ClauseElement:
    rows = select(*(_before[name] for name in names)).where(_before.state == state).order_by(_before.seq)
    return insert(to).from_select(names, rows)


REVISIONS: Final = [
    Revision("001_tables", compatible=True),
    # Whoever held a row held it by a lease that is no more: the row is free.
    Revision(
        "002_lease",
        compatible=False,
        steps=[
            AddColumn(_OUTBOX_AT_FIRST.c.member),
            DropColumn(_OUTBOX_AT_FIRST.c.owner),
            DropTable(_RELAYS),
        ],
    ),
    # Dead letters part from what is still to be delivered, so the outbox is written with one index instead of three.
    # An older relay would look for both in one table.
    Revision(
        "003_dead_letters",
        compatible=False,
        steps=[
            CreateTable(_OUTBOX),
            CreateTable(_DEAD_LETTERS),
            _moved(_OUTBOX, (*_EVENT, "due_at", "error"), "pending"),
            _moved(_DEAD_LETTERS, (*_EVENT, "error"), "dead"),
            DropTable(_OUTBOX_LEASED),
            RenameTable(_OUTBOX, "meristem_outbox"),
            *(
                CreateIndex(index_where(name, where, *columns))
                for name, where, columns in (
                    ("meristem_outbox_free", _is_free, (_row.subscriber, _row.key, _row.seq, _row.member)),
                    ("meristem_outbox_held", _is_held, (_row.member, _row.subscriber, _row.key, _row.event_id)),
                    ("meristem_outbox_waiting", _waits, (_row.subscriber, _row.due_at)),
                )
            ),
            CreateIndex(Index("meristem_dead_letter_subscriber", _DEAD_LETTERS.c.subscriber, _DEAD_LETTERS.c.id)),
            DropIndex(_INBOX_AGE),
        ],
    ),
    Revision("004_positions", compatible=True, steps=[CreateTable(_POSITIONS)]),
    # An older relay counts no ends of its process.
    Revision("005_crashes", compatible=True, steps=[AddColumn(_OUTBOX_SPLIT.c.crashes)]),
]
