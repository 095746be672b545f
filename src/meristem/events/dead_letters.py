"""Dead letters: events that a subscriber could not handle, kept until a person redrives or discards them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import bindparam, delete, func, or_, select

from meristem.events.statements import FORGET_FREE, FORGET_HELD, HOLDERS, UNEARTH
from meristem.events.tables import DEAD_LETTERS

if TYPE_CHECKING:
    from sqlalchemy.sql import ColumnElement, Executable

    from meristem.clock import Clock
    from meristem.storage.database import Database

_PIECE: Final = 500  # rows changed at once: writers wait for each piece alone
_HEAD: Final = 4096  # characters of an event, in which its attributes are: they precede its data

_letter: Final = DEAD_LETTERS.c
_searched: Final = (_letter.error, _letter.type, _letter.key, _letter.event_id, _letter.body)
_NEWEST: Final = select(func.max(_letter.id))
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


class LetterFilter(msgspec.Struct, frozen=True):
    """Which dead letters: all unless it says less.

    Those of a subscriber and a type, published `since` (seconds since the epoch), which have a
    `text` in their reason, type, key, id or data, and with these `ids`.
    """

    subscriber: str | None = None
    type: str | None = None
    text: str = ""
    since: float | None = None
    ids: tuple[int, ...] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a row must fulfil."""
        found: list[ColumnElement[bool]] = []
        if self.subscriber is not None:
            found.append(_letter.subscriber == self.subscriber)
        if self.type is not None:
            found.append(_letter.type == self.type)
        if self.since is not None:
            found.append(_letter.created >= self.since)
        if self.ids is not None:
            found.append(_letter.id.in_(self.ids))
        if self.text:  # no index helps: dead letters are few, or something else is to be done about them
            found.append(or_(*(each.icontains(self.text, autoescape=True) for each in _searched)))
        return found


ALL: Final = LetterFilter()


class LetterCount(msgspec.Struct, frozen=True):
    """How many dead letters there are of a kind, and the newest of them, 0 where there is none."""

    count: int
    newest: int


class DeadLetters:
    """The dead letters in a publishing service's database.

    A redriven event is tried as if it were new; the relay finds it within its polling time. Events of the same key
    that were delivered meanwhile stay delivered: it comes after them.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list(
        self,
        like: LetterFilter = ALL,
        *,
        after: int | None = None,
        before: int | None = None,
        count: int = 1000,
        whole: bool = True,
    ) -> Sequence[DeadLetter]:
        """At most `count`: the oldest first, those with numbers `after` one; or the newest first, those `before` one.

        Without being `whole` they have the begin of their bodies, which has the attributes of the event.
        """
        body = _letter.body if whole else func.substr(_letter.body, 1, _HEAD).label("body")
        columns = [body if each is _letter.body else each for each in _letter]
        found = select(*columns).where(*like.conditions()).limit(count)
        if before is None:
            found = found.order_by(_letter.id)
            if after is not None:
                found = found.where(_letter.id > after)
        else:
            found = found.where(_letter.id < before).order_by(_letter.id.desc())
        return await self._database.fetch_all(found, into=DeadLetter)

    async def count(self, like: LetterFilter = ALL) -> LetterCount:
        """How many there are."""
        numbers = select(func.count().label("count"), func.coalesce(func.max(_letter.id), 0).label("newest"))
        [found] = await self._database.fetch_all(
            numbers.select_from(DEAD_LETTERS).where(*like.conditions()), into=LetterCount
        )
        return found

    async def redrive(self, like: LetterFilter = ALL, *, up_to: int | None = None) -> int:
        """Deliver again what is like that, with numbers `up_to` one; returns how many."""
        return await self._take_out(like, up_to, redrive=True)

    async def discard(self, like: LetterFilter = ALL, *, up_to: int | None = None) -> int:
        """Delete for good what is like that, with numbers `up_to` one; returns how many."""
        return await self._take_out(like, up_to, redrive=False)

    async def forget(self, subscriber: str) -> int:
        """Delete all that is owed to a subscriber that is gone for good, dead or still waiting; returns how many."""
        count = await self.discard(LetterFilter(subscriber))
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

    async def _take_out(self, like: LetterFilter, up_to: int | None, *, redrive: bool) -> int:
        if up_to is None:
            # Those that are there by now: what is redriven and refused again becomes a letter anew.
            up_to = await self._database.fetch_value(_NEWEST) or 0
        some = select(_letter.id).where(_letter.id <= up_to, *like.conditions()).order_by(_letter.id).limit(_PIECE)
        count = 0
        while ids := await self._database.fetch_all(some, into=int):
            count += await self._take_out_piece(ids, redrive=redrive)
        return count

    async def _take_out_piece(self, ids: Sequence[int], *, redrive: bool) -> int:
        now = self._clock.now().timestamp()
        async with self._database.unit() as unit:
            if redrive:
                await unit.execute(UNEARTH, [{"of_id": each, "now": now} for each in ids])
                self._database.announce(unit)
            return (await unit.execute(_DISCARD, [{"of_id": each} for each in ids])).rowcount
