"""What only protobuf tells apart: widths of numbers, open enums, oneofs, and its well-known messages."""

from __future__ import annotations

import keyword
from enum import IntEnum
from typing import Annotated, Any, Final, Self, TypeAlias

import msgspec
from msgspec import Meta

from meristem.contracts.message import Message
from meristem.contracts.wiretypes import ANY_JSON, ProtoType, fields_of, peel

OF_ENUMS: Final = frozenset(("name", "value", "mro"))
"""What an enum has itself, so that no member of one can be called so."""


class Oneof(msgspec.Struct, frozen=True):
    """The oneof that a field belongs to; at most one field of a oneof is set, the others are None.

    `card: Annotated[Card | None, Oneof("means")] = None`
    """

    name: str


class ProtoEnum(IntEnum):
    """An enum as protobuf has it: numbered, with a member of value 0, and open.

    A number that a newer caller knows, and this code does not, is kept: its member's name is the number.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int) or not -(2**31) <= value < 2**31:
            return None
        # Not kept among the members: whoever sends numbers could fill the memory with them.
        member = int.__new__(cls, value)
        member._name_ = str(value)
        member._value_ = value
        return member


class Empty(Message):
    """google.protobuf.Empty: a message without fields."""


class FieldMask(Message):
    """google.protobuf.FieldMask: the paths of fields that a request is about."""

    paths: list[str] = []


class AnyMessage(Message):
    """google.protobuf.Any: a message of a type that its receiver looks up, as its bytes."""

    type_url: str = ""
    value: bytes = b""


WELL_KNOWN: Final[dict[Any, str]] = {
    Empty: "google.protobuf.Empty",
    FieldMask: "google.protobuf.FieldMask",
    AnyMessage: "google.protobuf.Any",
}

_I32: Final = Meta(ge=-(2**31), le=2**31 - 1)
_U32: Final = Meta(ge=0, le=2**32 - 1)
_I64: Final = Meta(ge=-(2**63), le=2**63 - 1)
_U64: Final = Meta(ge=0)  # no upper bound: msgspec takes none beyond those of an int64
_F32: Final = Meta(ge=-3.4028234663852886e38, le=3.4028234663852886e38)

SIGNED_32: Final = ("int32", "sint32", "sfixed32", "google.protobuf.Int32Value")
UNSIGNED_32: Final = ("uint32", "fixed32", "google.protobuf.UInt32Value")
SIGNED_64: Final = ("sint64", "sfixed64", "google.protobuf.Int64Value")  # and int64, which an int without a name is
UNSIGNED_64: Final = ("uint64", "fixed64", "google.protobuf.UInt64Value")

GUARANTEED: Final = {
    **dict.fromkeys(SIGNED_32, _I32),
    **dict.fromkeys(UNSIGNED_32, _U32),
    **dict.fromkeys(SIGNED_64, _I64),
    **dict.fromkeys(UNSIGNED_64, _U64),
}
"""Bounds that a number cannot break that was read from a field of the type."""

int32: TypeAlias = Annotated[int, ProtoType("int32"), _I32]
sint32: TypeAlias = Annotated[int, ProtoType("sint32"), _I32]
sfixed32: TypeAlias = Annotated[int, ProtoType("sfixed32"), _I32]
uint32: TypeAlias = Annotated[int, ProtoType("uint32"), _U32]
fixed32: TypeAlias = Annotated[int, ProtoType("fixed32"), _U32]
sint64: TypeAlias = Annotated[int, ProtoType("sint64"), _I64]
sfixed64: TypeAlias = Annotated[int, ProtoType("sfixed64"), _I64]
uint64: TypeAlias = Annotated[int, ProtoType("uint64"), _U64]
fixed64: TypeAlias = Annotated[int, ProtoType("fixed64"), _U64]
float32: TypeAlias = Annotated[float, ProtoType("float"), _F32]

DoubleValue: TypeAlias = Annotated[float, ProtoType("google.protobuf.DoubleValue")]
FloatValue: TypeAlias = Annotated[float, ProtoType("google.protobuf.FloatValue"), _F32]
Int64Value: TypeAlias = Annotated[int, ProtoType("google.protobuf.Int64Value"), _I64]
UInt64Value: TypeAlias = Annotated[int, ProtoType("google.protobuf.UInt64Value"), _U64]
Int32Value: TypeAlias = Annotated[int, ProtoType("google.protobuf.Int32Value"), _I32]
UInt32Value: TypeAlias = Annotated[int, ProtoType("google.protobuf.UInt32Value"), _U32]
BoolValue: TypeAlias = Annotated[bool, ProtoType("google.protobuf.BoolValue")]
StringValue: TypeAlias = Annotated[str, ProtoType("google.protobuf.StringValue")]
BytesValue: TypeAlias = Annotated[bytes, ProtoType("google.protobuf.BytesValue")]

Struct: TypeAlias = Annotated[dict[str, Any], ProtoType("google.protobuf.Struct")]
Value: TypeAlias = Annotated[Any, ProtoType("google.protobuf.Value")]
ListValue: TypeAlias = Annotated[list[Any], ProtoType("google.protobuf.ListValue")]

WRAPPERS: Final = {
    f"google.protobuf.{name}Value": type_
    for name, type_ in {
        "Double": "double", "Float": "float", "Int64": "int64", "UInt64": "uint64", "Int32": "int32",
        "UInt32": "uint32", "Bool": "bool", "String": "string", "Bytes": "bytes",
    }.items()
}  # fmt: skip

FILES: Final = {
    "google.protobuf.Timestamp": "google/protobuf/timestamp.proto",
    "google.protobuf.Duration": "google/protobuf/duration.proto",
    "google.protobuf.Empty": "google/protobuf/empty.proto",
    "google.protobuf.FieldMask": "google/protobuf/field_mask.proto",
    "google.protobuf.Any": "google/protobuf/any.proto",
    **dict.fromkeys(WRAPPERS, "google/protobuf/wrappers.proto"),
    **dict.fromkeys((each.name for each in ANY_JSON), "google/protobuf/struct.proto"),
}
"""The file of each well-known message."""


def proto_type(extras: tuple[Any, ...]) -> str | None:
    """The protobuf type that annotations name."""
    return next((each.name for each in extras if isinstance(each, ProtoType)), None)


def oneof_of(type_: Any) -> str | None:
    """The oneof that a field of the type belongs to."""
    return next((each.name for each in peel(type_)[1] if isinstance(each, Oneof)), None)


def oneofs_of(type_: Any) -> list[list[msgspec.structs.FieldInfo]]:
    """The fields of each oneof of a message."""
    groups: dict[str, list[msgspec.structs.FieldInfo]] = {}
    for each in fields_of(type_):
        if (name := oneof_of(each.type)) is not None:
            groups.setdefault(name, []).append(each)
    return list(groups.values())


def value_name(member: str) -> str:
    """What a member of an enum is called in protobuf: `None_` is `None` there, which Python has for itself."""
    plain = member.removesuffix("_")
    return plain if keyword.iskeyword(plain) or plain in OF_ENUMS else member


def is_open_enum(type_: Any) -> bool:
    """Whether the type is an enum of protobuf, by its class."""
    return isinstance(type_, type) and issubclass(type_, ProtoEnum)
