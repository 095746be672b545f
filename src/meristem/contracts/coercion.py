"""Brings decoded ProtoJSON into the shape that msgspec expects of a type, which then refuses what does not fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin

import msgspec

from meristem.contracts.pertype import PerType
from meristem.contracts.protokinds import FieldMask, is_open_enum, value_name
from meristem.contracts.wiretypes import (
    COLLECTIONS,
    camel,
    fields_of,
    is_fixed_tuple,
    is_union,
    json_spelling,
    nullable,
    snake,
    struct_of,
    unwrap,
    word,
)

Coerce: TypeAlias = Callable[[Any], Any]

# More than a double has (309). `1e999999999` is short and has a billion digits: no int is made of such.
MOST_DIGITS: Final = 400
INTEGER: Final = re.compile(r"^-?[0-9]{1,400}(?:\.0+)?$")
NUMBER: Final = re.compile(r"^-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,9})?$")
SECONDS: Final = re.compile(r"^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$")


def coercer(type_: Any, *, zeros: bool = False) -> Coerce:
    """A function that brings decoded ProtoJSON into the shape that msgspec expects of `type_`.

    With `zeros` a field that must be there, and is not, is zero.
    """
    return _Coercers(zeros=zeros).of(type_)


class _Coercers(PerType[Coerce]):
    """Brings decoded ProtoJSON into shape; with `zeros` what must be there, and is not, is zero."""

    def __init__(self, *, zeros: bool) -> None:
        super().__init__()
        self.zeros = zeros

    def build(self, type_: Any) -> Coerce:
        plain: dict[Any, Coerce] = {
            int: integer, float: _float, Decimal: as_it_is, bytes: _base64, timedelta: _duration, Any: numbers,
        }  # fmt: skip
        if type_ in plain:
            return plain[type_]
        if get_origin(type_) is Literal:
            return _literal(get_args(type_))
        if (struct := struct_of(type_)) is not None:
            read = self.struct(type_, struct)
            return _mask(read) if struct is FieldMask else read
        if is_union(type_):
            return self.union(get_args(type_))
        if isinstance(type_, type) and get_origin(type_) is None:
            return _enum(type_) if issubclass(type_, Enum) else number
        return self.container(type_)

    def struct(self, type_: Any, struct: type[msgspec.Struct]) -> Coerce:
        fields: dict[str, tuple[str, Coerce, bool]] = {}
        for field in fields_of(type_):
            entry = (field.encode_name, self.of(field.type), nullable(field.type))
            fields[json_spelling(field)] = entry
            fields[field.encode_name] = entry
        missing = {each.encode_name: zero_of(each.type) for each in fields_of(type_) if each.required and self.zeros}
        missing = {name: zero for name, zero in missing.items() if zero is not None}
        tag, strict = struct.__struct_config__.tag_field, struct.__struct_config__.forbid_unknown_fields

        def coerce(value: Any) -> Any:
            if not isinstance(value, dict):
                return number(value)
            shaped = {tag: value[tag]} if tag is not None and tag in value else {}
            for key, item in value.items():
                name, inner, nullable = fields.get(key, (None, None, False))
                if name is None or inner is None:
                    if strict and key != tag:
                        shaped[key] = None  # for the reader to refuse
                # ProtoJSON: null is a field that is left out, but where None is a value of its own.
                elif (item is not None or nullable) and (key == name or name not in value):
                    shaped[name] = inner(item)
            return missing | shaped if missing else shaped

        return coerce

    def union(self, members: tuple[Any, ...]) -> Coerce:
        some = [unwrap(each) for each in members if each is not type(None)]
        if len(some) == 1:
            inner = self.of(some[0])
            return lambda value: None if value is None else inner(value)
        structs = [(struct, each) for each in some if (struct := struct_of(each)) is not None]
        tagged = {str(struct.__struct_config__.tag): self.of(each) for struct, each in structs}
        field = structs[0][0].__struct_config__.tag_field if structs else None
        dicts = [each for each in some if get_origin(each) is dict]
        # Where no tag tells, one kind of object in the union must be it; of several none is guessed.
        only = self.of(structs[0][1] if structs else dicts[0]) if len(structs) + len(dicts) == 1 else as_it_is
        lists = [self.of(each) for each in some if get_origin(each) in COLLECTIONS]
        exact = Decimal in some and float not in some
        chosen = {spelling(snake(word(each))): each for each in some for spelling in (str, camel)}

        def coerce(value: Any) -> Any:
            if isinstance(value, list) and lists:
                return lists[0](value)
            if not isinstance(value, dict):
                return value if exact else number(value)
            if field not in value and len(value) == 1 and (key := next(iter(value))) in chosen:
                return _tagged(chosen[key], self.of(chosen[key])(value[key]))  # a oneof of protobuf
            return tagged.get(str(value.get(field)), only)(value)

        return coerce

    def container(self, type_: Any) -> Coerce:
        origin, arguments = get_origin(type_), get_args(type_)
        if origin is dict:
            inner = self.of(arguments[1])
            return _mapping(inner, flat=not _holds_objects(arguments[1]))
        if is_fixed_tuple(type_):
            each = [self.of(argument) for argument in arguments]
            return lambda value: _fixed(each, value)
        inner = self.of(arguments[0])

        def coerce(value: Any) -> Any:
            if isinstance(value, dict) and value.keys() == {"values"}:
                value = value["values"]  # a list inside a list has a message around it in protobuf
            return [inner(item) for item in value] if isinstance(value, list) else number(value)

        return coerce


def _mapping(inner: Coerce, *, flat: bool) -> Coerce:
    """A map; where its values are no objects (`flat`), it may have a message around it, as one that may be None has."""

    def coerce(value: Any) -> Any:
        if not isinstance(value, dict):
            return number(value)
        if flat and value.keys() == {"values"} and isinstance(value["values"], dict):
            value = value["values"]
        return {key: inner(item) for key, item in value.items()}

    return coerce


def _holds_objects(type_: Any) -> bool:
    bare = unwrap(type_)
    if is_union(bare):
        return any(_holds_objects(each) for each in get_args(bare))
    return bare is Any or get_origin(bare) is dict or struct_of(bare) is not None


def _tagged(type_: Any, value: Any) -> Any:
    config = getattr(struct_of(type_), "__struct_config__", None)
    if config is None or config.tag_field is None or not isinstance(value, dict):
        return value
    return {config.tag_field: config.tag, **value}


def _fixed(each: list[Coerce], value: Any) -> Any:
    if isinstance(value, dict):  # in protobuf, a message with a field for each place
        places = [value.get(f"place{number}", value.get(f"place_{number}")) for number in range(1, len(each) + 1)]
        value = places if len(value) <= len(each) else value
    if not isinstance(value, list) or len(value) != len(each):
        return number(value)
    return [coerce(item) for coerce, item in zip(each, value, strict=True)]


def zero_of(type_: Any) -> Any:
    """The JSON of the value that protobuf does not write; None for a type whose absence it can tell, or without one."""
    bare = unwrap(type_)
    origin = get_origin(bare)
    if origin is dict:
        return {}
    if origin in COLLECTIONS and not is_fixed_tuple(bare):
        return []
    return {bool: False, int: 0, float: 0.0, str: "", bytes: ""}.get(bare) if isinstance(bare, type) else None


def as_it_is(value: Any) -> Any:
    """The value."""
    return value


def number(value: Any) -> Any:
    """A value for a type that no Decimal is of: a number with a point becomes a float."""
    return _number(value) if isinstance(value, Decimal) else value


def numbers(value: Any) -> Any:
    """Any JSON, its numbers with a point as floats."""
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    return [numbers(item) for item in value] if isinstance(value, list) else number(value)


def _number(value: Decimal) -> float | str:
    number = float(value)
    return number if isfinite(number) else str(value)  # which no float is read from


def integer(value: Any) -> Any:
    """A value for an integer, which may be written as text or with zeros behind a point."""
    if isinstance(value, Decimal):
        return (
            int(value) if abs(value.adjusted()) < MOST_DIGITS and value == value.to_integral_value() else _number(value)
        )
    return int(value.partition(".")[0]) if isinstance(value, str) and INTEGER.match(value) else value


def _float(value: Any) -> Any:
    if isinstance(value, Decimal):
        return _number(value)
    return float(value) if isinstance(value, str) and len(value) < 400 and NUMBER.match(value) else value


def _base64(value: Any) -> Any:
    if not isinstance(value, str):
        return number(value)
    # ProtoJSON takes both alphabets of RFC 4648 (sections 4 and 5), padded or not; msgspec the first one, padded.
    standard = value.replace("-", "+").replace("_", "/").rstrip("=")
    return standard + "=" * (-len(standard) % 4)


def _duration(value: Any) -> Any:
    match = SECONDS.match(value) if isinstance(value, str) else None
    if match is None:
        return number(value)
    sign, seconds, fraction = match.groups()
    # Of nine digits six: a timedelta has no nanoseconds.
    return f"{sign}PT{seconds}.{(fraction or '0')[:6]}S"


def _literal(choices: tuple[Any, ...]) -> Coerce:
    numbers = {str(each): each for each in choices if isinstance(each, int)}
    return lambda value: numbers.get(value, value) if isinstance(value, str) and value not in choices else number(value)


def _mask(read: Coerce) -> Coerce:
    """A FieldMask is a text in ProtoJSON, its paths in camel case and with commas between them."""

    def coerce(value: Any) -> Any:
        if not isinstance(value, str):
            return read(value)
        return {"paths": [snake(each) for each in value.split(",") if each]}

    return coerce


def _enum(type_: type[Enum]) -> Coerce:
    values = {each.value for each in type_}
    names = {spelled: each.value for name, each in type_.__members__.items() for spelled in (name, value_name(name))}
    numbers = {str(each.value): each.value for each in type_ if isinstance(each.value, int)}

    def coerce(value: Any) -> Any:
        if not isinstance(value, str) or value in values:
            return number(value)
        if is_open_enum(type_) and INTEGER.match(value):
            return int(value.partition(".")[0])
        return names.get(value, numbers.get(value, value))

    return coerce
