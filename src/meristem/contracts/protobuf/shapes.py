"""Contracts as protobuf: which message and field every Python type becomes.

| Python | JSON | protobuf |
|---|---|---|
| bool, float, str, bytes | boolean, number, string, base64 | bool, double, string, bytes |
| int | number (string accepted) | int64 |
| int32, fixed64, float32, ... of `meristem.proto` | number (string accepted) | int32, fixed64, float, ... |
| Decimal, date, time, UUID | string | string |
| datetime (aware) | RFC 3339 | google.protobuf.Timestamp |
| timedelta | ISO 8601 (`"1.5s"` accepted) | google.protobuf.Duration |
| Enum, Literal | value (the name is accepted) | string, or int64 where the values are numbers |
| ProtoEnum | number (the name is accepted) | enum |
| Message | object | message |
| list, set, frozenset, tuple[T, ...] | array | repeated |
| tuple[A, B] | array | message with a field for each place |
| dict | object | map |
| T or None; a field with a default other than zero | absent or null | optional |
| fields of one `Oneof` | absent or null | oneof |
| A or B | value; tagged object | message with a oneof |
| a collection inside a collection, or None beside one | array, object | message that holds it |
"""

from __future__ import annotations

import re
import sys
import typing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from typing import Any, Final, Literal, get_args, get_origin
from uuid import UUID

import msgspec

from meristem.contracts.codec import fault_payload
from meristem.contracts.message import Message
from meristem.contracts.protobuf.number_lock import Numbering, ProtoHome, home_of, lock_of
from meristem.contracts.protobuf.proto_types import Field, FieldShape, ProtoEnumeration, ProtoMessage
from meristem.contracts.protokinds import WELL_KNOWN, is_open_enum, oneof_of, proto_type, value_name
from meristem.contracts.wiretypes import (
    choices_of,
    fields_of,
    is_choice,
    is_fixed_tuple,
    is_union,
    json_name_of,
    nullable,
    peel,
    snake,
    struct_of,
    unwrap,
    word,
)
from meristem.errors import ContractError

if typing.TYPE_CHECKING:
    from collections.abc import Iterable

    from meristem.contracts.operation import Operation

SCALARS: Final = {
    bool: "bool", int: "int64", float: "double", str: "string", bytes: "bytes",
    Decimal: "string", date: "string", time: "string", UUID: "string",
    datetime: "google.protobuf.Timestamp", timedelta: "google.protobuf.Duration",
}  # fmt: skip
ZEROS: Final[dict[Any, Any]] = {bool: False, int: 0, float: 0.0, str: "", bytes: b""}
NO_VERSION: Final = re.compile(r"(?!v[0-9])")


