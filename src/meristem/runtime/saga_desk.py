"""Answers what operators ask of the sagas of services whose databases are at hand.

A process whose services keep nothing answers, too, and does not pay for SQLAlchemy: what needs that is imported then.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from msgspec.structs import replace

from meristem.clock import SystemClock
from meristem.errors import CallError, Code, ConfigurationError
from meristem.operators.saga_contract import (
    ChangedBatch,
    ForkedSaga,
    FoundSaga,
    FoundSagas,
    RepeatedStep,
    SagaOverview,
    SagaPlace,
    SagasOfService,
    SearchableField,
)
from meristem.operators.saga_merging import newest
from meristem.redaction import redact_fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from meristem.clock import Clock
    from meristem.operators.saga_contract import SagaSearch
    from meristem.runtime.rehearsal import Rehearsal
    from meristem.sagas.administration import ChangedSagas, Place, SagaStore
    from meristem.sagas.saga import Definition
    from meristem.sagas.saga_views import SagaDetails, SagaSummary
    from meristem.storage.database import Database

T = TypeVar("T")


class SagaKeepers(Protocol):
    """The services whose sagas are told of."""

    def services(self) -> Mapping[str, Sequence[str]]:
        """The names of the sagas that each service's code has, by the service; also of those that have none."""
        ...

    def definitions(self, service: str) -> Mapping[str, Definition]:
        """What the code says of them."""
        ...

    def opened(self, service: str) -> AbstractAsyncContextManager[Database]:
        """The service's database; raises CallError `unavailable` where it can't be asked, and others can."""
        ...

    def rehearsal(self) -> Rehearsal:
        """What replays a journal against the code."""
        ...


