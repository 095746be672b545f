"""What a process tells operators of the contracts of its services, and the calls that they make of these."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec

from meristem.baggage import DECLARED
from meristem.contracts.codec import fault_payload
from meristem.contracts.examples import UNKNOWN, example_of
from meristem.errors import CallError, Code
from meristem.hints import meant
from meristem.operators.catalogue_contract import (
    ContractDetails,
    ContractEntry,
    ContractList,
    ExportedFile,
    FaultDetails,
    OperationDetails,
    Snippet,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.contracts.call import ServedOperation
    from meristem.contracts.operation import Operation
    from meristem.contracts.schemas import Schemas
    from meristem.operators.catalogue_contract import CallAnswer, ExportForm, OperatorCall, SnippetQuestion
    from meristem.runtime.instance import ServiceInstance
    from meristem.system.blueprint import Blueprint
    from meristem.telemetry.tracer import Tracer


class CatalogueDesk:
    """Answers `Catalogue` for the services here; `routes` gives their operations as other processes call them."""

    def __init__(
        self,
        blueprint: Blueprint,
        instances: Mapping[str, ServiceInstance],
        routes: Callable[[], Mapping[str, ServedOperation]],
        tracer: Tracer,
    ) -> None:
        self._blueprint = blueprint
        self._instances = instances
        self._routes = routes
        self._tracer = tracer

    async def contracts(self) -> ContractList:
        found = []
        for service, instance in self._instances.items():
            for contract in instance.spec.contracts:
                known = self._operations(service, contract.contract_name)
                text = next(iter(known.values())).contract_doc
                found.append(
                    ContractEntry(
                        service=service,
                        name=contract.contract_name,
                        operations=list(known),
                        summary=text.partition("\n")[0],
                        callers=self._callers(contract.contract_name),
                    )
                )
        return ContractList(contracts=found)

    async def contract(self, service: str, name: str) -> ContractDetails:
        from meristem.contracts.schemas import Schemas  # noqa: PLC0415 - few processes are ever asked

        known = list(self._operations(service, name).values())
        faults: list[Any] = [fault for each in known for fault in each.raises]
        payloads = {fault: fault_payload(fault) for fault in faults}
        schemas = Schemas([*(each.request for each in known), *(each.reply for each in known), *payloads.values()])
        return ContractDetails(
            service=service,
            name=name,
            text=known[0].contract_doc,
            module=known[0].module,
            callers=self._callers(name),
            operations=[_details(each, schemas, payloads) for each in known],
            schemas=_json(schemas.components),
            travelling=sorted(DECLARED),
        )

    async def export(self, service: str, name: str, form: ExportForm) -> list[ExportedFile]:
        known = list(self._operations(service, name).values())
        if form == "json-schema":
            from meristem.contracts.schemas import json_schemas  # noqa: PLC0415 - as above

            return _files(json_schemas(known))
        if form == "proto":
            from meristem.contracts.protobuf.proto_text import proto_texts  # noqa: PLC0415

            return _files(proto_texts(known))
        from meristem.contracts.openapi import document  # noqa: PLC0415
        from meristem.transports.http.rest.errors import status_of_class  # noqa: PLC0415

        if not any(each.http for each in known):
            text = f"{name} has no operation in REST: give one of them `http=`, or take another form"
            raise CallError(Code.FAILED_PRECONDITION, text, may_have_happened=False)
        system = self._blueprint.system
        text = document(
            known, name=system.name, prefix=system.api, about=system.about, status_of=status_of_class
        ).decode()
        return _files({"openapi.json": text})

    async def snippets(self, question: SnippetQuestion) -> list[Snippet]:
        from meristem.runtime.call_snippets import LANGUAGES, snippets_of  # noqa: PLC0415
        from meristem.runtime.operator_calls import read_requests  # noqa: PLC0415

        operation = self._operation(question)
        contract = self._contract(question.service, question.contract)
        try:
            requests = read_requests(operation, question)
        except CallError as refusal:  # half of a form, as a rule
            remark = f"It can't be written yet: {refusal.message}"
            return [Snippet(language=each, text="", remark=remark) for each in LANGUAGES]
        return snippets_of(contract, operation, requests, question)

    async def call(self, call: OperatorCall) -> CallAnswer:
        from meristem.runtime.operator_calls import called  # noqa: PLC0415

        return await called(self._routes()[self._operation(call).path], call, self._tracer)

    def _callers(self, contract: str) -> list[str]:
        return [each.name for each in self._blueprint.plan.services if contract in each.asks]

    def _contract(self, service: str, name: str) -> Any:
        instance = self._instances.get(service)
        known = () if instance is None else instance.spec.contracts
        for each in known:
            if each.contract_name == name:
                return each
        names = [each.contract_name for each in known]
        hint = meant(name, names, f"it has {', '.join(names) or 'none'}")
        text = f"{service} has no contract {name!r}; {hint}"
        raise CallError(Code.NOT_FOUND, text, may_have_happened=False)

    def _operations(self, service: str, name: str) -> Mapping[str, Operation]:
        self._contract(service, name)
        known = self._blueprint.operations_of(service)  # on the placement's terms
        return {method: each for method, each in known.items() if each.contract == name}

    def _operation(self, asked: OperatorCall | SnippetQuestion) -> Operation:
        known = self._operations(asked.service, asked.contract)
        if asked.operation not in known:
            hint = meant(asked.operation, known, f"it has {', '.join(known)}")
            text = f"{asked.contract} has no operation {asked.operation!r}; {hint}"
            raise CallError(Code.NOT_FOUND, text, may_have_happened=False)
        return known[asked.operation]


def _details(operation: Operation, schemas: Schemas, payloads: Mapping[Any, type]) -> OperationDetails:
    from meristem.contracts.protodocs import is_deprecated  # noqa: PLC0415
    from meristem.transports.http.rest.errors import status_of_class  # noqa: PLC0415

    http = operation.http
    request = schemas.of(operation.request)
    example = example_of(request, schemas.components)
    return OperationDetails(
        name=operation.name,
        text=operation.doc,
        path=operation.path,
        route="" if http is None else f"{http.verb} {http.path}",
        semantics=operation.semantics.value,
        timeout=operation.timeout if isfinite(operation.timeout) else None,
        idle=operation.idle if isfinite(operation.idle) else None,
        stream=operation.stream,
        takes_stream=operation.takes_stream,
        spread=operation.spread,
        authenticated=operation.authenticated,
        public=operation.public,
        deprecated=is_deprecated(operation.doc),
        request=_json(request),
        reply="" if operation.reply in (None, type(None)) else _json(schemas.of(operation.reply)),
        example="" if example is UNKNOWN else _json(example),
        faults=[
            FaultDetails(
                name=fault.__name__,
                code=fault.code.value,
                status=status_of_class(fault),
                text=fault.summary(),
                type=_json(schemas.of(payloads[fault])),
            )
            for fault in operation.raises
        ],
    )


def _files(texts: Mapping[str, str]) -> list[ExportedFile]:
    return [ExportedFile(path=path, text=text) for path, text in texts.items()]


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
