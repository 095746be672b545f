"""Which sagas still run without a patch, or with one: what a release needs to know before it drops either path."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, select

from meristem.contracts.message import Message
from meristem.sagas.origin import origin_of
from meristem.sagas.records import SagaRow, SagaState
from meristem.sagas.statements import GOING
from meristem.sagas.tables import NOT_DONE, SAGAS
from meristem.storage.database import Database

_PIECE: Final = 500
_GOING_OF: Final = (
    select(SAGAS)
    .where(SAGAS.c.name == bindparam("name_"), SAGAS.c.state.in_(GOING), NOT_DONE, SAGAS.c.id > bindparam("after_"))
    .order_by(SAGAS.c.id)
    .limit(_PIECE)
)


class Undrained(Message):
    """A saga that has not ended and needs the path that a release is about to drop."""

    id: str
    name: str
    state: SagaState
    created: datetime


async def undrained(database: Database, names: Collection[str], patch: str, *, taken: bool = False) -> list[Undrained]:
    """The sagas of these names that have not ended and do not take the patch.

    With `taken` those that take it and may be without: they began when it was not deprecated yet.
    """
    found = []
    for name in names:
        after = ""
        while rows := await database.fetch_all(_GOING_OF, {"name_": name, "after_": after}, into=SagaRow):
            after = rows[-1].id
            found += [
                Undrained(id=saga.id, name=saga.name, state=saga.state, created=saga.created)
                for saga in rows
                if (patch in origin_of(saga).patches if taken else not origin_of(saga).takes(patch))
            ]
    return sorted(found, key=lambda saga: (saga.created, saga.id))
