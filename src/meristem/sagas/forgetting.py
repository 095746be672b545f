"""What the journal forgets: events that no saga can want any more, and sagas that ended long ago."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.sagas import statements as sql
from meristem.sagas.tables import SAGAS
from meristem.storage.sweep import Sweep

if TYPE_CHECKING:
    from meristem.storage.database import Database

_PIECE: Final = 500  # events at once: writers wait for each piece alone
_SAGAS: Final = 20  # sagas at once, each with all its steps
_PAUSE: Final = 0.02  # seconds of the machine between two pieces
OLD_SAGAS: Final = Sweep(SAGAS, SAGAS.c.updated, SAGAS.c.state.in_(sql.RESTING))


class _Horizon(msgspec.Struct):
    name: str
    horizon: int


class _Event(msgspec.Struct):
    id: int
    type: str


async def forget_events(database: Database, waits: Mapping[str, frozenset[str]]) -> None:
    """Delete the events that came before every saga that may still ask for them.

    `waits` names the event types that each saga may wait for. One whose name is not there is of another release: it may
    ask for any.
    """
    # In this order: a saga that begins after the first statement has all that is there behind it.
    newest = await database.fetch_value(sql.LAST_EVENT)
    horizons = await database.fetch_all(sql.HORIZONS, into=_Horizon)
    after, is_last = 0, False
    while not is_last:
        values = {"after_": after, "newest_": newest, "limit_": _PIECE}
        events = await database.fetch_all(sql.SOME_EVENTS, values, into=_Event)
        unwanted = [
            {"event_": event.id}
            for event in events
            if all(event.id <= each.horizon for each in horizons if event.type in waits.get(each.name, (event.type,)))
        ]
        if unwanted:
            await database.execute(sql.FORGET_EVENT, unwanted)
        is_last = len(events) < _PIECE
        if not is_last:
            after = events[-1].id
            await asyncio.sleep(_PAUSE)


async def forget_sagas(database: Database, before: datetime) -> None:
    """Delete the sagas that ended before then, with their steps."""
    async for old in OLD_SAGAS.find(database, before):
        for first in range(0, len(old), _SAGAS):
            values = [{"id_": each["id"]} for each in old[first : first + _SAGAS]]
            async with database.unit() as unit:
                await unit.execute(sql.FORGET_STEPS, values)
                await unit.execute(sql.FORGET_TRIES, values)
                await unit.execute(sql.FORGET_TERMS, values)
                await unit.execute(sql.FORGET_SAGA, values)
