"""JSON and text of REST, read as OpenAPI describes them: what ProtoJSON spells otherwise is refused here."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from enum import Enum
from functools import cache
from math import isfinite
from typing import Any, Final, Literal, TypeAlias, get_args, get_origin

import msgspec

from meristem.contracts.codec import audit, decoder, refusal
from meristem.contracts.coercion import as_it_is, integer, number, numbers
from meristem.contracts.costly import CostlyError, frugal
from meristem.contracts.pertype import PerType
from meristem.contracts.protojson import read_by
from meristem.contracts.wiretypes import (
    COLLECTIONS,
    fields_of,
    is_choice,
    is_fixed_tuple,
    is_union,
    parts_of,
    struct_of,
    unwrap,
)

Shape: TypeAlias = Callable[[Any], Any]

INTEGER: Final = re.compile(r"-?[0-9]{1,400}")
NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,9})?")
BOOLEANS: Final = {"true": True, "false": False}
SCALARS: Final[dict[Any, Shape]] = {
    int: lambda text: int(text) if INTEGER.fullmatch(text) else text,
    float: lambda text: float(text) if NUMBER.fullmatch(text) else text,
    bool: lambda text: BOOLEANS.get(text, text),
}


@cache
def plain(type_: Any) -> Callable[[bytes], Any]:
    """Decodes the JSON of a body into `type_`; raises CallError `invalid_argument` that names the fields.

    A number with a point goes digit by digit into a Decimal, and 7.0 is an integer (JSON Schema Validation 6.1.1).
    """
    exact, again = decoder(type_), read_by(type_, _Shapes().of(type_))
    if _reads_numbers_twice(type_, frozenset()):
        return again

    def decode(body: bytes) -> Any:
        try:
            return exact(body)
        except CostlyError as error:
            raise refusal(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return again(body)  # it has such a number, or its errors are gathered

    return decode


def _reads_numbers_twice(type_: Any, seen: frozenset[Any]) -> bool:
    """Whether a Decimal is one choice of several, which an exact reader makes from a float."""
    type_ = unwrap(type_)
    if type_ in seen:
        return False
    parts = parts_of(type_)
    if is_union(type_) and Decimal in map(unwrap, parts) and len(parts) > 1 + (type(None) in parts):
        return True
    return any(_reads_numbers_twice(each, seen | {type_}) for each in parts)


class _Shapes(PerType[Shape]):
    """Makes of decoded JSON, whose numbers with a point are Decimals, what msgspec reads."""

    def build(self, type_: Any) -> Shape:
        leaf = {int: integer, float: number, Decimal: as_it_is, Any: numbers}.get(type_)
        if is_choice(type_):
            leaf = integer  # 3.0 is one of 3 and 4, and none of "a" and "b"
        if leaf is not None:
            return lambda value: leaf(value) if isinstance(value, Decimal) or leaf is numbers else value
        if struct_of(type_) is not None:
            fields = {each.encode_name: self.of(each.type) for each in fields_of(type_)}
            return _each_key(fields.get)
        if is_union(type_):
            return self._union([unwrap(each) for each in get_args(type_)])
        origin, arguments = get_origin(type_), get_args(type_)
        if origin is dict:
            inner = self.of(arguments[1])
            return _each_key(lambda _: inner)
        if is_fixed_tuple(type_):
            return _each_place([self.of(each) for each in arguments])
        return _each_item(self.of(arguments[0])) if origin in COLLECTIONS else number

    def _union(self, members: list[Any]) -> Shape:
        structs = {struct: self.of(each) for each in members if (struct := struct_of(each)) is not None}
        tags = {struct.__struct_config__.tag: shape for struct, shape in structs.items()}
        lists = [self.of(each) for each in members if get_origin(each) in COLLECTIONS]
        objects = [*structs.values(), *(self.of(each) for each in members if get_origin(each) is dict)]
        names = {struct.__struct_config__.tag_field for struct in structs} - {None}
        point = next((self.of(each) for each in (Decimal, float, int) if each in members), number)

        def shape(value: Any) -> Any:
            if isinstance(value, dict):
                tag = next((value[name] for name in names if name in value), None)
                chosen = tags.get(tag) if isinstance(tag, str | int) else None
                return (chosen or objects[0])(value) if objects else value
            if isinstance(value, list):
                return lists[0](value) if lists else value
            return point(value) if isinstance(value, Decimal) else value

        return shape


def _each_key(shape_of: Callable[[str], Shape | None]) -> Shape:
    def shape(value: Any) -> Any:
        if not isinstance(value, dict):
            return number(value)
        return {key: (shape_of(key) or number)(item) for key, item in value.items()}

    return shape


def _each_item(inner: Shape) -> Shape:
    return lambda value: [inner(each) for each in value] if isinstance(value, list) else number(value)


def _each_place(shapes: list[Shape]) -> Shape:
    def shape(value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(shapes):
            return number(value)
        return [each(item) for each, item in zip(shapes, value, strict=True)]

    return shape


def from_text(type_: Any) -> Callable[[Any], Any]:
    """A function that reads a plain value from text, or a list of them from several.

    It raises msgspec.DecodeError.
    """
    shaped, audited, careful = _text(type_), audit(type_), frugal(type_)

    def read(text: Any) -> Any:
        found = shaped(text)
        if careful is not None:
            careful.look(found)
        value = audited(msgspec.convert(found, type_))
        if isinstance(value, float) and not isfinite(value):
            raise msgspec.ValidationError("Expected `float` that is a number")
        return value

    return read


def _text(type_: Any) -> Shape:
    """What text stands for, as JSON would have it: numbers, true and false have no quotation marks there."""
    type_ = unwrap(type_)
    if type_ in SCALARS:
        return SCALARS[type_]
    if is_union(type_):
        readers = [_text(each) for each in get_args(type_) if each is not type(None)]
        return lambda text: next((found for each in readers if (found := each(text)) is not text), text)
    if get_origin(type_) in COLLECTIONS:
        arguments = [each for each in get_args(type_) if each is not Ellipsis]
        if get_origin(type_) is tuple and len(arguments) > 1:
            places = [_text(each) for each in arguments]
            return lambda texts: [each(text) for each, text in zip(places, texts, strict=False)]
        inner = _text(arguments[0])
        return lambda texts: [inner(each) for each in texts] if isinstance(texts, list) else inner(texts)
    return _chosen(type_)


def _chosen(type_: Any) -> Shape:
    choices: tuple[Any, ...] = ()
    if get_origin(type_) is Literal:
        choices = get_args(type_)
    elif isinstance(type_, type) and issubclass(type_, Enum):
        choices = tuple(each.value for each in type_)
    numbers = {str(each): each for each in choices if not isinstance(each, str)}
    return lambda text: text if text in choices else numbers.get(text, text)
