"""The outbox's statements, built once; each is one round trip."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Float,
    Text,
    and_,
    bindparam,
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

from meristem.events.tables import DEAD, OUTBOX, PENDING, RELAYS

_me: Final = bindparam("me", type_=Text)
_now: Final = bindparam("now", type_=Float)
_row: Final = OUTBOX.c
_candidates: Final = OUTBOX.alias("candidate")
_candidate: Final = _candidates.c
_earlier: Final = OUTBOX.alias("earlier").c
_living: Final = select(RELAYS.c.owner).where(RELAYS.c.alive_until > _now, RELAYS.c.owner != _me)

INSERT: Final = insert(OUTBOX).values(
    {
        "event_id": bindparam("event_id"),
        "subscriber": bindparam("subscriber"),
        "type": bindparam("type"),
        "key": bindparam("key"),
        "body": bindparam("body"),
        "created": bindparam("created"),
        "attempts": literal(0),
        "due_at": bindparam("created"),
        "state": literal(PENDING),
        "owner": bindparam("owner"),
    }
)

# Free is what no replica holds, or one that is no longer alive; what this relay holds is in its memory already.
_free: Final = or_(_candidate.owner.is_(None), and_(_candidate.owner != _me, _candidate.owner.not_in(_living)))
_overtakes: Final = exists(literal(1)).where(
    _candidate.key != "",
    _earlier.subscriber == _candidate.subscriber,
    _earlier.key == _candidate.key,
    _earlier.seq < _candidate.seq,
    _earlier.state == PENDING,
    _earlier.owner.in_(_living),
)
# First, and once for all rows: alone, nobody is overtaken, and looking at all earlier rows of each key takes for ever.
_others_live: Final = exists(_living)
CLAIMABLE: Final = (
    select(_candidate.seq)
    .where(
        _candidate.subscriber == bindparam("whose", type_=Text),
        _candidate.state == PENDING,
        _free,
        not_(and_(_others_live, _overtakes)),
    )
    .order_by(_candidate.seq)
    .limit(bindparam("count"))
)
_CLAIMED: Final = (
    _row.seq,
    _row.event_id,
    _row.subscriber,
    _row.type,
    _row.key,
    _row.body,
    _row.created,
    _row.attempts,
    _row.due_at,
)
CLAIM: Final = update(OUTBOX).where(_row.seq.in_(CLAIMABLE)).values(owner=_me).returning(*_CLAIMED)

# The same where relays claim side by side. One that claims just now holds locks on rows that still look free: they are
# skipped, and so is whatever comes after them in their key, or else it would overtake them.
_locked: Final = CLAIMABLE.add_columns(_candidate.key).with_for_update(of=_candidates, skip_locked=True).cte("locked")
_skipped: Final = exists(literal(1)).where(
    _locked.c.key != "",
    _earlier.subscriber == bindparam("whose", type_=Text),
    _earlier.key == _locked.c.key,
    _earlier.seq < _locked.c.seq,
    _earlier.state == PENDING,
    _earlier.owner.is_distinct_from(_me),
    _earlier.seq.not_in(select(_locked.c.seq)),
)
CLAIM_SIDE_BY_SIDE: Final = (
    update(OUTBOX)
    .where(_row.seq.in_(select(_locked.c.seq).where(not_(and_(_others_live, _skipped)))))
    .values(owner=_me)
    .returning(*_CLAIMED)
)
NEXT_SUBSCRIBER: Final = select(func.min(_row.subscriber)).where(
    _row.subscriber > bindparam("after", type_=Text), _row.state == PENDING
)
# Counted in the index of the queue alone; the first row of each group is the oldest.
_queues: Final = (
    select(_row.subscriber, _row.state, func.count().label("count"), func.min(_row.seq).label("first"))
    .group_by(_row.subscriber, _row.state)
    .subquery()
)
DEPTH: Final = (
    select(_queues.c.subscriber, _queues.c.state, _queues.c.count.label("count"), _row.created.label("oldest"))
    .join(OUTBOX, _row.seq == _queues.c.first)
    .order_by(_queues.c.subscriber)
)

_delivered: Final = and_(
    _row.event_id == bindparam("event", type_=Text), _row.subscriber == bindparam("of_subscriber", type_=Text)
)
REMOVE: Final = delete(OUTBOX).where(_delivered)
_failed: Final[dict[str, Any]] = {"attempts": bindparam("failed"), "error": bindparam("reason")}
POSTPONE: Final = update(OUTBOX).where(_delivered).values(_failed | {"due_at": bindparam("due")})
DEAD_LETTER: Final = update(OUTBOX).where(_delivered).values(_failed | {"state": literal(DEAD), "owner": null()})
RELEASE: Final = update(OUTBOX).where(_row.owner == _me).values(owner=null())

LEAVE: Final = delete(RELAYS).where(or_(RELAYS.c.owner == _me, RELAYS.c.alive_until <= _now))
JOIN: Final = insert(RELAYS).values(owner=_me, alive_until=bindparam("until", type_=Float))
OTHERS: Final = select(func.count()).select_from(RELAYS).where(RELAYS.c.alive_until > _now, RELAYS.c.owner != _me)
