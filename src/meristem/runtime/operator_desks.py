"""What a process answers to operators: of itself, and of the services that live in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.contract import operations
from meristem.operators.answering import answering
from meristem.operators.catalogue_contract import Catalogue
from meristem.operators.event_contract import Events
from meristem.operators.gateway_contract import GatewayControl
from meristem.operators.inspection import Inspector
from meristem.operators.saga_contract import SagaOperations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.contracts.call import ServedOperation
    from meristem.contracts.operation import Operation
    from meristem.runtime.catalogue_desk import CatalogueDesk
    from meristem.runtime.event_desk import EventDesk
    from meristem.runtime.gateway_desk import GatewayDesk
    from meristem.runtime.inspector import ProcessInspector
    from meristem.runtime.saga_desk import SagaDesk


class OperatorDesks:
    """One desk for each contract that operators ask a process by.

    Who runs the system hands on what operators ask it, by the same contracts.
    """

    def __init__(
        self,
        inspector: ProcessInspector,
        events: EventDesk,
        sagas: SagaDesk,
        catalogue: CatalogueDesk,
        gateway: GatewayDesk,
    ) -> None:
        self._inspector = inspector
        self._events = events
        self._sagas = sagas
        self._catalogue = catalogue
        self.gateway = gateway
        self._routes: dict[str, ServedOperation] = {}

    def routes(self) -> Mapping[str, ServedOperation]:
        """The operations by their paths."""
        if not self._routes:
            desks: list[tuple[Any, object]] = [
                (Inspector, self._inspector),
                (Events, self._events),
                (SagaOperations, self._sagas),
                (Catalogue, self._catalogue),
                (GatewayControl, self.gateway),
            ]
            for contract, desk in desks:
                self._routes |= {each.path: answering(each, desk) for each in operations(contract).values()}
        return self._routes

    async def ask(self, operation: Operation, request: Any) -> Any:
        """The answer to who asks in this very process."""
        return await self.routes()[operation.path].handler(Call(operation, request, Context()))
