"""Dead letters: events that a subscriber could not handle, kept until a person redrives or discards them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Text, bindparam, delete, func, select

from meristem.events.statements import FORGET_FREE, FORGET_HELD, HOLDERS, UNEARTH
from meristem.events.tables import DEAD_LETTERS

if TYPE_CHECKING:
    from sqlalchemy.sql import Executable

    from meristem.clock import Clock
    from meristem.storage.database import Database

_PIECE: Final = 500  # rows changed at once: writers wait for each piece alone

_letter: Final = DEAD_LETTERS.c
_theirs: Final = _letter.subscriber == bindparam("of_subscriber", type_=Text)
_LIST: Final = select(DEAD_LETTERS).order_by(_letter.id).limit(bindparam("count"))
_LIST_THEIRS: Final = _LIST.where(_theirs)
_NEWEST: Final = select(func.max(_letter.id))
_IDS: Final = select(_letter.id).where(_letter.id <= bindparam("newest")).order_by(_letter.id).limit(_PIECE)
_IDS_THEIRS: Final = _IDS.where(_theirs)
_DISCARD: Final = delete(DEAD_LETTERS).where(_letter.id == bindparam("of_id"))


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that its subscriber did not handle: its last error, and the CloudEvent as JSON in `body`.

    `id` names it for redrive and discard; `created` is when it was published, in seconds since the epoch.
    """

    id: int
    event_id: str
    type: str
    subscriber: str
    key: str
    error: str | None
    attempts: int
    created: float
    body: str


class DeadLetters:
    """The dead letters in a publishing service's database.

    A redriven event is tried as if it were new; the relay finds it within its polling time. Events of the same key
    that were delivered meanwhile stay delivered: it comes after them.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list(self, subscriber: str | None = None, *, count: int = 1000) -> Sequence[DeadLetter]:
        """The oldest first, at most `count`."""
        if subscriber is None:
            return await self._database.fetch_all(_LIST, {"count": count}, into=DeadLetter)
        parameters = {"count": count, "of_subscriber": subscriber}
        return await self._database.fetch_all(_LIST_THEIRS, parameters, into=DeadLetter)

    async def redrive(self, id: int | None = None, *, subscriber: str | None = None) -> int:  # noqa: A002 - its name
        """Deliver one again, or all of a subscriber, or all; returns how many."""
        return await self._take_out(id, subscriber, redrive=True)

    async def discard(self, id: int | None = None, *, subscriber: str | None = None) -> int:  # noqa: A002 - its name
        """Delete one for good, or all of a subscriber, or all; returns how many."""
        return await self._take_out(id, subscriber, redrive=False)

    async def forget(self, subscriber: str) -> int:
        """Delete all that is owed to a subscriber that is gone for good, dead or still waiting; returns how many."""
        count = await self.discard(subscriber=subscriber)
        of_subscriber = {"whose": subscriber, "count": _PIECE}
        count += await self._forget(FORGET_FREE, of_subscriber)
        for member in await self._database.fetch_all(HOLDERS, into=int):
            count += await self._forget(FORGET_HELD, of_subscriber | {"me": member})
        return count

    async def _forget(self, statement: Executable, values: dict[str, Any]) -> int:
        count, deleted = 0, _PIECE
        while deleted == _PIECE:
            deleted = (await self._database.execute(statement, values)).rowcount
            count += deleted
        return count

    async def _take_out(self, id: int | None, subscriber: str | None, *, redrive: bool) -> int:  # noqa: A002 - as above
        if id is not None:
            return await self._take_out_piece([id], redrive=redrive)
        # Those that are there by now: what is redriven and refused again becomes a letter anew.
        newest, count = await self._database.fetch_value(_NEWEST), 0
        while ids := await self._some(newest, subscriber):
            count += await self._take_out_piece(ids, redrive=redrive)
        return count

    async def _some(self, newest: int | None, subscriber: str | None) -> Sequence[int]:
        if subscriber is None:
            return await self._database.fetch_all(_IDS, {"newest": newest}, into=int)
        return await self._database.fetch_all(_IDS_THEIRS, {"newest": newest, "of_subscriber": subscriber}, into=int)

    async def _take_out_piece(self, ids: Sequence[int], *, redrive: bool) -> int:
        now = self._clock.now().timestamp()
        async with self._database.unit() as unit:
            if redrive:
                await unit.execute(UNEARTH, [{"of_id": each, "now": now} for each in ids])
                self._database.announce(unit)
            return (await unit.execute(_DISCARD, [{"of_id": each} for each in ids])).rowcount
