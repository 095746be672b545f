"""Keeps the index of what sagas are found by whole: also those are in it that began before a field was declared."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from meristem.clock import Clock
from meristem.contracts.codec import decoder
from meristem.errors import IntegrityViolation, StorageError
from meristem.failure_log import log_failure
from meristem.sagas import statements as sql
from meristem.sagas.saga import Definition
from meristem.sagas.search import SearchField, terms_of
from meristem.storage.database import Database

logger = logging.getLogger(__name__)

_PIECE: Final = 200  # sagas at once: writers wait for each piece alone
_PAUSE: Final = 0.02  # seconds of the machine between two pieces
_AGAIN: Final = 86400.0  # seconds: a replica of a release without the field may have begun sagas meanwhile
_SKEW: Final = timedelta(hours=1)  # by how much the clocks of replicas may differ
_EVER: Final = datetime(1, 1, 2, tzinfo=UTC)


class Searchable(msgspec.Struct, frozen=True):
    """A field by which the sagas of a name are found: all that began before `upto`; None as long as old ones miss."""

    saga: str
    field: str
    upto: datetime | None = None


class _Looked(msgspec.Struct):
    """A saga that was looked at; `input` if it is to be indexed."""

    id: str
    created: datetime
    input: str | None


class SearchIndex:
    """The index of one service's sagas; `whole` is set once it has all that began before this process."""

    def __init__(self, database: Database, clock: Clock, definitions: Mapping[str, Definition]) -> None:
        self.whole = asyncio.Event()
        self._database = database
        self._clock = clock
        self._definitions = definitions

    async def keep(self) -> None:
        """Add what is missing, now and once a day, until this is cancelled; ends where no saga declares a field."""
        while True:
            try:
                has_fields = await self._catch_up()
                self.whole.set()
                if not has_fields:
                    return
            except StorageError as error:
                log_failure(logger, error, "old sagas could not be indexed for search; trying again later")
            await self._clock.sleep(_AGAIN if self.whole.is_set() else 60.0)

    async def _catch_up(self) -> bool:
        known = {(each.saga, each.field): each for each in await searchable(self._database)}
        declared = {
            (definition.name, field.name): (definition, field)
            for definition in self._definitions.values()
            for field in definition.searched
        }
        for saga, name in known.keys() - declared.keys():  # new sagas are not found by it any more
            await self._database.execute(sql.UNDECLARE, {"saga_": saga, "field_": name})
        for key, (definition, field) in declared.items():
            if key not in known:
                await self._declare(*key)
            upto = known[key].upto if key in known else None
            began = self._clock.now()
            await self._index(definition, field, _EVER if upto is None else upto - _SKEW)
            await self._database.execute(sql.REACHED, {"saga_": key[0], "field_": key[1], "v_upto": began})
        return bool(declared)

    async def _declare(self, saga: str, field: str) -> None:
        try:
            await self._database.execute(sql.DECLARE, {"saga": saga, "field": field, "upto": None})
        except IntegrityViolation:
            logger.debug("another replica declares %s of %s at the same time", field, saga)

    async def _index(self, definition: Definition, field: SearchField, since: datetime) -> None:
        after, is_last = "", False
        while not is_last:
            values = {"name_": definition.name, "field_": field.name, "since_": since, "after_": after}
            found = await self._database.fetch_all(sql.UNINDEXED, {**values, "limit_": _PIECE}, into=_Looked)
            terms = [
                {"saga_id": each.id, "field": name, "term": term}
                for each in found
                if each.input is not None
                for name, term in terms_of_input(definition, [field], each.input)
            ]
            try:
                if terms:
                    await self._database.execute(sql.TERM, terms)
            except IntegrityViolation:  # another replica does the same: what it has done is not found again
                continue
            is_last = len(found) < _PIECE
            if not is_last:
                since, after = found[-1].created, found[-1].id
                await asyncio.sleep(_PAUSE)


async def searchable(database: Database) -> list[Searchable]:
    """By which fields the sagas of a service are found."""
    return await database.fetch_all(sql.SEARCHABLE, into=Searchable)


def terms_of_input(definition: Definition, fields: Iterable[SearchField], text: str) -> Iterator[tuple[str, str]]:
    """The terms of a saga by its row: what was given as something else, a dict for a message, is there what it is."""
    values: object = None
    with suppress(msgspec.MsgspecError):  # of a release with other parameters: none of its fields is there
        values = decoder(definition.input)(text)
    return terms_of(fields, values)
