"""OpenAPI 3.1 from contracts: paths from `http=`, schemas from the types, texts from the docstrings."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from meristem.contracts.codec import encode, fault_payload
from meristem.contracts.examples import UNKNOWN, example_of
from meristem.contracts.file_part import FilePart
from meristem.contracts.operation import Semantics
from meristem.contracts.protodocs import is_deprecated
from meristem.contracts.rest_fields import FORM, PLACEHOLDER, raw_media, rest_fields, upload_of
from meristem.contracts.schemas import REF, Schemas
from meristem.contracts.wiretypes import fields_of, struct_of
from meristem.keys import LONGEST, PATTERN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from meristem.contracts.about import About
    from meristem.contracts.operation import Http, Operation
    from meristem.errors import Fault

Json: TypeAlias = dict[str, Any]

SHARED: Final = frozenset((400, 401, 403, 404, 409, 413, 415, 422, 429, 499, 500, 501, 503, 504))
"""The statuses of errors that no contract declares: a fault that has one does not have it alone."""

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
    "schema": {"type": "string", "minLength": 1, "maxLength": LONGEST, "pattern": f"^{PATTERN}$"},
}
ONCE_KEY: Final = "A key of your choice: a repeated request with the same key gets the first answer again."
HANDED_ON_KEY: Final = (
    "A key of your choice, handed on to what the request sets off: a repeated request with the same key does that once."
)
"""What a key means for an operation that keeps its answers, and for the others that have an effect."""

KEPT_HEADERS: Final[Json] = {
    "Cache-Control": {"description": "How long the result may be kept, and by whom.", "schema": {"type": "string"}},
    "ETag": {"description": "What names this result in If-None-Match.", "schema": {"type": "string"}},
}
KNOWN_TAGS: Final[Json] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of a result that is there already: if it is still the same, the answer is 304.",
    "schema": {"type": "string"},
}

KEY_MALFORMED: Final = "The request is malformed, or its Idempotency-Key is."
KEY_TAKEN: Final = "The Idempotency-Key was used for another request, or for this one by who was signed in otherwise."


def document(
    operations: Sequence[Operation],
    *,
    name: str,
    prefix: str,
    about: About,
    status_of: Callable[[type[Fault]], int],
) -> bytes:
    """The OpenAPI document, as JSON, of the operations of the system `name` that have `http=`.

    `status_of` says with which HTTP status the REST interface answers a fault.
    """
    described = _Document([each for each in operations if each.http is not None], status_of)
    return encode(
        {
            "openapi": "3.1.0",
            "info": about.info(name),
            "servers": [{"url": prefix or "/"}],
            "tags": [{"name": name} for name in sorted({described.tag(each) for each in described.operations})],
            "paths": described.paths(),
            "components": described.components(),
        }
    )


class _Document:
    """The parts of the document; the schemas of all types are made first."""

    def __init__(self, operations: list[Operation], status_of: Callable[[type[Fault]], int]) -> None:
        self.operations = operations
        self._status_of = status_of
        self._faults: list[Any] = sorted({f for each in operations for f in each.raises}, key=_path)
        self._tags = _told_apart({each.contract: _tag(each) for each in operations}, lambda contract: contract)
        self._schemas = Schemas(self._types())
        self.schema = self._schemas.of
        named = _told_apart(
            {fault: f"{fault.__name__}Problem" for fault in self._faults}, lambda f: f"{_path(f)}Problem"
        )
        self._problems = {fault: self._schemas.free(name) for fault, name in named.items()}
        self._problem = REF.format(name=self._schemas.free("Problem"))

    def _types(self) -> Iterable[Any]:
        for operation in self.operations:
            yield operation.reply
            yield operation.request
            yield from (field.type for field in fields_of(operation.request))
        for fault in self._faults:
            yield from (field.type for field in fields_of(fault_payload(fault)))

    def tag(self, operation: Operation) -> str:
        """What an operation's contract is called: by its name, with the package where two have one name."""
        return self._tags[operation.contract]

    def components(self) -> Json:
        """Schemas and the security scheme."""
        schemas = self._schemas.referenced(self.paths())
        schemas |= {self._problems[fault]: self._fault_schema(fault) for fault in self._faults}
        problem = self._problem.rpartition("/")[2]
        components: Json = {"schemas": {**dict(sorted(schemas.items())), problem: PROBLEM}}
        if any(each.authenticated for each in self.operations):
            components["securitySchemes"] = {"bearer": {"type": "http", "scheme": "bearer"}}
        return components

    def paths(self) -> Json:
        """Every path with its operations."""
        paths: dict[str, Json] = {}
        written: dict[str, str] = {}
        for operation in self.operations:
            if (http := operation.http) is not None:
                # one path may not stand there twice with other names for its placeholders (OpenAPI 3.1, 4.8.8)
                path = written.setdefault(PLACEHOLDER.sub("{}", http.path), http.path)
                paths.setdefault(path, {})[http.verb.lower()] = self._operation(operation, http, path)
        return paths

    def _operation(self, operation: Operation, http: Http, path: str) -> Json:
        summary, _, text = operation.doc.partition("\n")
        described: Json = {
            "operationId": f"{self.tag(operation).replace('.', '_')}_{operation.name}",
            "tags": [self.tag(operation)],
            "summary": summary or operation.label,
            "parameters": self._parameters(operation, http, path),
            "responses": self._responses(operation, http),
        }
        if operation.doc:  # the whole where one line is all: tools that show descriptions alone show it, too
            described["description"] = text.strip() or summary
        if is_deprecated(operation.doc):
            described["deprecated"] = True
        if (body := self._body(operation, http)) is not None:
            described["requestBody"] = body
        if operation.authenticated:
            described["security"] = [{"bearer": []}]
        return described

    def _parameters(self, operation: Operation, http: Http, path: str) -> list[Json]:
        places = rest_fields(operation.request, http.verb, http.path)
        parameters = [
            # where the path stands with other names for its placeholders, they are called by these
            *(
                self._parameter(each, name, "path")
                for each, name in zip(places.path, PLACEHOLDER.findall(path), strict=True)
            ),
            *(self._parameter(each, each.encode_name, "query") for each in places.query),
            *(self._parameter(each, name, "header") for name, each in places.header.items()),
        ]
        if http.cache is not None and http.cache.etag:
            parameters.append(KNOWN_TAGS)
        if operation.semantics is not Semantics.SAFE:
            text = ONCE_KEY if operation.semantics is Semantics.ONCE else HANDED_ON_KEY
            parameters.append(KEY_PARAMETER | {"description": text})
        return parameters

    def _parameter(self, field: msgspec.structs.FieldInfo, name: str, place: str) -> Json:
        schema = dict(self.schema(field.type))
        text, examples = schema.pop("description", ""), schema.get("examples")
        if isinstance(field.default, str | int | float | bool):
            schema["default"] = field.default
        # A parameter of a path must say that it is required (OpenAPI 3.1, 4.8.12.2).
        described: Json = {"name": name, "in": place, "required": place == "path" or field.required}
        if text:
            described["description"] = text
        if examples:  # once more here, where tools of OpenAPI 3.0 look for it
            described["example"] = examples[0]
        return described | {"schema": schema}

    def _body(self, operation: Operation, http: Http) -> Json | None:
        """The body of a request by its media type."""
        places = rest_fields(operation.request, http.verb, http.path)
        if operation.takes_stream and (upload := upload_of(operation.request)) is not None:
            content: Json = {"schema": {"type": "object"}} if upload.media == FORM else {}
            return {"required": True, "content": {upload.media: content}}
        if (whole := places.whole) is not None:
            media = raw_media(whole)
            content = {"schema": self.schema(whole.type)} if media is None else {}
            return {"required": whole.required, "content": {media or "application/json": self._shown(content)}}
        if not places.body:
            return None
        if len(places.body) == len(fields_of(operation.request)):
            schema = self.schema(operation.request)
        else:
            required = [each.encode_name for each in places.body if each.required]
            schema = {
                "type": "object",
                "properties": {each.encode_name: self.schema(each.type) for each in places.body},
            }
            schema |= {"required": required} if required else {}
        return {"required": True, "content": {"application/json": self._shown({"schema": schema})}}

    def _shown(self, content: Json) -> Json:
        """A body with an example, where one can be made."""
        example = example_of(content["schema"], self._schemas.components) if "schema" in content else UNKNOWN
        return content if example is UNKNOWN else content | {"example": example}

    def _responses(self, operation: Operation, http: Http) -> Json:
        responses: Json = {}
        if operation.reply in (None, type(None)):
            # As the codec of REST answers: without a body there is nothing that a 200 could describe.
            responses[str(204 if http.status == 200 else http.status)] = {"description": "Done."}
        else:
            result: Json = {"description": "The result.", "content": self._content(operation, http)}
            if http.cache is not None:
                result["headers"] = (
                    KEPT_HEADERS if http.cache.etag else {"Cache-Control": KEPT_HEADERS["Cache-Control"]}
                )
            responses[str(http.status)] = result
        if http.cache is not None and http.cache.etag:
            responses["304"] = {"description": "The result is the one that If-None-Match names."}
        if operation.authenticated:
            responses["401"] = _problem("Nobody is signed in.", [{"$ref": self._problem}])
        by_status: dict[int, list[type[Fault]]] = {}
        for fault in operation.raises:
            by_status.setdefault(self._status_of(fault), []).append(fault)
        others = _conflicts(operation)
        for status in sorted(by_status.keys() | others.keys()):
            faults = by_status.get(status, [])
            text = " ".join([*(fault.summary() for fault in faults), *others.get(status, ())])
            refs = [{"$ref": REF.format(name=self._problems[fault])} for fault in faults]
            # A fault's problem is a Problem as well: where both may come, `oneOf` would refuse what fits both.
            shared = status in SHARED or status in others
            responses[str(status)] = _problem(text, [*refs, {"$ref": self._problem}] if shared else refs, any_of=shared)
        responses["default"] = _problem("The request was refused, or failed.", [{"$ref": self._problem}])
        return responses

    def _content(self, operation: Operation, http: Http) -> Json:
        if struct_of(operation.reply) is FilePart:
            return {"application/octet-stream": {}}
        if http.media != "application/json":
            return {http.media: {"schema": {"type": "string", "contentMediaType": http.media}}}
        schema = self.schema(operation.reply)
        if operation.stream:
            return {"application/jsonl": {"schema": schema}, "text/event-stream": {"schema": schema}}
        return {"application/json": {"schema": schema}}

    def _fault_schema(self, fault: Any) -> Json:
        fields = fields_of(fault_payload(fault))
        own: Json = {
            "type": "object",
            "required": ["fault", *(field.name for field in fields if field.required)],
            "properties": {
                "fault": {"const": fault.__name__},
                **{field.name: self.schema(field.type) for field in fields},
            },
        }
        return {"description": fault.summary(), "allOf": [{"$ref": self._problem}, own]}


def _conflicts(operation: Operation) -> dict[int, tuple[str, ...]]:
    """What an idempotency key may be refused with, by status."""
    if operation.semantics is Semantics.SAFE:
        return {}
    taken = {409: (KEY_TAKEN,)} if operation.semantics is Semantics.ONCE else {}
    return {400: (KEY_MALFORMED,), **taken}


def _tag(operation: Operation) -> str:
    return operation.contract.rpartition(".")[2]


def _told_apart(names: dict[Any, str], longer: Callable[[Any], str]) -> dict[Any, str]:
    """The names, with a longer one for each of several things that have the same."""
    count = Counter(names.values())
    return {each: name if count[name] == 1 else longer(each) for each, name in names.items()}


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}".replace("<locals>.", "")


def _problem(text: str, schemas: list[Json], *, any_of: bool = False) -> Json:
    schema = schemas[0] if len(schemas) == 1 else {"anyOf" if any_of else "oneOf": schemas}
    return {"description": text, "content": {PROBLEM_MEDIA: {"schema": schema}}}
