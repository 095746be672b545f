"""What a relay asks before it takes events: which keys have rows that nobody holds, and whether a new one is behind.

A table through which rows pass is empty at one moment and large at the next, and no server's statistics say which. So
each statement is written so that there is one way to run it, along an index and no further than its answer: a planner
that takes the table for small reads all that waits, at each claim and for each replica.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Integer,
    Select,
    Text,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.sql.dml import ReturningUpdate

from meristem.events.tables import FREE, OUTBOX
from meristem.storage.lease_tables import MEMBERS, lives
from meristem.storage.statement_cache import PLANNED_ANEW

_me: Final = bindparam("me", type_=BigInteger)
_whose: Final = bindparam("whose", type_=Text)
_of_key: Final = bindparam("of_key", type_=Text)
_row: Final = OUTBOX.c
_LAST: Final = literal(2**63 - 1, BigInteger)

# A replica that holds rows and lives no more is dead and not yet cleared up: its number is between two of the living,
# or beside them. Asked so, what the living hold and have held is leapt over.
_living: Final = MEMBERS.c
_next: Final = MEMBERS.alias("next_living").c
_upper: Final = select(func.min(_next.id)).where(_next.id > _living.id).scalar_subquery()
_gaps: Final = (
    select(_living.id.label("lower"), func.coalesce(_upper, _LAST).label("upper"))
    .union_all(select(literal(0, BigInteger), func.coalesce(select(func.min(_next.id)).scalar_subquery(), _LAST)))
    .subquery("gap")
)
_of_dead: Final = OUTBOX.alias("of_dead").c
_holder: Final = (
    select(func.min(_of_dead.member))
    .where(_of_dead.member > _gaps.c.lower, _of_dead.member < _gaps.c.upper)
    .scalar_subquery()
)
_holders: Final = select(_holder.label("member")).select_from(_gaps).subquery("holder")
DEAD_HOLDER: Final = select(_holders.c.member).where(_holders.c.member.is_not(None)).limit(1)
_cleared_up: Final = ~DEAD_HOLDER.exists()


def _is_free(row: Any, key: Any) -> ColumnElement[bool]:
    return and_(row.subscriber == _whose, row.key == key, row.member.is_(None))


def _is_held_elsewhere(key: Any) -> ColumnElement[bool]:
    """Whether another replica holds a row of a key: asked of one after the other, however many rows they hold."""
    others, rows = MEMBERS.alias("other"), OUTBOX.alias("held")
    other, held = others.c, rows.c
    of_other = select(held.seq).where(held.member == other.id, held.subscriber == _whose, held.key == key).limit(1)
    of_other = of_other.correlate_except(rows)
    found = select(other.id).where(other.id != _me, of_other.scalar_subquery().is_not(None)).limit(1)
    return found.correlate_except(others).scalar_subquery().is_not(None)


# Some keys with free rows, by leaps along the index from `after` on: a key in other hands costs one leap, however many
# rows it has. Turn 0 is where the last claim ended; a turn without a key is the end.
_begin: Final = select(bindparam("after", type_=Text).label("key"), literal(0).label("number")).cte(
    "turn", recursive=True
)
_later: Final = OUTBOX.alias("later").c
_turns: Final = _begin.union_all(
    select(
        select(func.min(_later.key))
        .where(_later.subscriber == _whose, _later.key > _begin.c.key, _later.member.is_(None))
        .scalar_subquery(),
        _begin.c.number + 1,
    ).where(_begin.c.key.is_not(None), _begin.c.number < bindparam("turns", type_=Integer))
)
_turn: Final = _turns.c

_has_right: Final = and_(
    _turn.number > bindparam("done", type_=Integer),
    lives(_me),  # a replica that was taken for dead claims nothing
    _cleared_up,  # or an earlier row of a key may lie with the dead
)
# How many rows of a key: those of one must not fill the memory while others wait.
_length: Final = case((_turn.key == "", bindparam("unkeyed", type_=Integer)), else_=bindparam("run", type_=Integer))


_taken: Final = ("seq", "event_id", "type", "key", "body", "created", "attempts", "due_at", "crashes")


def _take(numbers: Select[Any]) -> ReturningUpdate[Any]:
    """Look and take in one statement: between two, writers would wait for an event loop that is busy delivering."""
    return update(OUTBOX).where(_row.seq.in_(numbers)).values(member=_me).returning(*(_row[name] for name in _taken))


def _end(key: Any, length: str) -> ColumnElement[Any]:
    """Where a run of a key's free rows ends."""
    run = OUTBOX.alias("run").c
    ends = select(run.seq).where(_is_free(run, key)).order_by(run.seq).limit(1)
    return func.coalesce(ends.offset(bindparam(length, type_=Integer)).scalar_subquery(), _LAST)