class ProtoSchema:
    """The messages and enums of contracts of one package, collected from their operations."""

    def __init__(self, operations: Iterable[Operation], package: str = "", module: str = "") -> None:
        self.operations = list(operations)
        first = self.operations[0] if self.operations else None
        self.module = module if first is None else first.module
        self.home = proto_home(first) if first is not None else ProtoHome("faults.proto", package)
        self._around = self.home  # the file of the message whose fields are looked at
        self.messages: dict[str, ProtoMessage] = {}
        self.enums: dict[str, ProtoEnumeration] = {}
        self._structs: dict[Any, str] = {}
        self._parts: dict[Any, str] = {}
        faults: list[Any] = list(dict.fromkeys(fault for each in self.operations for fault in each.raises))
        for fault in faults:  # first, for its name is the type of a detail, which nothing else may have
            self.shape(fault_payload(fault))
        self.requests = {each.path: self.shape(each.request).type for each in self.operations}
        self.replies = {each.path: self.shape(reply_struct(each)).type for each in self.operations}
        self._complete()

    def _complete(self) -> None:
        """Take in what no operation needs, too, of modules that stand for a `.proto`."""
        done: set[str] = set()
        while waiting := {each.module for each in self.messages.values() if each.module} - done:
            for module in waiting:
                done.add(module)
                values = vars(sys.modules[module]).values() if home_of(module) is not None else ()
                for each in [each for each in values if getattr(each, "__module__", None) == module]:
                    if is_open_enum(each) or (isinstance(each, type) and issubclass(each, Message)):
                        self.shape(each)

    def shape(self, type_: Any) -> FieldShape:
        """The shape of a type as a field's."""
        bare, extras = peel(type_)
        if (named := proto_type(extras) or WELL_KNOWN.get(bare)) is not None:
            return FieldShape(named)
        if struct_of(bare) is not None:
            return FieldShape(self._struct(bare))
        if is_open_enum(bare):
            return FieldShape(self._enum(bare))
        if (scalar := _scalar(bare)) is not None:
            return scalar
        if is_union(bare):
            return self._union(bare)
        return self._collection(bare)

    def single(self, type_: Any) -> FieldShape:
        """The shape of a type inside a collection or oneof, where only a single value may stand."""
        shape = self.shape(type_)
        # Protobuf has no list of lists, and a oneof holds no list: those get a message around them.
        if shape.label != "repeated":
            return FieldShape(shape.type)
        return FieldShape(self._made(f"{word(type_)}Values", {"values": shape}))

    def fields(self, type_: Any) -> dict[str, Field]:
        """The fields of the message that a class stands for, by the name on the wire."""
        if (name := self.shape(type_).type) in self.messages:
            return {each.name: each for each in self.messages[name].fields}
        return {each.encode_name: self._field(each, number) for number, each in enumerate(fields_of(type_), 1)}

    def is_message(self, name: str) -> bool:
        """Whether a type of a field is a message, whose absence protobuf can always tell."""
        return name in self.messages or name.startswith("google.protobuf.")

    def _struct(self, type_: Any) -> str:
        if type_ not in self._structs:
            cls = struct_of(type_) or type_
            home, wanted = self._place(cls, type_)
            name = self._structs[type_] = self._named(home, wanted)
            # Before its fields are looked at: they may hold this very message, and none of them may take its name.
            message = self.messages[name] = ProtoMessage(name, home, made_of=type_, module=cls.__module__)
            known, (self._around, before) = fields_of(type_), (home, self._around)
            message.numbering = lock_of(cls.__module__).messages.get(name, message.numbering)
            numbers = message.numbering.assign(each.encode_name for each in known)
            message.fields = [self._field(each, numbers[each.encode_name]) for each in known]
            self._around = before
        return self._structs[type_]

    def _field(self, field: msgspec.structs.FieldInfo, number: int) -> Field:
        shape, oneof = self.shape(field.type), oneof_of(field.type) or ""
        label = "repeated" if shape.label == "repeated" else ""
        if not label and not oneof and not self.is_message(shape.type) and self._is_told(field, shape):
            label = "optional"
        return Field(field.encode_name, number, shape.type, label, shape.key, oneof, json_name_of(field.type))

    @staticmethod
    def _is_told(field: msgspec.structs.FieldInfo, shape: FieldShape) -> bool:
        """Whether the field's absence means another value than zero, and so must be told from it."""
        if nullable(field.type) or shape.label == "optional":
            return True
        if field.required:
            return False
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        bare = unwrap(field.type)
        zero = 0 if is_open_enum(bare) else ZEROS.get(bare)
        return zero is None or type(default) not in (bare, type(zero)) or default != zero

    def _enum(self, type_: Any) -> str:
        if type_ not in self._structs:
            home, wanted = self._place(type_, type_)
            name = self._structs[type_] = self._named(home, wanted)
            values = {value_name(each): int(member) for each, member in type_.__members__.items()}
            if next(iter(values.values()), None) != 0:
                raise ContractError(f"{type_.__name__}: its first member must have the value 0, for what is left out")
            entry = lock_of(type_.__module__).enums.get(name, Numbering())
            self.enums[name] = ProtoEnumeration(name, home, values, type_, entry)
        return self._structs[type_]

    def _place(self, cls: Any, type_: Any) -> tuple[ProtoHome, str]:
        """The file of a class, and its name there: within the messages that it is written in."""
        if type_ is not cls:  # `Page[Row]` belongs to whoever needs it
            return self.home, word(type_)
        outer, _, name = cls.__qualname__.rpartition(".")
        holder: Any = sys.modules.get(cls.__module__)
        for part in outer.split(".") if outer else ():
            holder = getattr(holder, part, None)
        home = home_of(cls.__module__) or self.home
        if isinstance(holder, type) and issubclass(holder, msgspec.Struct):
            return home, f"{self._struct(holder).removeprefix(home.full(''))}.{name}"
        return home, word(cls)

    def _union(self, whole: Any) -> FieldShape:
        members = [each for each in get_args(whole) if each is not type(None)]
        optional = "optional" if len(members) < len(get_args(whole)) else ""
        if len(members) == 1:
            # A list that may be None would be an empty one: a message around it tells them apart.
            return FieldShape(self.single(members[0]).type, "optional")
        shapes = {snake(word(each)): self.single(each) for each in members}
        return FieldShape(self._made("Or".join(word(each) for each in members), shapes, oneof="value"), optional)

    def _collection(self, type_: Any) -> FieldShape:
        origin, arguments = get_origin(type_), get_args(type_)
        if origin is dict:
            key = self.shape(arguments[0])
            return FieldShape(self.single(arguments[1]).type, "repeated", key.type)
        if is_fixed_tuple(type_):
            places = {f"place_{number}": self.shape(each) for number, each in enumerate(arguments, 1)}
            name = "".join(word(each) for each in arguments) + "Tuple"
            return FieldShape(self._made(name, places))
        return FieldShape(self.single(arguments[0]).type, "repeated")

    def _made(self, wanted: str, shapes: dict[str, FieldShape], oneof: str = "") -> str:
        """The message of a type that has no class of its own: one for all that have the same parts."""
        home = self._around
        key = (home, wanted, tuple(shapes.items()))
        if key not in self._parts:
            name = self._parts[key] = self._named(home, wanted)
            entry = lock_of(self.module).messages.get(name, Numbering())
            numbers = entry.assign(shapes)
            fields = [
                Field(field, numbers[field], each.type, "" if oneof else self._label(each), each.key, oneof)
                for field, each in shapes.items()
            ]
            self.messages[name] = ProtoMessage(name, home, fields, numbering=entry, module=self.module if oneof else "")
        return self._parts[key]

    def _label(self, shape: FieldShape) -> str:
        return "" if shape.label == "optional" and self.is_message(shape.type) else shape.label

    def _named(self, home: ProtoHome, wanted: str) -> str:
        name, number = home.full(wanted), 2
        while name in self.messages or name in self.enums:
            name, number = f"{home.full(wanted)}{number}", number + 1
        return name


