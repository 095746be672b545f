"""Contracts as protobuf: which message and field every Python type becomes.

| Python | JSON | protobuf |
|---|---|---|
| bool, float, str, bytes | boolean, number, string, base64 | bool, double, string, bytes |
| int | number (string accepted) | int64 |
| Decimal, date, time, UUID | string | string |
| datetime (aware) | RFC 3339 | google.protobuf.Timestamp |
| timedelta | ISO 8601 (`"1.5s"` accepted) | google.protobuf.Duration |
| Enum, Literal | value (the name is accepted) | string, or int64 where the values are numbers |
| Message | object | message, its fields numbered as they are declared |
| list, set, frozenset, tuple[T, ...] | array | repeated |
| tuple[A, B] | array | message with a field for each place |
| dict | object | map, its keys string or int64 |
| T or None; a field with a default | absent or null | optional |
| A or B | value; tagged object | message with a oneof |
| a collection inside a collection | array, object | message that holds it |
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin
from uuid import UUID

import msgspec

from meristem.contracts.codec import encode, fault_payload
from meristem.contracts.wiretypes import COLLECTIONS, fields_of, is_union, nullable, snake, struct_of, unwrap, word

if typing.TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from meristem.contracts.operation import Operation

Change: TypeAlias = Callable[[Any], Any]

SCALARS: Final = {
    bool: "bool", int: "int64", float: "double", str: "string", bytes: "bytes",
    Decimal: "string", date: "string", time: "string", UUID: "string",
    datetime: "google.protobuf.Timestamp", timedelta: "google.protobuf.Duration",
}  # fmt: skip


class Field(msgspec.Struct):
    """A field of a protobuf message; `label` is "", "optional", "repeated" or "oneof", `key` the key type of a map."""

    name: str
    number: int
    type: str
    label: str = ""
    key: str = ""


class ProtoMessage(msgspec.Struct):
    """A protobuf message; all its fields stand in one oneof where their label says so."""

    name: str
    fields: list[Field]


class FieldShape(msgspec.Struct):
    """What a Python type becomes, and how its JSON changes into ProtoJSON (`up`) and back (`down`)."""

    type: str
    up: Change
    down: Change
    label: str = ""
    key: str = ""


class ProtoSchema:
    """The messages of a contract, collected from its operations."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        self.operations = list(operations)
        self.messages: dict[str, ProtoMessage] = {}
        self._structs: dict[Any, FieldShape] = {}
        self.reshaped = False  # whether the JSON of some value differs from ProtoJSON in more than its names
        faults: list[Any] = list(dict.fromkeys(fault for each in self.operations for fault in each.raises))
        for fault in faults:  # first, for its name is the type of a detail, which nothing else may have
            self.shape(fault_payload(fault))
        self.requests = {each.name: self.shape(each.request) for each in self.operations}
        self.replies = {each.name: self._reply(each) for each in self.operations}

    def shape(self, type_: Any) -> FieldShape:
        """The shape of a type as a field's."""
        type_ = unwrap(type_)
        if struct_of(type_) is not None:
            return self._struct(type_)
        if (scalar := _scalar(type_)) is not None:
            self.reshaped = self.reshaped or scalar.up is not _same
            return scalar
        if is_union(type_):
            return self._union([unwrap(each) for each in get_args(type_) if each is not type(None)], type_)
        return self._collection(get_origin(type_), get_args(type_))

    def _single(self, type_: Any) -> FieldShape:
        """The shape of a type inside a collection or oneof, where only a single value may stand."""
        shape = self.shape(type_)
        # Protobuf has no list of lists, and a oneof holds no list: those get a message around them.
        if shape.label != "repeated":
            return msgspec.structs.replace(shape, label="")
        self.reshaped = True
        name = self._named("".join(part.title() for part in (word(type_), "values")))
        self.messages[name] = ProtoMessage(name, [Field("values", 1, shape.type, shape.label, shape.key)])
        empty: Any = {} if shape.key else []
        return FieldShape(
            name, lambda value: {"values": shape.up(value)}, lambda value: shape.down(value.get("values", empty))
        )

    def _struct(self, type_: Any) -> FieldShape:
        if type_ not in self._structs:
            name = self._named(word(type_))
            made = self._structs[type_] = _later(name)
            # Before its fields are looked at: they may hold this very message, and none of them may take its name.
            self.messages[name] = ProtoMessage(name, [])
            known = fields_of(type_)
            shapes = {field.encode_name: self.shape(field.type) for field in known}
            required = {field.encode_name for field in known if field.required}
            self.messages[name].fields = [
                Field(field, number, shape.type, shape.label or ("" if field in required else "optional"), shape.key)
                for number, (field, shape) in enumerate(shapes.items(), 1)
            ]
            always: dict[str, Any] = {each.encode_name: None for each in known if each.required and nullable(each.type)}
            # left out, it would be read as the default
            told = {field.encode_name for field in known if field.default is not None and not field.required}
            config = (struct_of(type_) or type_).__struct_config__
            if config.tag_field is not None:
                always[config.tag_field] = config.tag
            made.up, made.down = _fields_up(shapes, told), _fields_down(shapes, always)
        return self._structs[type_]

    def _union(self, members: list[Any], whole: Any) -> FieldShape:
        optional = len(members) < len(get_args(whole))
        if len(members) == 1:
            shape = self.shape(members[0])
            return shape if shape.label else msgspec.structs.replace(shape, label="optional")
        self.reshaped = True
        name = self._named("Or".join(word(each) for each in members))
        shapes = {snake(word(each)): (each, self._single(each)) for each in members}
        fields = [
            Field(field, number, shape.type, "oneof") for number, (field, (_, shape)) in enumerate(shapes.items(), 1)
        ]
        self.messages[name] = ProtoMessage(name, fields)

        def up(value: Any) -> Any:
            field, shape = next((field, shape) for field, (type_, shape) in shapes.items() if _is_of(value, type_))
            return {field: shape.up(value)}

        def down(value: Any) -> Any:
            return next((shapes[field][1].down(inner) for field, inner in value.items() if field in shapes), None)

        return FieldShape(name, up, down, "optional" if optional else "")

    def _collection(self, origin: Any, arguments: tuple[Any, ...]) -> FieldShape:
        if origin is dict:
            inner = self._single(arguments[1])
            key = "int64" if unwrap(arguments[0]) is int else "string"
            return FieldShape(
                inner.type,
                lambda value: {k: inner.up(v) for k, v in value.items()},
                lambda value: {k: inner.down(v) for k, v in value.items()},
                "repeated",
                key,
            )
        if origin is tuple and arguments[-1:] != (Ellipsis,):
            return self._places(arguments)
        inner = self._single(arguments[0])
        return FieldShape(
            inner.type,
            lambda value: [inner.up(item) for item in value],
            lambda value: [inner.down(item) for item in value],
            "repeated",
        )

    def _places(self, arguments: tuple[Any, ...]) -> FieldShape:
        shapes = {f"place_{number}": self.shape(each) for number, each in enumerate(arguments, 1)}
        self.reshaped = True
        name = self._named("".join(word(each) for each in arguments) + "Tuple")
        fields = [
            Field(field, number, shape.type, shape.label, shape.key)
            for number, (field, shape) in enumerate(shapes.items(), 1)
        ]
        self.messages[name] = ProtoMessage(name, fields)
        rise, fall = _fields_up(shapes), _fields_down(shapes, {})
        return FieldShape(
            name,
            lambda value: rise(dict(zip(shapes, value, strict=True))),
            lambda value: [fall(value).get(field) for field in shapes],
        )

    def reply_json(self, operation: Operation, body: bytes) -> bytes:
        """A reply's JSON in the shape of ProtoJSON, for clients whose classes are made from the `.proto`."""
        if not self.reshaped:
            return body
        return encode(self.replies[operation.name].up(msgspec.json.decode(body)))

    def _reply(self, operation: Operation) -> FieldShape:
        shape = None if operation.reply in (None, type(None)) else self.shape(operation.reply)
        if shape is not None and shape.type in self.messages and not shape.label and self._is_struct(operation.reply):
            return shape
        name = self._named(f"{operation.wire_name}Reply")
        fields = [] if shape is None else [Field("result", 1, shape.type, shape.label, shape.key)]
        self.messages[name] = ProtoMessage(name, fields)
        shapes = {} if shape is None else {"result": shape}
        return FieldShape(name, _fields_up(shapes), _fields_down(shapes, {}))

    @staticmethod
    def _is_struct(type_: Any) -> bool:
        return struct_of(type_) is not None

    def _named(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self.messages:
            name, number = f"{wanted}{number}", number + 1
        return name


def _later(name: str) -> FieldShape:
    """A shape whose changes are found once the message that may hold itself is complete."""

    def up(value: Any) -> Any:
        return shape.up(value)

    def down(value: Any) -> Any:
        return shape.down(value)

    shape = FieldShape(name, up, down)
    return shape


def _fields_up(shapes: dict[str, FieldShape], told: Collection[str] = ()) -> Change:
    """Changes fields; None is left out, but for those in `told`."""

    def up(value: Any) -> Any:
        found = {}
        for name, shape in shapes.items():
            if (given := value.get(name)) is not None:
                found[name] = shape.up(given)
            elif name in told and name in value:
                found[name] = None
        return found

    return up


def _fields_down(shapes: dict[str, FieldShape], always: dict[str, Any]) -> Change:
    """Changes fields back; `always` holds the tag of a union, and null for what is required and may be null."""
    return lambda value: always | {name: shape.down(value[name]) for name, shape in shapes.items() if name in value}


def _scalar(type_: Any) -> FieldShape | None:
    if get_origin(type_) is Literal or (isinstance(type_, type) and issubclass(type_, Enum)):
        values = get_args(type_) if get_origin(type_) is Literal else [each.value for each in type_]
        if None in values:
            others = _scalar(Literal[tuple(each for each in values if each is not None)])
            return others and msgspec.structs.replace(others, label="optional")
        if all(isinstance(each, int) for each in values):
            return FieldShape("int64", str, int)
        if all(isinstance(each, str) for each in values):
            return FieldShape("string", _same, _same)
        # Of text and numbers together each is written as text, and known by it; a text that reads like one is the text.
        known = {str(each): each for each in values} | {each: each for each in values}
        return FieldShape("string", str, lambda text: known.get(text, text))
    if type_ not in SCALARS:
        return None
    # ProtoJSON writes an int64 as text, because numbers of JavaScript are exact to 53 bits only.
    changes: dict[Any, tuple[Change, Change]] = {timedelta: (_seconds, _same), int: (str, int)}
    up, down = changes.get(type_, (_same, _same))
    return FieldShape(SCALARS[type_], up, down)


def _same(value: Any) -> Any:
    return value


def _seconds(value: str) -> str:
    # In whole numbers: the seconds of a long duration as a float have no room for microseconds.
    micros = msgspec.convert(value, timedelta) // timedelta(microseconds=1)
    whole, part = divmod(abs(micros), 1_000_000)
    return f"{'-' if micros < 0 else ''}{whole}.{part:06}s"


def _is_of(value: Any, type_: Any) -> bool:
    if (struct := struct_of(type_)) is not None:
        config = struct.__struct_config__
        return isinstance(value, dict) and (config.tag is None or value.get(config.tag_field) == config.tag)
    if get_origin(type_) is dict:
        return isinstance(value, dict)
    if get_origin(type_) in COLLECTIONS:
        return isinstance(value, list)
    if type_ in (bool, int, float):
        return type(value) is type_
    return isinstance(value, str) or (get_origin(type_) is Literal and value in get_args(type_))
