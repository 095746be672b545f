"""The outbox's statements, built once; none reads more rows than it answers with, however many wait."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from meristem.events.tables import DEAD_LETTERS, FREE, HELD, IS_WAITING, OUTBOX
from meristem.storage.lease_tables import LIVING, MEMBERS, lives

_me: Final = bindparam("me", type_=BigInteger)
_whose: Final = bindparam("whose", type_=Text)
_count: Final = bindparam("count", type_=Integer)
_row: Final = OUTBOX.c
_others: Final = select(MEMBERS.c.id).where(MEMBERS.c.id != _me)
_LAST: Final = literal(2**63 - 1, BigInteger)

_given: Final = ("event_id", "subscriber", "type", "key", "body", "created", "member")
INSERT: Final = insert(OUTBOX).values(
    {name: bindparam(name) for name in _given} | {"attempts": literal(0), "due_at": bindparam("created")}
)


# The replicas that hold rows, by leaps along the index; one of them that lives no more is dead and not yet cleared up.
_first: Final = select(func.min(_row.member).label("member")).where(HELD).cte("holder", recursive=True)
_later: Final = OUTBOX.alias("later").c
_next_holder: Final = select(func.min(_later.member)).where(_later.member > _first.c.member, _later.member.is_not(None))
_HOLDERS: Final = _first.union_all(select(_next_holder.scalar_subquery()).where(_first.c.member.is_not(None)))
HOLDERS: Final = select(_HOLDERS.c.member).where(_HOLDERS.c.member.is_not(None))
DEAD_HOLDER: Final = select(_HOLDERS.c.member).where(_HOLDERS.c.member.not_in(LIVING)).limit(1)
_cleared_up: Final = ~DEAD_HOLDER.exists()

# Some rows of a replica, dead or about to stop, become free. Here and below some are taken in an index's order: a
# server that expects many would look for them through the whole table, from its beginning each time.
_theirs: Final = select(_row.seq).where(_row.member == _me, HELD).order_by(_row.subscriber, _row.key).limit(_count)
RELEASE: Final = update(OUTBOX).where(_row.seq.in_(_theirs)).values(member=null(), crashes=null())
INHERIT: Final = (
    update(OUTBOX).where(_row.seq.in_(_theirs)).values(member=null(), crashes=func.coalesce(_row.crashes, 1))
)


def _is_free(row: Any, key: Any) -> ColumnElement[bool]:
    return and_(row.subscriber == _whose, row.key == key, row.member.is_(None))


def _is_held_elsewhere(key: Any) -> ColumnElement[bool]:
    held = OUTBOX.alias("held").c
    return exists(literal(1)).where(
        held.member.in_(_others), held.member.is_not(None), held.subscriber == _whose, held.key == key
    )


# Some keys with free rows, by leaps along the index from `after` on: a key in other hands costs one leap, however many
# rows it has. Turn 0 is where the last claim ended; a turn without a key is the end.
_begin: Final = select(bindparam("after", type_=Text).label("key"), literal(0).label("number")).cte(
    "turn", recursive=True
)
_next: Final = OUTBOX.alias("next").c
_turns: Final = _begin.union_all(
    select(
        select(func.min(_next.key))
        .where(_next.subscriber == _whose, _next.key > _begin.c.key, _next.member.is_(None))
        .scalar_subquery(),
        _begin.c.number + 1,
    ).where(_begin.c.key.is_not(None), _begin.c.number < bindparam("turns", type_=Integer))
)
_turn: Final = _turns.c
LAST_TURN: Final = select(func.max(_turn.key).label("key"), (func.count() > func.count(_turn.key)).label("is_end"))

_candidates: Final = OUTBOX.alias("candidate")
_candidate: Final = _candidates.c
_run: Final = OUTBOX.alias("run").c


def _end(key: Any, length: str) -> ColumnElement[Any]:
    """Where a run of a key's free rows ends: those of one key must not fill the memory while others wait."""
    ends = select(_run.seq).where(_is_free(_run, key)).order_by(_run.seq).limit(1)
    return func.coalesce(ends.offset(bindparam(length, type_=Integer)).scalar_subquery(), _LAST)


