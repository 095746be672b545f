"""The outbox's statements, built once; each is one round trip."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
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
    select,
    update,
)

from meristem.events.tables import DEAD, OUTBOX, PENDING
from meristem.storage.lease import MEMBERS, is_free, lives

_me: Final = bindparam("me", type_=BigInteger)
_row: Final = OUTBOX.c
_candidates: Final = OUTBOX.alias("candidate")
_candidate: Final = _candidates.c
_earlier: Final = OUTBOX.alias("earlier").c
_others: Final = select(MEMBERS.c.id).where(MEMBERS.c.id != _me)

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
        "member": bindparam("member"),
    }
)

# Free is what no replica holds, or one that is no longer alive; what this relay holds is in its memory already.
_free: Final = is_free(_candidate.member)
_overtakes: Final = exists(literal(1)).where(
    _candidate.key != "",
    _earlier.subscriber == _candidate.subscriber,
    _earlier.key == _candidate.key,
    _earlier.seq < _candidate.seq,
    _earlier.state == PENDING,
    _earlier.member.in_(_others),
)
# First, and once for all rows: alone, nobody is overtaken, and looking at all earlier rows of each key takes for ever.
_others_live: Final = exists(_others)
CLAIMABLE: Final = (
    select(_candidate.seq)
    .where(
        _candidate.subscriber == bindparam("whose", type_=Text),
        _candidate.state == PENDING,
        _free,
        lives(_me),  # a replica that was taken for dead claims nothing
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
CLAIM: Final = update(OUTBOX).where(_row.seq.in_(CLAIMABLE)).values(member=_me).returning(*_CLAIMED)

# The same where relays claim side by side. One that claims just now holds locks on rows that still look free: they are
# skipped, and so is whatever comes after them in their key, or else it would overtake them.
_locked: Final = CLAIMABLE.add_columns(_candidate.key).with_for_update(of=_candidates, skip_locked=True).cte("locked")
_skipped: Final = exists(literal(1)).where(
    _locked.c.key != "",
    _earlier.subscriber == bindparam("whose", type_=Text),
    _earlier.key == _locked.c.key,
    _earlier.seq < _locked.c.seq,
    _earlier.state == PENDING,
    _earlier.member.is_distinct_from(_me),
    _earlier.seq.not_in(select(_locked.c.seq)),
)
CLAIM_SIDE_BY_SIDE: Final = (
    update(OUTBOX)
    .where(_row.seq.in_(select(_locked.c.seq).where(not_(and_(_others_live, _skipped)))))
    .values(member=_me)
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
# What was acknowledged is done, whoever holds the row by now. All else is for the one that holds it: a replica that
# was taken for dead and comes back must not count an attempt, nor bury what another one delivers.
RELEASE: Final = update(OUTBOX).where(_row.member == _me).values(member=null())
REMOVE: Final = delete(OUTBOX).where(_delivered)
_held: Final = and_(_delivered, _row.member == _me)
_failed: Final[dict[str, Any]] = {"attempts": bindparam("failed"), "error": bindparam("reason")}
POSTPONE: Final = update(OUTBOX).where(_held).values(_failed | {"due_at": bindparam("due")})
DEAD_LETTER: Final = update(OUTBOX).where(_held).values(_failed | {"state": literal(DEAD), "member": null()})