class SagaDesk:
    """The sagas of some services; it answers `SagaOperations`."""

    def __init__(self, keepers: SagaKeepers, clock: Clock | None = None) -> None:
        self._keepers = keepers
        self._clock = clock or SystemClock()

    async def overview(self) -> SagaOverview:
        told, silent = await self._each(list(self._keepers.services()), self._overview_of)
        return SagaOverview(services=told, silent=silent)

    async def _overview_of(self, service: str, store: SagaStore) -> SagasOfService:
        counts = await store.counts()
        fields = [
            SearchableField(saga=each.saga, field=each.field, whole=each.upto is not None)
            for each in await store.searchable()
        ]
        return SagasOfService(
            service=service,
            names=list(self._keepers.services()[service]),
            counts={state.value: count for state, count in counts.items()},
            fields=fields,
        )

    async def find(self, search: SagaSearch) -> FoundSagas:
        before, since = search.before and _utc(search.before), search.since and _utc(search.since)
        after = _place(search.after)

        async def find(service: str, store: SagaStore) -> FoundSagas:
            found = await store.list(
                *set(search.states), name=search.name or None, before=before, since=since, after=after,
                where=search.where, prefix=search.id, text=search.text, limit=search.most + 1,
            )  # fmt: skip
            return FoundSagas(sagas=_of(service, found), services=[service])

        services = self._chosen(search.service)
        told, silent = await self._each(services, find)
        return newest(told, search.most, silent)

    async def show(self, service: str, saga_id: str, *, values: bool = False) -> SagaDetails:
        async with self._store(service) as store:
            found = await store.show(saga_id, values=values)
        found = replace(found, takes=self._signals(service, found.saga.name))
        return _masked(found) if values else found

    def _signals(self, service: str, saga: str) -> list[str]:
        try:
            definition = self._keepers.definitions(service).get(saga)
        except ConfigurationError:  # its code is not importable here; what its database holds is told all the same
            return []
        return [] if definition is None else list(definition.signals)

    async def retry(self, service: str, saga_id: str) -> SagaSummary:
        async with self._store(service) as store:
            return await store.retry(saga_id)

    async def retry_some(self, service: str, *, name: str = "", after: SagaPlace | None = None) -> ChangedBatch:
        async with self._store(service) as store:
            return _batch(await store.retry_some(name=name or None, after=_place(after)))

    async def cancel(self, service: str, saga_id: str) -> SagaSummary:
        async with self._store(service) as store:
            return await store.cancel(saga_id)

    async def cancel_some(self, service: str, *, name: str = "", after: SagaPlace | None = None) -> ChangedBatch:
        async with self._store(service) as store:
            return _batch(await store.cancel_some(name=name or None, after=_place(after)))

    async def fork(self, service: str, saga_id: str, position: str) -> ForkedSaga:
        from meristem.sagas.replay import SagaJournal  # noqa: PLC0415 - see above

        rehearsal = self._keepers.rehearsal()
        async with self._store(service) as store:
            saga = await store.summary(saga_id)
            try:
                made = await store.fork(saga_id, position, rehearsal.definition(service, saga.name))
                # The code that runs now would park it at once, which is to be known before anything is begun.
                divergence = await rehearsal.replay(SagaJournal(service=service, saga=made.saga, steps=made.steps))
            except ConfigurationError as error:
                raise CallError(Code.FAILED_PRECONDITION, str(error), may_have_happened=False) from error
            if divergence is not None:
                text = f"the code does not follow {saga.name} {saga_id} up to step {position}: {divergence.text}"
                raise CallError(Code.FAILED_PRECONDITION, text, may_have_happened=False)
            unread = await store.unread(saga_id)
            begun = await store.begin(made)
        return ForkedSaga(
            saga=begun,
            fork_of=saga_id,
            takes_over=made.takes_over,
            again=[RepeatedStep(position=row.position, name=row.name) for row in made.again],
            signals=list(unread),
        )

    async def signal(self, service: str, saga_id: str, name: str, body: str) -> SagaSummary:
        from meristem.sagas.administration import SagaStore  # noqa: PLC0415 - see above
        from meristem.sagas.signalling import Signal, keep, new_key  # noqa: PLC0415

        definitions = self._keepers.definitions(self._chosen(service)[0])
        async with self._keepers.opened(service) as database:
            await keep(database, self._clock, definitions, Signal(saga_id, name, body, new_key()))
            return await SagaStore(database, self._clock).summary(saga_id)

    def _chosen(self, service: str) -> list[str]:
        known = list(self._keepers.services())
        if service and service not in known:
            text = f"no service {service!r} keeps sagas here; there are {', '.join(known) or 'none'}"
            raise CallError(Code.NOT_FOUND, text, may_have_happened=False)
        return [service] if service else known

    @asynccontextmanager
    async def _store(self, service: str) -> AsyncIterator[SagaStore]:
        from meristem.sagas.administration import SagaStore  # noqa: PLC0415 - see above

        async with self._keepers.opened(self._chosen(service)[0]) as database:
            yield SagaStore(database, self._clock)

    async def _each(
        self, services: Sequence[str], work: Callable[[str, SagaStore], Awaitable[T]]
    ) -> tuple[list[T], list[str]]:
        """What work finds in each service, and the services that can't be asked."""

        async def one(service: str) -> T | None:
            try:
                async with self._store(service) as store:
                    return await work(service, store)
            except CallError as error:
                if error.code is not Code.UNAVAILABLE:
                    raise
                return None

        found = await asyncio.gather(*map(one, services))
        told = [each for each in found if each is not None]
        return told, [service for service, each in zip(services, found, strict=True) if each is None]


def _utc(moment: datetime) -> datetime:
    """A time as databases take it, which know none that is in another year than 1 to 9999 in UTC."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise CallError(Code.INVALID_ARGUMENT, f"{moment} is no time of the years 1 to 9999 in UTC") from error


def _place(place: SagaPlace | None) -> Place | None:
    return None if place is None else (_utc(place.created), place.id)


def _batch(changed: ChangedSagas) -> ChangedBatch:
    place = None if changed.next is None else SagaPlace(created=changed.next[0], id=changed.next[1])
    return ChangedBatch(sagas=list(changed.sagas), next=place)


def _of(service: str, sagas: Sequence[SagaSummary]) -> list[FoundSaga]:
    return [FoundSaga(service=service, saga=each) for each in sagas]


def _masked(found: SagaDetails) -> SagaDetails:
    """The same with `***` for what its name says to be secret: values are asked for to find a fault, not a password."""
    return replace(
        found,
        input=redact_fields(found.input),
        result=redact_fields(found.result),
        steps=[replace(each, reply=redact_fields(each.reply)) for each in found.steps],
        signals=[replace(each, body=redact_fields(each.body)) for each in found.signals],
    )