_claimable: Final = (
    select(_candidate.seq, _candidate.key)
    .select_from(_turns.join(_candidates, _is_free(_candidate, _turn.key)))
    .where(
        _turn.number > bindparam("done", type_=Integer),
        _candidate.seq < case((_turn.key == "", _end(literal(""), "unkeyed")), else_=_end(_turn.key, "run")),
        or_(_turn.key == "", not_(_is_held_elsewhere(_turn.key))),
        lives(_me),  # a replica that was taken for dead claims nothing
        _cleared_up,  # or an earlier row of a key may lie with the dead
    )
)
# The same where relays claim side by side. One that claims just now holds locks on rows that still look free: they are
# skipped, and so is whatever comes after them in their key, or else it would overtake them.
_locked: Final = _claimable.with_for_update(of=_candidates, skip_locked=True).cte("locked")
_earlier: Final = OUTBOX.alias("earlier").c
_skipped: Final = exists(literal(1)).where(
    _locked.c.key != "",
    _is_free(_earlier, _locked.c.key),
    _earlier.seq < _locked.c.seq,
    _earlier.seq.not_in(select(_locked.c.seq)),
)


def _claim(numbers: Select[Any]) -> ReturningUpdate[Any]:
    """Look and take in one statement: between two, writers would wait for an event loop that is busy delivering."""
    taken = ("seq", "event_id", "type", "key", "body", "created", "attempts", "due_at", "crashes")
    return update(OUTBOX).where(_row.seq.in_(numbers)).values(member=_me).returning(*(_row[name] for name in taken))


CLAIM: Final = _claim(_claimable.with_only_columns(_candidate.seq))
CLAIM_SIDE_BY_SIDE: Final = _claim(select(_locked.c.seq).where(not_(_skipped)))

ANY_FREE: Final = select(_row.seq).where(_row.subscriber == _whose, FREE).order_by(_row.key, _row.seq).limit(1)
NEXT_SUBSCRIBER: Final = select(func.min(_row.subscriber)).where(_row.subscriber > bindparam("after", type_=Text), FREE)
_of_key: Final = bindparam("of_key", type_=Text)
_free_row: Final = OUTBOX.alias("free").c
IS_BEHIND: Final = select(literal(1)).where(
    or_(
        exists(literal(1)).where(_is_free(_free_row, _of_key)),
        _is_held_elsewhere(_of_key),
        not_(_cleared_up),
        not_(lives(_me)),
    )
)
"""A row if a new event of this key has earlier ones before it that are not in this replica's hands."""


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
_named: Final = and_(
    _row.subscriber == bindparam("of_subscriber", type_=Text),
    _row.key == _of_key,
    _row.event_id == bindparam("event", type_=Text),
    HELD,
)
# What was acknowledged is done, whoever holds the row by now. All else is for the one that holds it: a replica that
# was taken for dead and comes back must not count an attempt, nor bury what another one delivers.
REMOVE: Final = delete(OUTBOX).where(_named, _row.member.in_(LIVING))
_held: Final = and_(_named, _row.member == _me)
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
DROP: Final = delete(OUTBOX).where(_held)
NOTE: Final = insert(DEAD_LETTERS).values({"key": literal(""), "attempts": literal(1)})
# Each part in an index of its own.
_held_of: Final = select(func.count()).where(_row.subscriber == _whose, HELD).scalar_subquery()
OWED: Final = select(select(func.count()).where(_row.subscriber == _whose, FREE).scalar_subquery() + _held_of)
_of_gone: Final = select(_row.seq).where(_row.subscriber == _whose).order_by(_row.key).limit(_count)
FORGET_FREE: Final = delete(OUTBOX).where(_row.seq.in_(_of_gone.where(FREE)))
FORGET_HELD: Final = delete(OUTBOX).where(_row.seq.in_(_of_gone.where(_row.member == _me, HELD)))
