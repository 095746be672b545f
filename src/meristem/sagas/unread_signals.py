"""Which signals are kept for a saga that it has not read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import bindparam, exists, select

from meristem.sagas.commands import signal_named, signal_type
from meristem.sagas.saga_views import KeptSignal
from meristem.sagas.signalling import SignalBody
from meristem.sagas.tables import EVENTS, STEPS
from meristem.storage.database import Database

_UNREAD: Final = (
    select(EVENTS.c.type, EVENTS.c.received, EVENTS.c.body)
    .where(
        EVENTS.c.key == bindparam("id_"),
        EVENTS.c.type.like(f"{signal_type('')}%"),
        ~exists().where(STEPS.c.saga_id == bindparam("id_"), STEPS.c.event == EVENTS.c.id),
    )
    .order_by(EVENTS.c.id)
)


class _Row(msgspec.Struct):
    type: str
    received: datetime
    body: str


async def unread_signals(database: Database, saga_id: str, *, values: bool = False) -> Sequence[KeptSignal]:
    """The signals that a saga was sent and has not read, in the order in which it would get them."""
    return [
        KeptSignal(
            name=signal_named(row.type) or row.type,
            received=row.received,
            body=bytes(msgspec.json.decode(row.body, type=SignalBody).value).decode() if values else None,
        )
        for row in await database.fetch_all(_UNREAD, {"id_": saga_id}, into=_Row)
    ]
