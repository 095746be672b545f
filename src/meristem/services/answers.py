"""The answers that `@once` keeps: their table and what the releases changed of it, their statements, their end."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import (
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    and_,
    bindparam,
    exists,
    func,
    insert,
    literal_column,
    or_,
    select,
)
from sqlalchemy.schema import CreateIndex, DropIndex

from meristem.contracts.message import Message
from meristem.lifecycle import Background
from meristem.storage.sweep import Sweep
from meristem.storage.versions import AddColumn, Revision, Schema, index_where

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from meristem.clock import Clock
    from meristem.storage.database import Database

metadata: Final = MetaData()
ANSWERS: Final = Table(
    "meristem_once",
    metadata,
    Column("operation", String(200), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("request", String(64), nullable=False),  # its digest: enough to refuse a key used for something else
    Column("fault", String(200)),
    Column("answer", LargeBinary, nullable=False),
    Column("answered", DateTime(timezone=True), nullable=False),
    Column("owner", String(40)),  # whose answer it is; NULL in rows of releases that did not store it
)


def _is_scoped(key: Column[Any]) -> ColumnElement[bool]:
    """Whether a key can have twins; in literals, since a partial index serves only a statement that repeats it."""
    return func.substr(key, literal_column("33"), literal_column("1")) == literal_column("'.'")


def _index_of_twins(answers: Table) -> Index:
    return index_where("meristem_once_asked", _is_scoped(answers.c.key), answers.c.request, answers.c.key)


_index_of_twins(ANSWERS)
_BEFORE: Final = Table(
    "meristem_once",
    MetaData(),
    Column("key", String),
    Column("request", String),
    Column("owner", String(40)),
    Column("answered", DateTime(timezone=True)),
)
_BY_AGE: Final = Index("ix_meristem_once_answered", _BEFORE.c.answered)
SCHEMA: Final = Schema(
    "once",
    metadata,
    ANSWERS.name,
    [
        Revision("001_tables", compatible=True),
        # Beside this release an earlier one would not find under a key as it came what is stored under a scoped one.
        Revision(
            "002_scoped_keys",
            compatible=False,
            steps=[AddColumn(_BEFORE.c.owner), CreateIndex(_index_of_twins(_BEFORE))],
        ),
        # One page less in the commit of each answer. An older release forgets without it too, only slower.
        Revision("003_no_age", compatible=True, steps=[DropIndex(_BY_AGE)]),
    ],
)

_operation = ANSWERS.c.operation == bindparam("operation_")
_by_key = and_(_operation, ANSWERS.c.key == bindparam("key_"))
# An earlier release stored the key as it came.
_as_it_came = and_(_operation, ANSWERS.c.key == bindparam("sent_"), ANSWERS.c.owner.is_(None))
_by_twin = and_(
    _operation,
    _is_scoped(ANSWERS.c.key),
    ANSWERS.c.request == bindparam("request_"),
    ANSWERS.c.key >= bindparam("low_"),
    ANSWERS.c.key < bindparam("high_"),
)
FIND: Final = select(ANSWERS.c.key, ANSWERS.c.request, ANSWERS.c.owner, ANSWERS.c.fault, ANSWERS.c.answer).where(
    _by_key
)
# The operation in each branch, so that each is looked up by an index.
FIND_SCOPED: Final = select(*FIND.selected_columns).where(or_(_by_key, _as_it_came, _by_twin)).limit(1)
_given = {column.name: bindparam(f"v_{column.name}", type_=column.type) for column in ANSWERS.c}
STORE: Final = insert(ANSWERS).values(_given)
# The statement itself looks for twins: writers come one after the other, whichever replica they are of.
STORE_SCOPED: Final = insert(ANSWERS).from_select(
    list(_given), select(*_given.values()).where(~exists().where(_by_twin))
)
FORGET: Final = Sweep(ANSWERS, ANSWERS.c.answered)


class Answer(Message):
    """A stored answer: the reply, or the declared fault of this name."""

    key: str
    request: str
    owner: str | None
    fault: str | None
    answer: bytes


class OldAnswers:
    """Forgets answers that are older than anybody repeats a call, once a day."""

    def __init__(self, database: Database, clock: Clock, *, retention: timedelta = timedelta(days=30)) -> None:
        self._database = database
        self._clock = clock
        self._retention = retention
        self._background = Background(f"answers of {database.name}")

    async def start(self) -> None:
        """Begin to forget."""
        self._background.spawn(
            FORGET.delete_daily(self._database, self._clock, self._retention, "old answers"), "prune"
        )

    async def drain(self) -> None:
        """Nobody waits for it."""

    async def stop(self) -> None:
        """Forget no more."""
        await self._background.stop()
