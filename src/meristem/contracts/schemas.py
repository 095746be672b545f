"""JSON Schema of the types of contracts, in full where msgspec leaves something open, with the texts below fields."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, get_args

import msgspec

from meristem.contracts.codec import fault_payload
from meristem.contracts.protodocs import field_docs
from meristem.contracts.wiretypes import fields_of, is_union, parts_of, struct_of, unwrap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.operation import Operation

DECIMAL: Final = r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
REF: Final = "#/components/schemas/{name}"


class Schemas:
    """The schemas of `types` and of all messages inside of them; each message is a component, referred to by name."""

    def __init__(self, types: Iterable[Any]) -> None:
        given = list(types)
        structs: dict[Any, None] = {}
        for type_ in given:
            _gather(type_, structs)
        keys = dict.fromkeys(_key(type_) for type_ in (*structs, *given))
        schemas, self.components = msgspec.json.schema_components([each.type for each in keys], ref_template=REF)
        self._of = dict(zip(keys, schemas, strict=True))
        for schema in self.components.values():
            _complete(schema)
        for key, schema in self._of.items():
            _complete(schema)
            _date(key.type, schema)
        for struct in structs:
            properties = self.components[self.of(struct)["$ref"].rpartition("/")[2]].get("properties", {})
            texts = field_docs(struct)
            for field in fields_of(struct):
                _date(field.type, properties[field.encode_name])
                if text := texts.get(field.name):
                    properties[field.encode_name].setdefault("description", text)

    def of(self, type_: Any) -> dict[str, Any]:
        """The schema of a type, by reference where it is a component."""
        return self._of[_key(type_)]

    def free(self, name: str) -> str:
        """A name for a component of ours that no message of the system's has."""
        while name in self.components:
            name = f"{name}_"
        return name

    def referenced(self, tree: Any) -> dict[str, Any]:
        """The components that a part of a document needs, through one another, by name."""
        found: dict[str, Any] = {}
        waiting: list[Any] = [tree]
        while waiting:
            node = waiting.pop()
            if isinstance(node, dict):
                name = str(node.get("$ref", "")).rpartition("/")[2]
                if name in self.components and name not in found:
                    found[name] = self.components[name]
                    waiting.append(found[name])
                waiting.extend(node.values())
            elif isinstance(node, list):
                waiting.extend(node)
        return found


def json_schemas(operations: Iterable[Operation]) -> dict[str, str]:
    """JSON Schema of the messages of contracts, in a file for each, by its name: requests, replies and faults."""
    grouped: dict[str, list[Operation]] = {}
    for each in operations:
        grouped.setdefault(each.contract, []).append(each)
    files = {}
    for contract, known in sorted(grouped.items()):
        faults: list[Any] = [fault for each in known for fault in each.raises]
        types = [*(each.request for each in known), *(each.reply for each in known), *map(fault_payload, faults)]
        components = Schemas(types).components
        schema = {"$schema": DIALECT, "$id": f"{contract}.schema.json", "$defs": dict(sorted(components.items()))}
        text = msgspec.json.format(msgspec.json.encode(schema)).decode()
        files[f"{contract}.schema.json"] = text.replace(REF.format(name=""), "#/$defs/") + "\n"
    return files


class _Key(msgspec.Struct, frozen=True):
    """A type by its written form, because `Annotated` with unhashable parts cannot be a key."""

    text: str
    type: Any

    def __hash__(self) -> int:
        return hash(self.text)


def _key(type_: Any) -> _Key:
    # With its id: of a class that was made in a function there may be several of one name.
    name = f"{type_.__module__}.{type_.__qualname__}.{id(type_)}" if isinstance(type_, type) else repr(type_)
    return _Key(name, type_)


def _complete(schema: Any) -> None:
    """Say of datetimes and decimals what msgspec leaves open: a Decimal is read from a number, too."""
    if isinstance(schema, list):
        for each in schema:
            _complete(each)
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "string" and schema.get("format") == "decimal":
        schema |= {"type": ["string", "number"], "pattern": DECIMAL}
    for each in schema.values():
        _complete(each)


def _gather(type_: Any, found: dict[Any, None]) -> None:
    type_ = unwrap(type_)
    if struct_of(type_) is not None:
        if type_ in found:
            return
        found[type_] = None
    for each in parts_of(type_):
        _gather(each, found)


def _date(type_: Any, schema: Any) -> None:
    """Say `date-time` of a datetime, which msgspec says only of one that must have a zone."""
    type_ = unwrap(type_)
    if not isinstance(schema, dict):
        return
    if type_ is datetime and schema.get("type") == "string":
        schema["format"] = "date-time"
    elif is_union(type_):
        if datetime in map(unwrap, get_args(type_)):
            for each in schema.get("anyOf", ()):
                _date(datetime, each)
    elif get_args(type_):
        _date(get_args(type_)[-1], schema.get("additionalProperties"))
        _date(get_args(type_)[0], schema.get("items"))
