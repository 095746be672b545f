"""Which Python types may cross a wire, and what to write instead of those that may not."""

from __future__ import annotations

import types
import typing
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

import msgspec

IMMUTABLE_LEAVES: Final = (bool, int, float, str, bytes, Decimal, datetime, date, time, timedelta, UUID, type(None))
COLLECTIONS: Final = (list, set, frozenset, tuple)


def unwrap(type_: Any) -> Any:
    """The type without `Annotated`."""
    while get_origin(type_) is typing.Annotated:
        type_ = get_args(type_)[0]
    return type_


def is_union(type_: Any) -> bool:
    """Whether the type is `A | B` or `Optional[A]`."""
    return get_origin(type_) in (Union, types.UnionType)


def unsupported(type_: Any, seen: frozenset[Any] = frozenset()) -> str | None:
    """Why the type cannot cross a wire and what to write instead; None when it can."""
    type_ = unwrap(type_)
    if type_ in IMMUTABLE_LEAVES or type_ is None or get_origin(type_) is Literal:
        return None
    if isinstance(type_, type) and get_origin(type_) is None:
        return _class(type_, seen)
    origin, arguments = get_origin(type_), get_args(type_)
    if is_union(type_):
        return _union(arguments, seen)
    if origin in COLLECTIONS:
        return _first(tuple(each for each in arguments if each is not Ellipsis), seen)
    if origin is dict:
        return _mapping(arguments, seen)
    return f"{type_} cannot cross a wire; use messages, lists, dicts and the plain values of the type table"


def _class(type_: type, seen: frozenset[Any]) -> str | None:
    if issubclass(type_, Enum):
        return None
    if issubclass(type_, msgspec.Struct):
        return None if type_ in seen else _fields(type_, seen | {type_})
    if type_ in COLLECTIONS or type_ is dict:
        return f"say what the {type_.__name__} holds, e.g. {type_.__name__}[{'str, int' if type_ is dict else 'str'}]"
    return f"{type_.__name__} cannot cross a wire; derive it from Message or use a plain value"


def _fields(type_: type[msgspec.Struct], seen: frozenset[Any]) -> str | None:
    for name, hint in typing.get_type_hints(type_, include_extras=True).items():
        if name in type_.__struct_fields__ and (problem := unsupported(hint, seen)) is not None:
            return f"{type_.__name__}.{name}: {problem}"
    return None


def _union(arguments: tuple[Any, ...], seen: frozenset[Any]) -> str | None:
    structs = [each for each in map(unwrap, arguments) if isinstance(each, type) and issubclass(each, msgspec.Struct)]
    untagged = [each for each in structs if each.__struct_config__.tag is None]
    if len(structs) > 1 and untagged:
        name = untagged[0].__name__
        return f'{name} shares a union with other messages: tag it, class {name}(Message, tag="{name.lower()}")'
    return _first(arguments, seen)


def _mapping(arguments: tuple[Any, ...], seen: frozenset[Any]) -> str | None:
    key = unwrap(arguments[0])
    if key not in (str, int, UUID) and not (isinstance(key, type) and issubclass(key, Enum)):
        return f"a dict's keys cross the wire as strings: {key} must be str, int, UUID or an Enum"
    return unsupported(arguments[1], seen)


def _first(arguments: tuple[Any, ...], seen: frozenset[Any]) -> str | None:
    return next((problem for each in arguments if (problem := unsupported(each, seen)) is not None), None)
