"""OpenAPI 3.1 from contracts: paths from `http=`, schemas from the types, texts from the docstrings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias, get_args

import msgspec

from meristem.contracts.codec import encode, fault_payload
from meristem.contracts.contract import PLACEHOLDER
from meristem.contracts.operation import Semantics
from meristem.contracts.wiretypes import is_union, unwrap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from meristem.contracts.operation import Http, Operation
    from meristem.errors import Fault

Json: TypeAlias = dict[str, Any]

WITH_BODY: Final = ("POST", "PUT", "PATCH")
REF: Final = "#/components/schemas/{name}"
PROBLEM_MEDIA: Final = "application/problem+json"
PROBLEM: Final[Json] = {
    "type": "object",
    "description": "Why a request was refused (RFC 9457).",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "code": {"type": "string", "description": "The reason, from the closed list of gRPC and Connect codes."},
        "errors": {
            "type": "array",
            "description": "The fields that were refused.",
            "items": {
                "type": "object",
                "required": ["field", "reason"],
                "properties": {"field": {"type": "string"}, "reason": {"type": "string"}},
            },
        },
    },
}
KEY_PARAMETER: Final[Json] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A key of your choice: a repeated request with the same key gets the first answer again.",
    "schema": {"type": "string", "maxLength": 255},
}


def document(
    operations: Sequence[Operation],
    *,
    prefix: str,
    title: str,
    version: str,
    status_of: Callable[[type[Fault]], int],
) -> bytes:
    """The OpenAPI document, as JSON, of the operations that have `http=`.

    `status_of` says with which HTTP status the REST interface answers a fault.
    """
    described = _Document([each for each in operations if each.http is not None], status_of)
    return encode(
        {
            "openapi": "3.1.0",
            "info": {"title": title, "version": version},
            "servers": [{"url": prefix or "/"}],
            "tags": [{"name": name} for name in sorted({_tag(each) for each in described.operations})],
            "paths": described.paths(),
            "components": described.components(),
        }
    )


class _Document:
    """Collects every type first, so that each schema is written once."""

    def __init__(self, operations: list[Operation], status_of: Callable[[type[Fault]], int]) -> None:
        self.operations = operations
        self._status_of = status_of
        faults = {fault.__name__: fault for each in operations for fault in each.raises}
        self._faults: list[Any] = [faults[name] for name in sorted(faults)]
        types = dict.fromkeys(_key(type_) for type_ in self._types())
        schemas, self._schemas = msgspec.json.schema_components([each.type for each in types], ref_template=REF)
        self._of = dict(zip(types, schemas, strict=True))

    def _types(self) -> Iterable[Any]:
        for operation in self.operations:
            yield operation.reply
            yield operation.request
            yield from (field.type for field in msgspec.structs.fields(operation.request))
        for fault in self._faults:
            yield from (field.type for field in msgspec.structs.fields(fault_payload(fault)))

    def schema(self, type_: Any) -> Json:
        """The schema of a type, by reference where it is a component."""
        return self._of[_key(type_)]

    def components(self) -> Json:
        """Schemas and the security scheme."""
        used = _referenced(self.paths(), self._schemas)
        schemas = {name: schema for name, schema in self._schemas.items() if name in used}
        schemas |= {f"{fault.__name__}Problem": self._fault_schema(fault) for fault in self._faults}
        components: Json = {"schemas": {**dict(sorted(schemas.items())), "Problem": PROBLEM}}
        if any(each.authenticated for each in self.operations):
            components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        return components

    def paths(self) -> Json:
        """Every path with its operations."""
        paths: dict[str, Json] = {}
        for operation in self.operations:
            if (http := operation.http) is not None:
                paths.setdefault(http.path, {})[http.verb.lower()] = self._operation(operation, http)
        return paths

    def _operation(self, operation: Operation, http: Http) -> Json:
        summary, _, text = operation.doc.partition("\n")
        described: Json = {
            "operationId": f"{_tag(operation)}_{operation.name}",
            "tags": [_tag(operation)],
            "summary": summary or operation.label,
            "parameters": self._parameters(operation, http),
            "responses": self._responses(operation, http),
        }
        if text.strip():
            described["description"] = text.strip()
        if (body := self._body(operation, http)) is not None:
            described["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
        if operation.authenticated:
            described["security"] = [{"bearer": []}]
        return described

    def _parameters(self, operation: Operation, http: Http) -> list[Json]:
        in_path = PLACEHOLDER.findall(http.path)
        parameters = [
            self._parameter(field, "path" if field.name in in_path else "query")
            for field in msgspec.structs.fields(operation.request)
            if field.name in in_path or http.verb not in WITH_BODY
        ]
        if operation.semantics is Semantics.ONCE:
            parameters.append(KEY_PARAMETER)
        return parameters

    def _parameter(self, field: msgspec.structs.FieldInfo, place: str) -> Json:
        schema = dict(self.schema(field.type))
        if isinstance(field.default, str | int | float | bool):
            schema["default"] = field.default
        described: Json = {"name": field.name, "in": place, "required": place == "path" or field.required}
        if _is_object(field.type):
            return described | {"content": {"application/json": {"schema": schema}}}
        return described | {"schema": schema}

    def _body(self, operation: Operation, http: Http) -> Json | None:
        in_path = PLACEHOLDER.findall(http.path)
        fields = [each for each in msgspec.structs.fields(operation.request) if each.name not in in_path]
        if http.verb not in WITH_BODY or not fields:
            return None
        if not in_path:
            return self.schema(operation.request)
        required = [field.name for field in fields if field.required]
        body: Json = {"type": "object", "properties": {field.name: self.schema(field.type) for field in fields}}
        return body | ({"required": required} if required else {})

    def _responses(self, operation: Operation, http: Http) -> Json:
        responses: Json = {}
        if operation.reply in (None, type(None)):
            responses[str(204 if http.status == 200 else http.status)] = {"description": "Done."}
        else:
            responses[str(http.status)] = {"description": "The result.", "content": self._content(operation, http)}
        if operation.authenticated:
            responses["401"] = _problem("Nobody is signed in.", [{"$ref": REF.format(name="Problem")}])
        by_status: dict[int, list[type[Fault]]] = {}
        for fault in operation.raises:
            by_status.setdefault(self._status_of(fault), []).append(fault)
        for status, faults in sorted(by_status.items()):
            text = " ".join(fault.summary() for fault in faults)
            refs = [{"$ref": REF.format(name=f"{fault.__name__}Problem")} for fault in faults]
            responses[str(status)] = _problem(text, refs)
        responses["default"] = _problem("The request was refused, or failed.", [{"$ref": REF.format(name="Problem")}])
        return responses

    def _content(self, operation: Operation, http: Http) -> Json:
        if http.media != "application/json":
            return {http.media: {"schema": {"type": "string", "contentMediaType": http.media}}}
        schema = self.schema(operation.reply)
        if operation.stream:
            return {"application/jsonl": {"schema": schema}, "text/event-stream": {"schema": schema}}
        return {"application/json": {"schema": schema}}

    def _fault_schema(self, fault: Any) -> Json:
        fields = msgspec.structs.fields(fault_payload(fault))
        own: Json = {
            "type": "object",
            "required": ["fault", *(field.name for field in fields if field.required)],
            "properties": {
                "fault": {"const": fault.__name__},
                **{field.name: self.schema(field.type) for field in fields},
            },
        }
        return {"description": fault.summary(), "allOf": [{"$ref": REF.format(name="Problem")}, own]}


class _Key(msgspec.Struct, frozen=True):
    """A type by its written form, because `Annotated` with unhashable parts cannot be a key."""

    text: str
    type: Any

    def __hash__(self) -> int:
        return hash(self.text)


def _key(type_: Any) -> _Key:
    name = f"{type_.__module__}.{type_.__qualname__}.{id(type_)}" if isinstance(type_, type) else repr(type_)
    return _Key(name, type_)


def _tag(operation: Operation) -> str:
    return operation.contract.rpartition(".")[2]


def _problem(text: str, schemas: list[Json]) -> Json:
    schema = schemas[0] if len(schemas) == 1 else {"oneOf": schemas}
    return {"description": text, "content": {PROBLEM_MEDIA: {"schema": schema}}}


def _is_object(type_: Any) -> bool:
    type_ = unwrap(type_)
    if is_union(type_):
        return any(_is_object(each) for each in get_args(type_))
    return isinstance(type_, type) and issubclass(type_, msgspec.Struct)


def _referenced(tree: Any, schemas: dict[str, Any]) -> set[str]:
    """The components that a part of the document needs, through one another."""
    found: set[str] = set()
    open_: list[Any] = [tree]
    while open_:
        node = open_.pop()
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name in schemas and name not in found:
                found.add(name)
                open_.append(schemas[name])
            open_.extend(node.values())
        elif isinstance(node, list):
            open_.extend(node)
    return found
