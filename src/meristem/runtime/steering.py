"""Serves the contract by which sagas are started without waiting, for the services that live in a process."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from meristem.context import Context, current
from meristem.contracts.call import Call
from meristem.contracts.codec import decoder, refusal
from meristem.errors import CallError, Code
from meristem.sagas.handle import SagaStatus, another_saga, status_of
from meristem.sagas.saga import Definition, engine_of, sagas_of
from meristem.services.permitted import permitted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.contracts.operation import Operation
    from meristem.sagas.saga import Engine
    from meristem.services.inbound import OperationEndpoint


class ServiceSagas:
    """The sagas behind the operations of one service.

    One is started by an endpoint of its operation whose method does not wait, so that it is admitted, counted and
    surrounded as a call of the operation is.
    """

    def __init__(
        self,
        service: object,
        operations: Mapping[str, Operation],
        endpoint: Callable[[Operation, Callable[..., Any]], OperationEndpoint],
    ) -> None:
        self._service = service
        self._definitions = {name: each for name, each in sagas_of(type(service)).items() if name in operations}
        self._operations = operations
        self._starters = {
            operations[name].path: endpoint(operations[name], partial(self._start, definition))
            for name, definition in self._definitions.items()
        }

    async def begin(self, path: str, request: str, key: str) -> str:
        starter = self._starters.get(path)
        if starter is None:
            text = f"{path} is no saga, so it cannot be started without waiting: call it"
            raise CallError(Code.UNIMPLEMENTED, text, may_have_happened=False)
        try:
            message = decoder(starter.operation.request)(request.encode())
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal(error) from None
        outer = current()
        context = Context(outer.deadline, outer.trace, outer.caller, outer.user, outer.baggage, key)
        context.positions = outer.positions
        saga_id: str = await starter.handler(Call(starter.operation, message, context))
        return saga_id

    async def look(self, saga_id: str, seconds: float, path: str) -> SagaStatus:
        engine = await self._engine_for(saga_id, path)
        saga = await engine.look(saga_id, seconds)
        definition = self._definitions.get(saga.name)
        if definition is None:
            text = f"{saga_id!r} is the saga {saga.name}, which no operation begins"
            raise CallError(Code.NOT_FOUND, text, may_have_happened=False)
        return status_of(definition, saga, partial(permitted, self._operations[saga.name]))

    async def cancel(self, saga_id: str, path: str) -> None:
        await (await self._engine_for(saga_id, path)).cancel(saga_id)

    async def signal(self, saga_id: str, name: str, body: str, key: str, path: str) -> None:
        await (await self._engine_for(saga_id, path)).signal(saga_id, name, body, key)

    async def _engine_for(self, saga_id: str, path: str) -> Engine:
        """What has the saga; refuses one that is not behind the operation of this path, if one is named."""
        # Any of them has the engine of all; the row says which saga it is.
        engine = engine_of(self._service, self._any())
        if path:
            asked = self._starters.get(path)
            name = (await engine.look(saga_id, 0.0)).name
            if asked is None or asked.operation.name != name:
                raise another_saga(saga_id, name, path if asked is None else asked.operation.label)
        return engine

    async def _start(self, definition: Definition, *arguments: Any, **named: Any) -> str:
        values = definition.values(self._service, arguments, named)
        return await engine_of(self._service, definition).begin(definition, values)

    def _any(self) -> Definition:
        for definition in self._definitions.values():
            return definition
        raise CallError(Code.NOT_FOUND, "this service has no sagas behind its operations", may_have_happened=False)


class Helm:
    """Answers `Sagas` for the services here; `sagas` gives those of a service by its name."""

    def __init__(self, sagas: Callable[[str], ServiceSagas | None]) -> None:
        self._sagas = sagas

    async def begin(self, service: str, operation: str, request: str, key: str) -> str:
        return await self._of(service, operation).begin(operation, request, key)

    async def look(self, service: str, saga_id: str, seconds: float, operation: str = "") -> SagaStatus:
        return await self._of(service, saga_id).look(saga_id, seconds, operation)

    async def cancel(self, service: str, saga_id: str, operation: str = "") -> None:
        await self._of(service, saga_id).cancel(saga_id, operation)

    async def signal(self, service: str, saga_id: str, name: str, body: str, key: str, operation: str = "") -> None:
        await self._of(service, saga_id).signal(saga_id, name, body, key, operation)

    def _of(self, service: str, asked: str) -> ServiceSagas:
        found = self._sagas(service)
        if found is None:
            text = f"{service!r} has no sagas in this process: {asked} is none of them"
            raise CallError(Code.UNIMPLEMENTED, text, may_have_happened=False)
        return found
