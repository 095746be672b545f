"""Dead letters: events that a subscriber could not handle, kept until a person redrives or discards them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Float, Text, and_, bindparam, delete, null, select, update

from meristem.events.tables import DEAD, OUTBOX, PENDING

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

    from meristem.clock import Clock
    from meristem.storage.database import Database

_row: Final = OUTBOX.c
_all: Final = _row.state == DEAD
_one: Final = and_(_all, _row.seq == bindparam("id"))
_theirs: Final = and_(_all, _row.subscriber == bindparam("of_subscriber", type_=Text))
_columns: Final = (
    _row.seq.label("id"),
    _row.event_id,
    _row.type,
    _row.subscriber,
    _row.key,
    _row.error,
    _row.attempts,
    _row.created,
    _row.body,
)
_LIST: Final = select(*_columns).where(_all).order_by(_row.seq).limit(bindparam("count"))
_LIST_THEIRS: Final = select(*_columns).where(_theirs).order_by(_row.seq).limit(bindparam("count"))


def _redrive(which: ColumnElement[bool]) -> Any:
    fresh = {"state": PENDING, "attempts": 0, "due_at": bindparam("now", type_=Float), "member": null()}
    return update(OUTBOX).where(which).values(fresh)


_REDRIVE: Final = {"all": _redrive(_all), "one": _redrive(_one), "theirs": _redrive(_theirs)}
_DISCARD: Final = {
    "all": delete(OUTBOX).where(_all),
    "one": delete(OUTBOX).where(_one),
    "theirs": delete(OUTBOX).where(_theirs),
}
_FORGET: Final = delete(OUTBOX).where(_row.subscriber == bindparam("of_subscriber", type_=Text))


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
        which, parameters = _which(id, subscriber)
        parameters["now"] = self._clock.now().timestamp()
        return (await self._database.execute(_REDRIVE[which], parameters)).rowcount

    async def discard(self, id: int | None = None, *, subscriber: str | None = None) -> int:  # noqa: A002 - its name
        """Delete one for good, or all of a subscriber, or all; returns how many."""
        which, parameters = _which(id, subscriber)
        return (await self._database.execute(_DISCARD[which], parameters)).rowcount

    async def forget(self, subscriber: str) -> int:
        """Delete all that is owed to a subscriber that is gone for good, dead or still waiting; returns how many."""
        return (await self._database.execute(_FORGET, {"of_subscriber": subscriber})).rowcount


def _which(id: int | None, subscriber: str | None) -> tuple[str, dict[str, Any]]:  # noqa: A002 - its name
    if id is not None:
        return "one", {"id": id}
    return ("all", {}) if subscriber is None else ("theirs", {"of_subscriber": subscriber})