@cache
def reply_struct(operation: Operation) -> Any:
    """The message of an operation's reply: the reply itself, or a message that holds it as its `result`."""
    if struct_of(operation.reply) is not None:
        return operation.reply
    fields = [] if operation.reply in (None, type(None)) else [("result", operation.reply)]
    name = f"{operation.contract.rpartition('.')[2]}{operation.wire_name}Reply"
    return msgspec.defstruct(name, fields, frozen=True, kw_only=True, module=operation.module)


def proto_home(operation: Operation) -> ProtoHome:
    """The file of an operation's contract; without a lock it is where linters look: `shop/rooms/v1/rooms.proto`."""
    if (home := home_of(operation.module)) is not None:
        return home
    package, _, service = operation.contract.rpartition(".")
    parts = package.split(".") if package else []
    stem = next(filter(NO_VERSION.match, reversed(parts)), snake(service))
    return ProtoHome("/".join([*parts, f"{stem}.proto"]), package)


def _scalar(type_: Any) -> FieldShape | None:
    if is_choice(type_):
        values = choices_of(type_)
        if None in values:
            others = _scalar(Literal[tuple(each for each in values if each is not None)])
            return None if others is None else FieldShape(others.type, "optional")
        # Of text and numbers together each is written as text, and known by it.
        return FieldShape("int64" if all(isinstance(each, int) for each in values) else "string")
    return FieldShape(SCALARS[type_]) if type_ in SCALARS else None
