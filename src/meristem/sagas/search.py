"""Which fields of its input a saga is found by, and the terms that its index has in place of their values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import inspect

from meristem.errors import MisuseError

_PLAIN: Final = (
    inspect.StrType,
    inspect.IntType,
    inspect.FloatType,
    inspect.BoolType,
    inspect.DecimalType,
    inspect.UUIDType,
    inspect.DateType,
    inspect.DateTimeType,
    inspect.TimeType,
    inspect.EnumType,
    inspect.LiteralType,
    inspect.NoneType,
)


class SearchField(NamedTuple):
    """A field by the name that is searched for, and its way from the saga's input."""

    name: str
    path: tuple[str, ...]


def search_fields(where: str, input_type: type[msgspec.Struct], paths: Iterable[str]) -> tuple[SearchField, ...]:
    """The fields that `@saga(search=[…])` names; MisuseError for one that is not there, or has no plain value."""
    fields = tuple(SearchField(path.rpartition(".")[2], tuple(path.split("."))) for path in paths)
    names = [field.name for field in fields]
    for field in fields:
        problem = _wrong(inspect.type_info(input_type), field.path)
        if names.count(field.name) > 1:
            problem = f"another one is called {field.name!r}, too"
        if problem is not None:
            raise MisuseError(f"{where}, @saga(search=[{'.'.join(field.path)!r}]): {problem}")
    return fields


def terms_of(fields: Iterable[SearchField], values: object) -> Iterator[tuple[str, str]]:
    """Name and term of each field, as the arguments of a saga have them; what is not there counts as None."""
    for field in fields:
        value: Any = values
        for part in field.path:
            value = getattr(value, part, None)
        yield field.name, term(field.name, value)


def term(name: str, value: object) -> str:
    """What the index has for a value: a fingerprint of its JSON, a text without quotes.

    So nobody reads the index, all terms have one length, and what is typed finds a number as well as a text.
    """
    plain = msgspec.to_builtins(value)
    text = plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()
    return hashlib.blake2b(f"{name}\n{text}".encode(), digest_size=16).hexdigest()


def terms_for(fields: Iterable[SearchField], wanted: Mapping[str, object], where: str) -> tuple[str, ...]:
    """The terms of a search; MisuseError for a field that the saga does not declare."""
    names = [field.name for field in fields]
    for name in wanted:
        if name not in names:
            declared = ", ".join(names) or "none"
            raise MisuseError(
                f"{where} can't be found by {name!r}: write @saga(search=[{name!r}]); it declares {declared}"
            )
    return tuple(term(name, value) for name, value in wanted.items())


def _wrong(found: inspect.Type, path: tuple[str, ...]) -> str | None:
    found = _bare(found)
    for number, part in enumerate(path):
        fields = found.fields if isinstance(found, inspect.StructType) else ()
        field = next((each for each in fields if each.name == part), None)
        if field is None:
            there_are = ", ".join(each.name for each in fields) or "none"
            return f"{'.'.join(path[:number]) or 'the saga'} has no {part!r}; it has {there_are}"
        found = _bare(field.type)
    kinds = found.types if isinstance(found, inspect.UnionType) else (found,)
    if not all(isinstance(_bare(each), _PLAIN) for each in kinds):
        return "it is no single value: name one of its fields, as in 'request.guest_id'"
    return None


def _bare(found: inspect.Type) -> inspect.Type:
    """A type without its description, and what may be None without that."""
    while isinstance(found, inspect.Metadata):
        found = found.type
    if isinstance(found, inspect.UnionType):
        others = [each for each in found.types if not isinstance(each, inspect.NoneType)]
        return _bare(others[0]) if len(others) == 1 else found
    return found