_candidates: Final = OUTBOX.alias("candidate")
_candidate: Final = _candidates.c
CLAIM: Final = _take(
    select(_candidate.seq)
    .select_from(_turns.join(_candidates, _is_free(_candidate, _turn.key)))
    .where(_candidate.seq < case((_turn.key == "", _end(literal(""), "unkeyed")), else_=_end(_turn.key, "run")))
    .where(or_(_turn.key == "", not_(_is_held_elsewhere(_turn.key))), _has_right)
)
FIRST_FREE: Final = select(func.min(_row.key)).where(_row.subscriber == _whose, FREE)
LAST_TURN: Final = select(func.max(_turn.key).label("key"), (func.count() > func.count(_turn.key)).label("is_end"))
ANY_FREE: Final = select(_row.seq).where(_row.subscriber == _whose, FREE).order_by(_row.key, _row.seq).limit(1)

# The same where relays claim side by side, as one statement that commits itself: what it locks waits for nobody's event
# loop. One relay claims at a time, and another one comes again soon: side by side they would look through the same
# keys. That is for speed alone. One that looked before the last claim was there sees rows free that are not, and locks
# none of them: they are skipped, and so is whatever comes after them in their key, or else it would overtake them. What
# is taken is what looks free, in the same order, up to the first row that is skipped.
_place: Final = func.hashtextextended(func.concat("meristem claim ", func.current_schema(), "/", _whose), literal(0))
_gate: Final = select(
    or_(bindparam("regardless", type_=Boolean), func.pg_try_advisory_xact_lock(_place)).label("is_open")
).cte("gate")
_is_open: Final = select(_gate.c.is_open).scalar_subquery()
_wanted: Final = OUTBOX.alias("wanted").c
_looks_free: Final = (
    select(_wanted.seq).where(_is_free(_wanted, _turn.key)).order_by(_wanted.seq).limit(_length).correlate(_turns)
)
_run: Final = (
    func.unnest(
        func.array(_looks_free.scalar_subquery()),
        func.array(_looks_free.with_for_update(skip_locked=True).scalar_subquery()),
    )
    .table_valued("wanted", "locked")
    .render_derived(name="run")
)
# The keys in other hands, of those from the first to the last turn, by a leap to each other replica's: a question for
# each key and replica would be as many as both, multiplied.
_other: Final = MEMBERS.alias("other")
_theirs: Final = OUTBOX.alias("theirs")
_first_key, _last_key = select(func.min(_turn.key)).scalar_subquery(), select(func.max(_turn.key)).scalar_subquery()
_of_other: Final = (
    select(_theirs.c.key)
    .where(_theirs.c.member == _other.c.id, _theirs.c.subscriber == _whose)
    .where(_theirs.c.key >= _first_key, _theirs.c.key <= _last_key)
    .limit(_LAST)
    .correlate_except(_theirs)
    .lateral("of_other")
)
_held_keys: Final = select(_of_other.c.key).select_from(_other.join(_of_other, true())).where(_other.c.id != _me)
_claimed: Final = _take(
    select(_run.c.locked)
    .select_from(_turns.join(_run, true()))
    .where(_is_open, _has_right)
    .where(or_(_turn.key == "", and_(_turn.key.not_in(_held_keys), _run.c.locked == _run.c.wanted)))
).cte("claimed")
_last: Final = LAST_TURN.where(_is_open).cte("last_turn")
# A row without an event where none was taken.
CLAIM_SIDE_BY_SIDE: Final = (
    select(
        _is_open.label("is_open"),
        func.coalesce(_last.c.key, "").label("last_key"),
        _last.c.is_end,
        _claimed.c.crashes,
        *(func.coalesce(_claimed.c[name], literal("")).label(name) for name in ("event_id", "type", "key", "body")),
        *(func.coalesce(_claimed.c[name], literal(0)).label(name) for name in ("seq", "created", "attempts", "due_at")),
    )
    .select_from(_last.outerjoin(_claimed, true()))
    .execution_options(**{PLANNED_ANEW: True})
)

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
