"""Which saga began a saga, and which it began, as the keys of their steps tell."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import bindparam, select

from meristem.sagas.commands import START
from meristem.sagas.origin import origin_of, step_key
from meristem.sagas.records import Kind, SagaRow, StepRow
from meristem.sagas.saga_views import Relative
from meristem.sagas.statements import RESTING
from meristem.sagas.tables import SAGAS
from meristem.storage.database import Database

_SKEW: Final = timedelta(minutes=5)  # between the clocks of two replicas
# By when they began, which is an index, and not through all that there are.
_CHILDREN: Final = (
    select(SAGAS)
    .where(
        SAGAS.c.created >= bindparam("since_", type_=SAGAS.c.created.type),
        SAGAS.c.created <= bindparam("until_", type_=SAGAS.c.created.type),
        SAGAS.c.context.like(bindparam("key_")),
    )
    .order_by(SAGAS.c.created, SAGAS.c.id)
)


def parent_of(saga: SagaRow) -> Relative | None:
    """The saga of this service whose step began this one, if one did."""
    found = step_key(origin_of(saga).key)
    return None if found is None else Relative(id=found[0], position=found[1])


async def children_of(database: Database, saga: SagaRow, steps: Sequence[StepRow], now: datetime) -> Sequence[Relative]:
    """The sagas that steps of a saga began: those of its service, and those elsewhere that a start was answered by."""
    until = saga.updated if saga.state.value in RESTING else now
    values = {"since_": saga.created - _SKEW, "until_": until + _SKEW, "key_": f'%"key":"{saga.id}:%'}
    here = [
        Relative(id=row.id, position=parent.position, name=row.name, state=row.state)
        for row in await database.fetch_all(_CHILDREN, values, into=SagaRow)
        if (parent := parent_of(row)) is not None and parent.id == saga.id
    ]
    known = {each.id for each in here}
    started = [
        Relative(id=msgspec.json.decode(row.reply, type=str), position=row.position, name=row.name.removeprefix(START))
        for row in steps
        if row.name.startswith(START) and row.kind is Kind.CALL and row.reply is not None
    ]
    return [*here, *(each for each in started if each.id not in known)]
