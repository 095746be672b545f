"""Answers on a system's sagas for the command: by who runs it, and of databases where nobody does, or answers."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from msgspec.structs import replace

from meristem.cli.running_or_databases import RunningOrDatabases, is_away, warn_of
from meristem.errors import CallError
from meristem.operators.saga_contract import ChangedBatch, FoundSagas, SagaOperations, SagaOverview, SagaPlace
from meristem.operators.saga_merging import newest
from meristem.runtime.rehearsal import Rehearsal
from meristem.runtime.saga_desk import SagaDesk
from meristem.sagas.saga import sagas_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from meristem.operators.saga_contract import SagaSearch
    from meristem.sagas.saga import Definition
    from meristem.sagas.saga_views import SagaSummary
    from meristem.storage.database import Database
    from meristem.system.blueprint import Blueprint

PAGE: Final = 1000  # sagas of one answer
Told = TypeVar("Told")


class SagaAnswers:
    """The sagas of a system as the command tells them; those of `service` alone, if one is named."""

    def __init__(self, blueprint: Blueprint, directory: Path, service: str | None = None) -> None:
        self._blueprint = blueprint
        self._service = service or ""
        self._asked: RunningOrDatabases[SagaOperations] = RunningOrDatabases(
            blueprint, directory, service, SagaOperations, self._desk
        )
        self.services = self._asked.services

    def find(self, search: SagaSearch, limit: int) -> FoundSagas:
        """The newest sagas, up to a limit."""
        search = replace(search, service=self._service)
        found = FoundSagas(sagas=[], services=self.services)
        while len(found.sagas) < limit:
            most = min(limit - len(found.sagas), PAGE)
            page = self._find(replace(search, most=most), most)
            found = replace(page, sagas=[*found.sagas, *page.sagas], services=self.services)
            if not page.more:
                break
            last = page.sagas[-1].saga
            search = replace(search, after=SagaPlace(created=last.created, id=last.id))
        warn_of(found.silent)
        return found

    def _find(self, search: SagaSearch, most: int) -> FoundSagas:
        return self._asked.merged(lambda sagas: sagas.find(search), lambda told, silent: newest(told, most, silent))

    def overview(self) -> SagaOverview:
        """The fields by which sagas are found, and how many there are."""

        def merge(told: Sequence[SagaOverview], silent: Sequence[str]) -> SagaOverview:
            found = [each for answer in told for each in answer.services if each.service in self.services]
            return SagaOverview(services=found, silent=list(silent))

        return self._asked.merged(lambda sagas: sagas.overview(), merge)

    def change_all(
        self, verb: Literal["retry", "cancel"], name: str | None, tell: Callable[[int], None]
    ) -> dict[str, list[SagaSummary]]:
        """Let all that is parked go on, or have all that goes on undo what it did; those that do, by service.

        Some at once, of which `tell` is told how many they are by now.
        """
        found: dict[str, list[SagaSummary]] = {name: [] for name in self.services}
        silent = []
        for service, changed in found.items():

            async def change(
                sagas: SagaOperations, service: str = service, changed: list[SagaSummary] = changed
            ) -> None:
                some = sagas.retry_some if verb == "retry" else sagas.cancel_some
                batch = ChangedBatch(sagas=[])
                while True:
                    batch = await some(service, name=name or "", after=batch.next)
                    changed += batch.sagas
                    tell(sum(map(len, found.values())))
                    if batch.next is None:
                        return

            try:
                self._asked.one(service, change)
            except CallError as error:
                if not is_away(error):
                    raise
                silent.append(service)
        warn_of(silent)
        return found

    def by_service(self, found: FoundSagas) -> dict[str, list[SagaSummary]]:
        """The sagas by their services, also of those that have none."""
        return {name: [each.saga for each in found.sagas if each.service == name] for name in self.services}

    def one(self, service: str, question: Callable[[SagaOperations], Awaitable[Told]]) -> Told:
        """What is answered on a saga of this service; CallError for what is refused."""
        return self._asked.one(service, question)

    def _desk(self, name: str, database: Database) -> SagaOperations:
        desk: Any = SagaDesk(_OpenedServices(self._blueprint, {name: database}))
        answers: SagaOperations = desk
        return answers


class _OpenedServices:
    """Services of which only the databases are there."""

    def __init__(self, blueprint: Blueprint, databases: Mapping[str, Database]) -> None:
        self._blueprint = blueprint
        self._databases = databases

    def services(self) -> Mapping[str, Sequence[str]]:
        return {each.name: each.sagas for each in self._blueprint.plan.services if each.name in self._databases}

    def definitions(self, service: str) -> Mapping[str, Definition]:
        return sagas_of(self._blueprint.spec(service).implementation)

    @asynccontextmanager
    async def opened(self, service: str) -> AsyncIterator[Database]:
        yield self._databases[service]

    def rehearsal(self) -> Rehearsal:
        return Rehearsal(self._blueprint)
