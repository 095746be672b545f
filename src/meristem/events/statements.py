"""The outbox's statements, built once; none reads more rows than it answers with, however many wait."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Text,
    and_,
    bindparam,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    update,
)

from meristem.events.tables import DEAD_LETTERS, FREE, HELD, IS_WAITING, OUTBOX
from meristem.storage.lease_tables import MEMBERS

_me: Final = bindparam("me", type_=BigInteger)
_whose: Final = bindparam("whose", type_=Text)
_count: Final = bindparam("count", type_=Integer)
_row: Final = OUTBOX.c
_of_key: Final = bindparam("of_key", type_=Text)

_given: Final = ("event_id", "subscriber", "type", "key", "body", "created", "member")
INSERT: Final = insert(OUTBOX).values(
    {name: bindparam(name) for name in _given} | {"attempts": literal(0), "due_at": bindparam("created")}
)

# The replicas that hold rows, by leaps along the index.
_first: Final = select(func.min(_row.member).label("member")).where(HELD).cte("holder", recursive=True)
_later: Final = OUTBOX.alias("later").c
_next_holder: Final = select(func.min(_later.member)).where(_later.member > _first.c.member, _later.member.is_not(None))
_HOLDERS: Final = _first.union_all(select(_next_holder.scalar_subquery()).where(_first.c.member.is_not(None)))
HOLDERS: Final = select(_HOLDERS.c.member).where(_HOLDERS.c.member.is_not(None))

# Some rows of a replica, dead or about to stop, become free. Here and below some are taken in an index's order: a
# server that expects many would look for them through the whole table, from its beginning each time.
_theirs: Final = select(_row.seq).where(_row.member == _me, HELD).order_by(_row.subscriber, _row.key).limit(_count)
RELEASE: Final = update(OUTBOX).where(_row.seq.in_(_theirs)).values(member=null(), crashes=null())
INHERIT: Final = (
    update(OUTBOX).where(_row.seq.in_(_theirs)).values(member=null(), crashes=func.coalesce(_row.crashes, 1))
)

NEXT_SUBSCRIBER: Final = select(func.min(_row.subscriber)).where(_row.subscriber > bindparam("after", type_=Text), FREE)


def _counted(table: Any, order: Any, *where: Any) -> Any:
    """Counted in an index alone; the first of each subscriber is the oldest."""
    return (
        select(table.subscriber, func.count().label("count"), func.min(order).label("first"))
        .where(*where)
        .group_by(table.subscriber)
    )


_pending: Final = _counted(_row, _row.seq, FREE).union_all(_counted(_row, _row.seq, HELD)).subquery()
_queues: Final = (
    select(_pending.c.subscriber, func.sum(_pending.c.count).label("count"), func.min(_pending.c.first).label("first"))
    .group_by(_pending.c.subscriber)
    .subquery()
)
PENDING: Final = (
    select(_queues.c.subscriber, literal("pending").label("state"), _queues.c.count, _row.created.label("oldest"))
    .join(OUTBOX, _row.seq == _queues.c.first)
    .order_by(_queues.c.subscriber)
)
_waiting: Final = (
    select(_row.subscriber, func.count().label("failed"), func.min(_row.due_at).label("due_at"))
    .where(IS_WAITING)
    .group_by(_row.subscriber)
    .subquery()
)
_due: Final = OUTBOX.alias("due").c
_why: Final = (
    select(_due.error)
    .where(_due.subscriber == _waiting.c.subscriber, _due.error.is_not(None))
    .order_by(_due.due_at)
    .limit(1)
)
WAITING: Final = select(_waiting, _why.scalar_subquery().label("error"))
_letters: Final = _counted(DEAD_LETTERS.c, DEAD_LETTERS.c.id).subquery()
DEAD: Final = (
    select(
        _letters.c.subscriber, literal("dead").label("state"), _letters.c.count, DEAD_LETTERS.c.created.label("oldest")
    )
    .join(DEAD_LETTERS, DEAD_LETTERS.c.id == _letters.c.first)
    .order_by(_letters.c.subscriber)
)


def _named(row: Any) -> ColumnElement[bool]:
    return and_(
        row.subscriber == bindparam("of_subscriber", type_=Text),
        row.key == _of_key,
        row.event_id == bindparam("event", type_=Text),
    )


# All but the removal is for the replica that holds the row: one that was taken for dead and comes back must not count
# an attempt, nor bury what another one delivers. What was acknowledged is done, whoever holds the row by now: that is
# asked of one after the other, so it comes second.
_held: Final = and_(_named(_row), _row.member == _me)
DROP: Final = delete(OUTBOX).where(_held)
_elsewhere: Final = OUTBOX.alias("elsewhere")
_of_any: Final = (
    select(_elsewhere.c.seq)
    .where(_named(_elsewhere.c), _elsewhere.c.member == MEMBERS.c.id)
    .limit(1)
    .correlate_except(_elsewhere)
)
REMOVE: Final = delete(OUTBOX).where(_row.seq.in_(select(_of_any.scalar_subquery()).select_from(MEMBERS)))
_failed: Final[dict[str, Any]] = {"attempts": bindparam("failed"), "error": bindparam("reason")}
# It has failed, and the process lives.
POSTPONE: Final = update(OUTBOX).where(_held).values(_failed | {"due_at": bindparam("due"), "crashes": null()})
SUSPECT: Final = update(OUTBOX).where(_held).values(crashes=bindparam("ends"))
SUSPECT_ALONE: Final = SUSPECT.values(error=bindparam("reason"))
_kept: Final = ("event_id", "subscriber", "type", "key", "body", "created")
BURY: Final = insert(DEAD_LETTERS).from_select(
    [*_kept, "attempts", "error"],
    select(*(_row[name] for name in _kept), bindparam("failed", type_=Integer), bindparam("reason", type_=Text)).where(
        _held
    ),
)
UNEARTH: Final = insert(OUTBOX).from_select(
    [*_kept, "attempts", "due_at"],
    select(*(DEAD_LETTERS.c[name] for name in _kept), literal(0), bindparam("now", type_=_row.due_at.type)).where(
        DEAD_LETTERS.c.id == bindparam("of_id")
    ),
)
NOTE: Final = insert(DEAD_LETTERS).values({"key": literal(""), "attempts": literal(1)})
# Each part in an index of its own.
_held_of: Final = select(func.count()).where(_row.subscriber == _whose, HELD).scalar_subquery()
OWED: Final = select(select(func.count()).where(_row.subscriber == _whose, FREE).scalar_subquery() + _held_of)
_of_gone: Final = select(_row.seq).where(_row.subscriber == _whose).order_by(_row.key).limit(_count)
FORGET_FREE: Final = delete(OUTBOX).where(_row.seq.in_(_of_gone.where(FREE)))
FORGET_HELD: Final = delete(OUTBOX).where(_row.seq.in_(_of_gone.where(_row.member == _me, HELD)))
