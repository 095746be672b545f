"""Which saga began a saga, and which it began, as the keys of their steps tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, select

from meristem.contracts.message import Message
from meristem.sagas.origin import origin_of
from meristem.sagas.records import SagaRow, SagaState
from meristem.sagas.statements import RESTING
from meristem.sagas.tables import SAGAS
from meristem.storage.database import Database

_STEP_KEY: Final = re.compile(r"([0-9a-f]{32}):([0-9/]+)")
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


class Relative(Message):
    """The parent or a child of a saga; `position` is the parent's step that began the child."""

    id: str
    position: str
    name: str | None = None
    state: SagaState | None = None


def parent_of(saga: SagaRow) -> Relative | None:
    """The saga of this service whose step began this one, if one did."""
    found = _STEP_KEY.fullmatch(origin_of(saga).key or "")
    return None if found is None else Relative(id=found[1], position=found[2])


async def children_of(database: Database, saga: SagaRow, now: datetime) -> Sequence[Relative]:
    """The sagas of this service that steps of a saga began, in the order in which they did."""
    until = saga.updated if saga.state.value in RESTING else now
    values = {"since_": saga.created - _SKEW, "until_": until + _SKEW, "key_": f'%"key":"{saga.id}:%'}
    return [
        Relative(id=row.id, position=parent.position, name=row.name, state=row.state)
        for row in await database.fetch_all(_CHILDREN, values, into=SagaRow)
        if (parent := parent_of(row)) is not None and parent.id == saga.id
    ]
