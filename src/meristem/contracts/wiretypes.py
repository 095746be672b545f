"""Which Python types may cross a wire, and what to write instead of those that may not."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, NewType, TypeVar, Union, get_args, get_origin
from uuid import UUID

import msgspec

from meristem.errors import ContractError

IMMUTABLE_LEAVES: Final = (bool, int, float, str, bytes, Decimal, datetime, date, time, timedelta, UUID, type(None))
COLLECTIONS: Final = (list, set, frozenset, tuple)
DEEPEST: Final = 50  # messages inside messages in a type; only one that grows with each step of itself has more


class ProtoType(msgspec.Struct, frozen=True):
    """The protobuf type of a plain value, where Python's own says too little: `Annotated[int, ProtoType("int32")]`."""

    name: str


class JsonName(msgspec.Struct, frozen=True):
    """How JSON of protobuf spells a field, where that is not its name in camel case."""

    name: str


ANY_JSON: Final = frozenset(ProtoType(f"google.protobuf.{each}") for each in ("Struct", "Value", "ListValue"))
"""What holds whatever JSON can hold; anywhere else a contract says what a value is."""


class UnknownNameError(ContractError):
    """A name in an annotation that means nothing, or not yet: a type may be defined further down."""

    def __init__(self, where: str, name: str | None) -> None:
        super().__init__(
            f"{where}: the name {name!r} in its annotations is unknown when the program runs; "
            f"import it outside of `if TYPE_CHECKING:`"
        )


def annotations_of(function: Callable[..., Any], where: str) -> dict[str, Any]:
    """The annotations of a function as types; raises UnknownNameError."""
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise UnknownNameError(where, error.name) from None


def peel(type_: Any) -> tuple[Any, tuple[Any, ...]]:
    """The type without `Annotated`, `NewType` and names given to it, and what `Annotated` said of it."""
    extras: tuple[Any, ...] = ()
    while True:
        if get_origin(type_) is typing.Annotated:
            type_, *more = get_args(type_)
            extras = (*more, *extras)
        elif isinstance(type_, NewType):
            type_ = type_.__supertype__
        # By its name: Python 3.11, which cannot write one, has no such class.
        elif type(type_).__name__ == "TypeAliasType":  # `type Name = …` of Python 3.12
            type_ = type_.__value__
        else:
            return type_, extras


def is_any_json(type_: Any) -> bool:
    """Whether the type is one of protobuf's that hold any JSON."""
    return any(isinstance(each, ProtoType) and each in ANY_JSON for each in peel(type_)[1])


def unwrap(type_: Any) -> Any:
    """The type without `Annotated`, `NewType` and names given to it."""
    return peel(type_)[0]


def struct_of(type_: Any) -> type[msgspec.Struct] | None:
    """The class of messages that the type is, `Page` for `Page[Row]`; None for a type of something else."""
    type_ = unwrap(type_)
    cls = get_origin(type_) or type_
    return cls if isinstance(cls, type) and issubclass(cls, msgspec.Struct) else None


def fields_of(struct: Any) -> tuple[msgspec.structs.FieldInfo, ...]:
    """The fields of a type of messages, those of `Page[Row]` with `Row` in its place; raises UnknownNameError."""
    struct = unwrap(struct)
    try:
        return msgspec.structs.fields(struct)
    except NameError as error:
        raise UnknownNameError(getattr(struct, "__name__", str(struct)), error.name) from None


def parts_of(type_: Any) -> list[Any]:
    """The types of what a value may hold directly: of fields, of items, and the members of a union."""
    bare = unwrap(type_)
    if struct_of(bare) is not None:
        return [each.type for each in fields_of(bare)]
    return [] if get_origin(bare) is Literal else [each for each in get_args(bare) if each is not Ellipsis]


def is_union(type_: Any) -> bool:
    """Whether the type is `A | B` or `Optional[A]`."""
    return get_origin(type_) in (Union, types.UnionType)


def is_choice(type_: Any) -> bool:
    """Whether the type is an Enum or a Literal."""
    return get_origin(type_) is Literal or (isinstance(type_, type) and issubclass(type_, Enum))


def choices_of(type_: Any) -> tuple[Any, ...]:
    """The values of an Enum or Literal; a type that is neither has none."""
    if get_origin(type_) is Literal:
        return get_args(type_)
    return tuple(each.value for each in type_) if is_choice(type_) else ()


def is_fixed_tuple(type_: Any) -> bool:
    """Whether the type is a tuple with a type for each place: `tuple[A, B]`, and not `tuple[A, ...]`."""
    return get_origin(type_) is tuple and get_args(type_)[-1:] != (Ellipsis,)


def nullable(type_: Any) -> bool:
    """Whether None is a value of the type."""
    known = unwrap(type_)
    choices = get_args(known)
    if get_origin(known) is Literal:
        return None in choices
    return known is type(None) or (is_union(known) and type(None) in choices)


def unsupported(type_: Any, seen: frozenset[Any] = frozenset()) -> str | None:
    """Why the type cannot cross a wire and what to write instead; None when it can."""
    if is_any_json(type_):
        return None
    type_ = unwrap(type_)
    if type_ in IMMUTABLE_LEAVES or type_ is None or get_origin(type_) is Literal:
        return None
    if struct_of(type_) is not None:
        return None if type_ in seen else _fields(type_, seen | {type_})
    if isinstance(type_, type) and get_origin(type_) is None:
        return _class(type_)
    return _parts(type_, get_origin(type_), get_args(type_), seen)


