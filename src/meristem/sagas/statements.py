"""The journal's SQL; every write to a saga says which fence its writer holds, and does nothing when that has passed."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Column,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exists,
    false,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)

from meristem.sagas.records import SagaState
from meristem.sagas.tables import AWAITS, EVENTS, FIELDS, NOT_DONE, SAGAS, SEARCH, SLEEPS, STEPS, TRIES
from meristem.storage.lease_tables import is_free, lives

ACTIVE: Final = (SagaState.RUNNING.value, SagaState.UNDOING.value)
RESTING: Final = (SagaState.DONE.value, SagaState.FAILED.value)
GOING: Final = tuple(each.value for each in SagaState if each.value not in RESTING)


def _given(column: Column[Any]) -> Any:
    return bindparam(f"v_{column.name}", type_=column.type)


def _setting(table: Table, *names: str) -> dict[str, Any]:
    return {name: _given(table.c[name]) for name in names}


_mine = (SAGAS.c.id == bindparam("id_"), SAGAS.c.fence == bindparam("fence_"))
# FOR UPDATE: where writers run side by side, a step waits for a take-over under way and then sees the new fence.
_held = select(SAGAS.c.id).where(*_mine).with_for_update().scalar_subquery()

FROM_ID: Final = select(SAGAS.c.id).where(SAGAS.c.id >= bindparam("id_")).order_by(SAGAS.c.id).limit(5)
LOAD: Final = select(SAGAS).where(SAGAS.c.id == bindparam("id_"))
# A write that changes nothing, since a unit of work that has only read holds no lock anywhere.
LOCK: Final = update(SAGAS).where(SAGAS.c.id == bindparam("id_")).values(fence=SAGAS.c.fence)
STEPS_OF: Final = select(STEPS).where(STEPS.c.saga_id == bindparam("id_"))
STEP: Final = STEPS_OF.where(STEPS.c.position == bindparam("position_"), STEPS.c.kind == bindparam("kind_"))

# Only if the id is new, so a key begins one saga however many replicas are asked at once; and if it is not begun as the
# request of a caller who is signed in otherwise. The horizon is read by the
# statement itself: an event that commits before it is not for this saga, and one that commits after it is.
_born = [column for column in SAGAS.c if column.name != "horizon"]
CREATE: Final = insert(SAGAS).from_select(
    [*(column.name for column in _born), "horizon"],
    select(
        *(_given(column) for column in _born),
        select(func.coalesce(func.max(EVENTS.c.id), 0)).scalar_subquery(),
    ).where(
        ~exists().where(SAGAS.c.id == bindparam("id_")),
        ~exists().where(SAGAS.c.asked == bindparam("twin_")),
    ),
)

RECORD: Final = insert(STEPS).from_select(
    [column.name for column in STEPS.c],
    select(*(_given(column) for column in STEPS.c)).select_from(SAGAS).where(*_mine).with_for_update(),
)
ANSWER: Final = (
    update(STEPS)
    .where(
        STEPS.c.saga_id == _held,
        STEPS.c.position == bindparam("position_"),
        STEPS.c.kind == bindparam("kind_"),
    )
    .values(_setting(STEPS, "state", "sequence", "reply", "error", "due", "event", "attempts", "ended"))
)
TRY: Final = insert(TRIES).from_select(
    [column.name for column in TRIES.c],
    select(*(_given(column) for column in TRIES.c)).select_from(SAGAS).where(*_mine),
)
TRY_AGAIN: Final = (
    update(TRIES)
    .where(TRIES.c.saga_id == _held, TRIES.c.position == bindparam("position_"))
    .values(_setting(TRIES, "attempts", "error", "due"))
)
TERM: Final = insert(SEARCH)
COPY_TERMS: Final = insert(SEARCH).from_select(
    ["saga_id", "field", "term"],
    select(bindparam("to_", type_=SEARCH.c.saga_id.type), SEARCH.c.field, SEARCH.c.term).where(
        SEARCH.c.saga_id == bindparam("id_")
    ),
)
# Of a bounded piece of all sagas: those of one name, and without a term, may be far apart.
_since = bindparam("since_", type_=SAGAS.c.created.type)
_piece = (
    select(SAGAS.c.id, SAGAS.c.name, SAGAS.c.created, SAGAS.c.input)
    .where(
        SAGAS.c.created >= _since,
        or_(SAGAS.c.created > _since, SAGAS.c.id > bindparam("after_", type_=SAGAS.c.id.type)),
    )
    .order_by(SAGAS.c.created, SAGAS.c.id)
    .limit(bindparam("limit_"))
    .subquery("piece")
)
_has_term = exists().where(SEARCH.c.saga_id == _piece.c.id, SEARCH.c.field == bindparam("field_"))
UNINDEXED: Final = select(
    _piece.c.id,
    _piece.c.created,
    case((and_(_piece.c.name == bindparam("name_"), ~_has_term), _piece.c.input)).label("input"),
).order_by(_piece.c.created, _piece.c.id)
SEARCHABLE: Final = select(FIELDS).order_by(FIELDS.c.saga, FIELDS.c.field)
_declared = (FIELDS.c.saga == bindparam("saga_"), FIELDS.c.field == bindparam("field_"))
DECLARE: Final = insert(FIELDS)
UNDECLARE: Final = delete(FIELDS).where(*_declared)
REACHED: Final = update(FIELDS).where(*_declared).values(_setting(FIELDS, "upto"))
CHANGE: Final = (
    update(SAGAS)
    .where(*_mine)
    .values(_setting(SAGAS, "state", "result", "error", "problem", "resume", "member", "wake_at", "updated"))
)
CHANGE_CONTEXT: Final = update(SAGAS).where(*_mine).values(_setting(SAGAS, "context"))

SURVIVED: Final = update(SAGAS).where(*_mine).values(crashes=None)

# Only one that is worked on has an owner.
RELEASE: Final = (
    update(SAGAS).where(SAGAS.c.state.in_(ACTIVE), NOT_DONE, SAGAS.c.member == bindparam("member_")).values(member=None)
)

LAPSED: Final = (
    select(SAGAS.c.id).where(SAGAS.c.state.in_(ACTIVE), NOT_DONE, is_free(SAGAS.c.member)).limit(bindparam("limit_"))
)
DUE: Final = (
    select(SAGAS.c.id)
    .where(
        SAGAS.c.state == SagaState.WAITING.value,
        SAGAS.c.wake_at <= bindparam("now_", type_=SAGAS.c.wake_at.type),
        SLEEPS,
    )
    .order_by(SAGAS.c.wake_at)
    .limit(bindparam("limit_"))
)

FROM_LATER: Final = (
    select(SAGAS.c.id)
    .where(
        SAGAS.c.state == SagaState.WAITING.value,
        SAGAS.c.updated > bindparam("now_", type_=SAGAS.c.updated.type),
        SLEEPS,
    )
    .limit(bindparam("limit_"))
)

NEXT_WAKE: Final = select(func.min(SAGAS.c.wake_at)).where(SAGAS.c.state == SagaState.WAITING.value, SLEEPS)

_taken = STEPS.alias("taken")


def _is_fresh(event: Any, saga_id: Any) -> Any:
    """An event answers one wait of a saga: the second wait for the same type and key needs the next event.

    Both must be columns of the select around it: one from further out would be that of any saga.
    """
    return ~exists().where(_taken.c.saga_id == saga_id, _taken.c.event == event)


# From the events that came since the last look, not from all that wait: a piece of them costs what it has.
_came = (
    select(EVENTS.c.id, EVENTS.c.type, EVENTS.c.key)
    .where(EVENTS.c.id > bindparam("after_", type_=EVENTS.c.id.type))
    .order_by(EVENTS.c.id)
    .limit(bindparam("limit_"))
    .subquery("came")
)
CAME: Final = select(func.max(_came.c.id))
ARRIVED: Final = (
    select(SAGAS.c.id)
    .select_from(_came)
    .join(STEPS, (STEPS.c.name == _came.c.type) & (STEPS.c.subject == _came.c.key) & AWAITS)
    .join(SAGAS, SAGAS.c.id == STEPS.c.saga_id)
    .where(SAGAS.c.state == SagaState.WAITING.value, _came.c.id > SAGAS.c.horizon, _is_fresh(_came.c.id, SAGAS.c.id))
    .distinct()
)
# A saga that has just gone to sleep while its event came: one that comes later finds it waiting.
AWAKE: Final = (
    update(SAGAS)
    .where(
        *_mine,
        SAGAS.c.state == SagaState.WAITING.value,
        exists(literal(1)).where(
            STEPS.c.saga_id == SAGAS.c.id,
            AWAITS,
            EVENTS.c.type == STEPS.c.name,
            EVENTS.c.key == STEPS.c.subject,
            EVENTS.c.id > SAGAS.c.horizon,
            _is_fresh(EVENTS.c.id, STEPS.c.saga_id),
        ),
    )
    .values(state=SagaState.RUNNING.value)
)
CLAIM: Final = (
    update(SAGAS)
    .where(*_mine, SAGAS.c.state == bindparam("state_"), lives(_given(SAGAS.c.member)))
    .values(fence=SAGAS.c.fence + 1, attempts=SAGAS.c.attempts + 1, wake_at=None)
    .values(_setting(SAGAS, "state", "member", "updated", "crashes"))
)

BUFFER: Final = insert(EVENTS)
# The key under which it was sent is a part of its body: one that is sent again is there already.
_signal = ("type", "key", "body")
KEEP_SIGNAL: Final = insert(EVENTS).from_select(
    [*_signal, "received"],
    select(*(_given(EVENTS.c[name]) for name in (*_signal, "received"))).where(
        ~exists(literal(1)).where(*(EVENTS.c[name] == _given(EVENTS.c[name]) for name in _signal))
    ),
)
KEPT: Final = select(func.count()).where(*(EVENTS.c[name] == _given(EVENTS.c[name]) for name in _signal))
EVENT: Final = (
    select(EVENTS.c.id, EVENTS.c.body)
    .where(
        EVENTS.c.type == bindparam("type_"),
        EVENTS.c.key == bindparam("key_"),
        EVENTS.c.id > bindparam("after_"),
        ~exists().where(STEPS.c.saga_id == bindparam("id_"), STEPS.c.event == EVENTS.c.id),
    )
    .order_by(EVENTS.c.id)
    .limit(1)
)
# A saga that is not at rest may still ask for any event of its kinds after its horizon.
HORIZONS: Final = (
    select(SAGAS.c.name, func.min(SAGAS.c.horizon).label("horizon"))
    .where(SAGAS.c.state.in_(GOING), NOT_DONE)
    .group_by(SAGAS.c.name)
)
LAST_EVENT: Final = select(func.coalesce(func.max(EVENTS.c.id), 0))
SOME_EVENTS: Final = (
    select(EVENTS.c.id, EVENTS.c.type)
    .where(EVENTS.c.id > bindparam("after_"), EVENTS.c.id <= bindparam("newest_"))
    .order_by(EVENTS.c.id)
    .limit(bindparam("limit_"))
)
FORGET_EVENT: Final = delete(EVENTS).where(EVENTS.c.id == bindparam("event_"))
FORGET_STEPS: Final = delete(STEPS).where(STEPS.c.saga_id == bindparam("id_"))
FORGET_TRIES: Final = delete(TRIES).where(TRIES.c.saga_id == bindparam("id_"))
FORGET_TERMS: Final = delete(SEARCH).where(SEARCH.c.saga_id == bindparam("id_"))
FORGET_SAGA: Final = delete(SAGAS).where(SAGAS.c.id == bindparam("id_"))

COUNTS: Final = (
    select(SAGAS.c.state, func.count().label("count")).where(SAGAS.c.state.in_(GOING), NOT_DONE).group_by(SAGAS.c.state)
)
_freed: Final[dict[str, Any]] = {
    "fence": SAGAS.c.fence + 1,
    "problem": None,
    "resume": None,
    "member": None,
    "crashes": None,
    "updated": _given(SAGAS.c.updated),
}
RETRY: Final = (
    update(SAGAS)
    .where(SAGAS.c.id == bindparam("id_"), SAGAS.c.state == SagaState.PARKED.value)
    .values(
        state=func.coalesce(SAGAS.c.resume, literal(SagaState.RUNNING.value)),
        **_freed,
    )
)
RETRY_ONE_OF_MANY: Final = RETRY.returning(*SAGAS.c)
BEGIN: Final = insert(SAGAS).values({column.name: _given(column) for column in SAGAS.c})
COPY: Final = insert(STEPS)
HAND_OVER: Final = (
    update(SAGAS)
    .where(*_mine, SAGAS.c.state == SagaState.PARKED.value)
    .values(state=SagaState.FAILED.value, error=_given(SAGAS.c.error), **_freed)
)
# It has no owner afterwards: the replica that ran it meets a passed fence, and the next owner begins to undo.
CANCEL: Final = (
    update(SAGAS)
    .where(
        SAGAS.c.id == bindparam("id_"),
        SAGAS.c.state.in_((SagaState.RUNNING.value, SagaState.WAITING.value, SagaState.PARKED.value)),
        or_(SAGAS.c.resume.is_(None), SAGAS.c.resume != SagaState.UNDOING.value),
    )
    .values(
        state=SagaState.RUNNING.value,
        cancelled=true(),
        **_freed,
    )
)
# Of those that were cancelled before nothing is changed, nor are they told of again.
CANCEL_ONE_OF_MANY: Final = CANCEL.where(SAGAS.c.cancelled.is_(false())).returning(*SAGAS.c)
