"""JSON of clients that Meristem did not write: the ProtoJSON mapping, accepted as leniently as it asks.

Accepted beyond what `codec` reads: `bookingId` for `booking_id`, numbers written as strings, null for a field that is
left out, enums by name, base64 in both alphabets with or without padding, durations as `"1.5s"`. What comes out is
validated by msgspec against the same type, so that constraints and error paths are those of every other wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin

import msgspec

from meristem.contracts.codec import decoder, refusal
from meristem.contracts.wiretypes import COLLECTIONS, camel, fields_of, is_union, struct_of, unwrap

Coerce: TypeAlias = Callable[[Any], Any]

INTEGER: Final = re.compile(r"^-?\d{1,20}(?:\.0+)?$")
NUMBER: Final = re.compile(r"^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?$")
SECONDS: Final = re.compile(r"^(-?)(\d{1,12})(?:\.(\d{1,9}))?s$")


@cache
def lenient(type_: Any) -> Callable[[bytes], Any]:
    """Decodes the JSON of any client into `type_`; raises CallError `invalid_argument` that names the field.

    Most clients write as Meristem does, which is read ten times as fast: so that is tried first, where what it reads
    means the same in the mapping. A field that is given in both spellings counts as it is written in the contract.
    """
    coerce, exact, spellings = coercer(type_), decoder(type_), Spellings.of(type_)

    def mapped(body: bytes) -> Any:
        try:
            return msgspec.convert(coerce(msgspec.json.decode(body)), type_, str_keys=True)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise refusal(error) from None

    if spellings is None:
        return mapped

    def decode(body: bytes) -> Any:
        if any(each in body for each in spellings):
            return mapped(body)
        try:
            return exact(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return mapped(body)  # it is written as the mapping asks, or the error is found once more

    return decode


class Spellings:
    """Gathers what an exact reader would overlook in a body: other spellings of fields that may be missing.

    One that must be there would be missed. What a union may be is not told by the names of fields: a oneof of protobuf
    names a message, and is no field of any.
    """

    def __init__(self) -> None:
        self.found: set[bytes] = set()
        self._seen: set[Any] = set()

    @classmethod
    def of(cls, type_: Any) -> tuple[bytes, ...] | None:
        """The spellings as they stand in JSON; None for a type that must not be read exactly."""
        spellings = cls()
        if not spellings.gather(type_):
            return None
        return (*sorted(spellings.found), b"\\u") if spellings.found else ()  # a name may be written with escapes

    def gather(self, type_: Any) -> bool:
        """Take in a type; False for one that must not be read exactly."""
        type_ = unwrap(type_)
        if is_union(type_):
            members = [each for each in get_args(type_) if each is not type(None)]
            return len(members) == 1 and self.gather(members[0])
        origin = get_origin(type_)
        if origin in (*COLLECTIONS, dict):
            return all(self.gather(each) for each in get_args(type_) if each is not Ellipsis)
        return self.fields(type_) if struct_of(type_) is not None else origin in (None, Literal)

    def fields(self, type_: Any) -> bool:
        """Take in a message; it may hold itself."""
        if type_ in self._seen:
            return True
        self._seen.add(type_)
        known = fields_of(type_)
        others = [camel(each.name) for each in known if not each.required and camel(each.name) != each.name]
        self.found.update(f'"{each}"'.encode() for each in others)
        return all(self.gather(each.type) for each in known)


def coercer(type_: Any) -> Coerce:
    """A function that brings decoded ProtoJSON into the shape that msgspec expects of `type_`."""
    return _Coercers().of(type_)


class _Coercers:
    """Builds one coercer per type; a message may hold itself."""

    def __init__(self) -> None:
        self.made: dict[Any, Coerce] = {}

    def of(self, type_: Any) -> Coerce:
        type_ = unwrap(type_)
        if type_ not in self.made:

            def later(value: Any) -> Any:  # stands in while the type that holds itself is built
                return self.made[type_](value)

            self.made[type_] = later
            self.made[type_] = self.build(type_)
        return self.made[type_]

    def build(self, type_: Any) -> Coerce:
        plain = {int: _integer, float: _float, bytes: _base64, timedelta: _duration, datetime: _timestamp}
        if type_ in plain:
            return plain[type_]
        if get_origin(type_) is Literal:
            return _literal(get_args(type_))
        if (struct := struct_of(type_)) is not None:
            return self.struct(type_, struct)
        if is_union(type_):
            return self.union(get_args(type_))
        if isinstance(type_, type) and get_origin(type_) is None:
            return _enum(type_) if issubclass(type_, Enum) else _as_it_is
        return self.container(get_origin(type_), get_args(type_))

    def struct(self, type_: Any, struct: type[msgspec.Struct]) -> Coerce:
        fields: dict[str, tuple[str, Coerce, bool]] = {}
        for each in fields_of(type_):
            entry = (each.name, self.of(each.type), nullable(each.type))
            fields[camel(each.name)] = entry
            fields[each.name] = entry
        tag = struct.__struct_config__.tag_field

        def coerce(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            shaped = {tag: value[tag]} if tag is not None and tag in value else {}
            for key, item in value.items():
                name, inner, nullable = fields.get(key, (None, None, False))
                if name is not None and inner is not None and (item is not None or nullable):
                    shaped[name] = inner(item)
            return shaped

        return coerce

    def union(self, members: tuple[Any, ...]) -> Coerce:
        some = [unwrap(each) for each in members if each is not type(None)]
        if len(some) == 1:
            inner = self.of(some[0])
            return lambda value: None if value is None else inner(value)
        structs = [each for each in some if isinstance(each, type) and issubclass(each, msgspec.Struct)]
        tagged = {str(each.__struct_config__.tag): self.of(each) for each in structs}
        field = structs[0].__struct_config__.tag_field if structs else None
        only = self.of(structs[0]) if len(structs) == 1 else _as_it_is
        chosen = {spelling(snake(word(each))): each for each in some for spelling in (str, camel)}

        def coerce(value: Any) -> Any:
            if not isinstance(value, dict):
                return value
            if field not in value and len(value) == 1 and (key := next(iter(value))) in chosen:
                return _tagged(chosen[key], self.of(chosen[key])(value[key]))  # a oneof of protobuf
            return tagged.get(str(value.get(field)), only)(value)

        return coerce

    def container(self, origin: Any, arguments: tuple[Any, ...]) -> Coerce:
        if origin is dict:
            inner = self.of(arguments[1])
            return lambda value: {k: inner(v) for k, v in value.items()} if isinstance(value, dict) else value
        if origin is tuple and arguments[-1:] != (Ellipsis,):
            each = [self.of(argument) for argument in arguments]
            return lambda value: _fixed(each, value)
        inner = self.of(arguments[0])

        def coerce(value: Any) -> Any:
            if isinstance(value, dict) and value.keys() == {"values"}:
                value = value["values"]  # a list inside a list has a message around it in protobuf
            return [inner(item) for item in value] if isinstance(value, list) else value

        return coerce


def _tagged(type_: Any, value: Any) -> Any:
    config = getattr(type_, "__struct_config__", None)
    if config is None or config.tag_field is None or not isinstance(value, dict):
        return value
    return {config.tag_field: config.tag, **value}


def _fixed(each: list[Coerce], value: Any) -> Any:
    if isinstance(value, dict):  # in protobuf, a message with a field for each place
        places = [value.get(f"place{number}", value.get(f"place_{number}")) for number in range(1, len(each) + 1)]
        value = places if len(value) <= len(each) else value
    if not isinstance(value, list) or len(value) != len(each):
        return value
    return [coerce(item) for coerce, item in zip(each, value, strict=True)]


def nullable(type_: Any) -> bool:
    """Whether None is a value of the type."""
    return unwrap(type_) is type(None) or (is_union(unwrap(type_)) and type(None) in get_args(unwrap(type_)))


def _as_it_is(value: Any) -> Any:
    return value


def _integer(value: Any) -> Any:
    return int(value.partition(".")[0]) if isinstance(value, str) and INTEGER.match(value) else value


def _float(value: Any) -> Any:
    return float(value) if isinstance(value, str) and len(value) < 400 and NUMBER.match(value) else value


def _base64(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    standard = value.replace("-", "+").replace("_", "/").rstrip("=")
    return standard + "=" * (-len(standard) % 4)


def _duration(value: Any) -> Any:
    match = SECONDS.match(value) if isinstance(value, str) else None
    if match is None:
        return value
    sign, seconds, fraction = match.groups()
    return f"{sign}PT{seconds}.{(fraction or '0')[:6]}S"


def _timestamp(value: Any) -> Any:
    return value.replace("z", "Z").replace("t", "T") if isinstance(value, str) else value


def _literal(choices: tuple[Any, ...]) -> Coerce:
    numbers = {str(each): each for each in choices if isinstance(each, int)}
    return lambda value: numbers.get(value, value) if isinstance(value, str) and value not in choices else value


def _enum(type_: type[Enum]) -> Coerce:
    values = {each.value for each in type_}
    names = {each.name: each.value for each in type_}
    numbers = {str(each.value): each.value for each in type_ if isinstance(each.value, int)}

    def coerce(value: Any) -> Any:
        if not isinstance(value, str) or value in values:
            return value
        return names.get(value, numbers.get(value, value))

    return coerce


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
