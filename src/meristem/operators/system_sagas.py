"""Answers `SagaOperations` for a whole system: each process is asked of its own services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meristem.contracts.contract import operations
from meristem.operators.saga_contract import SagaOperations, SagaOverview
from meristem.operators.saga_merging import newest

if TYPE_CHECKING:
    from meristem.operators.asking import Asking
    from meristem.operators.saga_contract import ChangedBatch, ForkedSaga, FoundSagas, SagaPlace, SagaSearch
    from meristem.sagas.saga_views import SagaDetails, SagaSummary

ASKED: Final = operations(SagaOperations)


class SystemSagas:
    """One system's sagas, wherever their services live; what is silent is named."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def overview(self) -> SagaOverview:
        told, silent = await self._asking.everywhere(ASKED["overview"], ASKED["overview"].request())
        found = [each for answer in told for each in answer.services]
        return SagaOverview(services=sorted(found, key=lambda each: each.service), silent=sorted(silent))

    async def find(self, search: SagaSearch) -> FoundSagas:
        if search.service:
            found: FoundSagas = await self._asking.service(search.service, ASKED["find"], search)
            return found
        told, silent = await self._asking.everywhere(ASKED["find"], search)
        return newest(told, search.most, silent)

    async def show(self, service: str, saga_id: str, *, values: bool = False) -> SagaDetails:
        found: SagaDetails = await self._ask("show", service, saga_id=saga_id, values=values)
        return found

    async def retry(self, service: str, saga_id: str) -> SagaSummary:
        saga: SagaSummary = await self._ask("retry", service, saga_id=saga_id)
        return saga

    async def retry_some(self, service: str, *, name: str = "", after: SagaPlace | None = None) -> ChangedBatch:
        batch: ChangedBatch = await self._ask("retry_some", service, name=name, after=after)
        return batch

    async def cancel(self, service: str, saga_id: str) -> SagaSummary:
        saga: SagaSummary = await self._ask("cancel", service, saga_id=saga_id)
        return saga

    async def cancel_some(self, service: str, *, name: str = "", after: SagaPlace | None = None) -> ChangedBatch:
        batch: ChangedBatch = await self._ask("cancel_some", service, name=name, after=after)
        return batch

    async def fork(self, service: str, saga_id: str, position: str) -> ForkedSaga:
        fork: ForkedSaga = await self._ask("fork", service, saga_id=saga_id, position=position)
        return fork

    async def signal(self, service: str, saga_id: str, name: str, body: str) -> SagaSummary:
        saga: SagaSummary = await self._ask("signal", service, saga_id=saga_id, name=name, body=body)
        return saga

    async def _ask(self, operation_name: str, service: str, **parameters: Any) -> Any:
        operation = ASKED[operation_name]
        return await self._asking.service(service, operation, operation.request(service=service, **parameters))