def _parts(type_: Any, origin: Any, arguments: tuple[Any, ...], seen: frozenset[Any]) -> str | None:
    if isinstance(type_, TypeVar):
        return f"{type_} stands for nothing: say what it is where the type is used, e.g. Page[Row]"
    if is_union(type_):
        return _union(arguments, seen)
    if origin in (set, frozenset) and _is_unhashable(arguments[0], frozenset()):
        item = getattr(unwrap(arguments[0]), "__name__", str(arguments[0]))
        return f"a set holds what has a hash, and {item} is or holds a list, set or dict: write list[{item}]"
    if origin in COLLECTIONS:
        return _first(tuple(each for each in arguments if each is not Ellipsis), seen)
    if origin is dict:
        return _mapping(arguments, seen)
    return f"{type_} cannot cross a wire; use messages, lists, dicts and the plain values of the type table"


def _is_unhashable(type_: Any, seen: frozenset[Any]) -> bool:
    """Whether a value of the type may be, or hold, what changes."""
    bare = unwrap(type_)
    if is_any_json(type_) or get_origin(bare) in (list, set, dict):
        return True
    return bare not in seen and any(_is_unhashable(each, seen | {bare}) for each in parts_of(bare))


def _class(type_: type) -> str | None:
    if issubclass(type_, Enum):
        return None
    if type_ in COLLECTIONS or type_ is dict:
        return f"say what the {type_.__name__} holds, e.g. {type_.__name__}[{'str, int' if type_ is dict else 'str'}]"
    return f"{type_.__name__} cannot cross a wire; derive it from Message or use a plain value"


def _fields(type_: Any, seen: frozenset[Any]) -> str | None:
    name = getattr(type_, "__name__", str(type_))
    if len(seen) > DEEPEST:
        return f"{name} holds a larger type of itself without end; give its messages types of their own"
    fields = fields_of(type_)
    if (problem := shared_spelling(fields)) is not None:
        return f"{name}: {problem}"
    for field in fields:
        if (problem := unsupported(field.type, seen)) is not None:
            return f"{name}.{field.name}: {problem}"
    return None


def json_name_of(type_: Any) -> str | None:
    """How JSON of protobuf spells a field of the type, where its annotation says so."""
    return next((each.name for each in peel(type_)[1] if isinstance(each, JsonName)), None)


def shared_spelling(fields: typing.Iterable[msgspec.structs.FieldInfo]) -> str | None:
    """Why two fields could not be told apart on a wire, where `room_id` may be written `roomId`; None if all can."""
    taken: dict[str, str] = {}
    for field in fields:
        # A set: most names have one spelling only, which is no clash with itself.
        for spelled in {field.encode_name, json_spelling(field)}:
            if (other := taken.setdefault(spelled, field.name)) != field.name:
                return f"{other!r} and {field.name!r} are both {spelled!r} on the wire; rename one"
    return None


def json_spelling(field: msgspec.structs.FieldInfo) -> str:
    """How JSON of protobuf spells a field: as its annotation says, or else in camel case."""
    return json_name_of(field.type) or camel(field.encode_name)


def camel(name: str) -> str:
    """The ProtoJSON spelling of a field: `booking_id` becomes `bookingId`."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def word(type_: Any) -> str:
    """The name of a type as a part of a protobuf name."""
    type_ = unwrap(type_)
    if get_origin(type_) is None:
        name = getattr(type_, "__name__", str(type_))
        return str(name[:1].upper() + name[1:])
    origin = getattr(get_origin(type_), "__name__", "Value")
    inner = "".join(word(each) for each in get_args(type_) if isinstance(each, type))
    return f"{inner}{origin[:1].upper()}{origin[1:]}"


def snake(name: str) -> str:
    """`CreditCard` as a field is called: `credit_card`."""
    return "".join(f"_{each.lower()}" if each.isupper() and at else each.lower() for at, each in enumerate(name))


def _union(arguments: tuple[Any, ...], seen: frozenset[Any]) -> str | None:
    structs = [each for each in map(struct_of, arguments) if each is not None]
    untagged = [each for each in structs if each.__struct_config__.tag is None]
    if len(structs) > 1 and untagged:
        name = untagged[0].__name__
        return f'{name} shares a union with other messages: tag it, class {name}(Message, tag="{name.lower()}")'
    return _first(arguments, seen)


def _mapping(arguments: tuple[Any, ...], seen: frozenset[Any]) -> str | None:
    key = unwrap(arguments[0])
    # RFC 8259, section 4: the names in an object are strings, so a key must be made of one without doubt.
    if key not in (str, int, UUID) and not (isinstance(key, type) and issubclass(key, Enum)):
        return f"a dict's keys cross the wire as strings: {key} must be str, int, UUID or an Enum"
    return unsupported(arguments[1], seen)


def _first(arguments: tuple[Any, ...], seen: frozenset[Any]) -> str | None:
    return next((problem for each in arguments if (problem := unsupported(each, seen)) is not None), None)
