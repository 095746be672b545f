"""Which fields of its input a saga is found by, and the terms that its index has in place of their values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, NamedTuple
from uuid import UUID

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
    """What the index has for a value: a fingerprint of its kind and what it says; equal values have one term.

    So nobody reads the index, all terms have one length, and 1.50 is found by 1.5 and an instant in any time zone.
    """
    return _fingerprint(name, _said(value))


def typed_terms(name: str, text: str) -> tuple[str, ...]:
    """The terms of all that a typed text may mean: a value as JSON writes it, a text without quotes or with them."""
    if text == "null":
        return (term(name, None),)
    found = {term(name, text), *_readings(name, text)}
    if text in ("true", "false"):
        found.add(term(name, text == "true"))
    with suppress(msgspec.MsgspecError, UnicodeEncodeError):
        found.add(term(name, msgspec.json.decode(text, type=str)))
    return tuple(sorted(found))


def terms_for(fields: Iterable[SearchField], wanted: Mapping[str, object], where: str) -> tuple[tuple[str, ...], ...]:
    """The terms of a search, any of which is right for its field; MisuseError for a field that is not declared."""
    names = [field.name for field in fields]
    for name in wanted:
        if name not in names:
            declared = ", ".join(names) or "none"
            raise MisuseError(
                f"{where} can't be found by {name!r}: write @saga(search=[{name!r}]); it declares {declared}"
            )
    return tuple(
        # A number or an id may be at hand as a text alone.
        (term(name, value), *(_readings(name, value) if isinstance(value, str) else ()))
        for name, value in wanted.items()
    )


def _said(value: object) -> str:
    """A value's kind and what it says; the same for values that are equal."""
    if isinstance(value, Enum):
        return _said(value.value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return f"number {_number(value if isinstance(value, Decimal) else Decimal(str(value)))}"
    if isinstance(value, datetime) and value.tzinfo is not None:
        with suppress(OverflowError):  # in the first and the last hours that there are
            value = value.astimezone(UTC)
    plain = msgspec.to_builtins(value)
    if isinstance(plain, str):
        kind = next((each for each in (datetime, UUID) if isinstance(value, each)), str)
        return f"{kind.__name__} {plain}"
    return f"json {msgspec.json.encode(plain).decode()}"


def _number(value: Decimal) -> str:
    """Its digits without the zeros at their ends, and its exponent: no context that rounds has a hand in it."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return str(value)
    written = "".join(map(str, digits)).lstrip("0")
    short = written.rstrip("0")
    return f"{'-' * sign}{short}e{exponent + len(written) - len(short)}" if short else "0"


def _readings(name: str, text: str) -> list[str]:
    """The terms of what a text says that is more than a text."""
    found: list[str] = []
    for read in (Decimal, datetime.fromisoformat, UUID):
        with suppress(ValueError, ArithmeticError):
            found.append(term(name, read(text)))
    return found


def _fingerprint(name: str, said: str) -> str:
    # No text in a journal has half a character, so one that is typed finds nothing.
    return hashlib.blake2b(f"{name}\n{said}".encode(errors="surrogatepass"), digest_size=16).hexdigest()


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
