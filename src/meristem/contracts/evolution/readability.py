"""Whether the JSON of one plain type can be read as another, and whether one type's bounds allow all of another's."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

READERS: Final[Mapping[str, frozenset[str]]] = {
    "int": frozenset(("float", "Decimal")),
    "float": frozenset(("Decimal",)),
    **dict.fromkeys(("Decimal", "UUID", "date", "time", "datetime", "timedelta", "bytes"), frozenset(("str",))),
    **dict.fromkeys(("list", "set", "frozenset", "tuple"), frozenset(("list", "set", "frozenset", "tuple"))),
}
"""By what a type is written as: which others read that. A number is a Decimal's, text is not (docs/contracts.md)."""

PROMOTED: Final[Mapping[str, frozenset[str]]] = {
    "bool": frozenset(("int", "float")),
    "int": frozenset(("float",)),
}
"""What a type checker takes for another type (PEP 484), beside subclasses."""

EXACT: Final = ("pattern", "tz")
LOWER, UPPER = (("ge", "gt"), ("min_length",)), (("le", "lt"), ("max_length",), ("max_digits",), ("decimal_places",))


def reads(written: str, read: str) -> bool:
    """Whether the JSON of one kind of value can be read as another kind."""
    return written == read or read in READERS.get(written, ())


def takes(given: str, taken: str) -> bool:
    """Whether a type checker lets a value of one kind be given where another is wanted."""
    return given == taken or taken in PROMOTED.get(given, ())


def within(written: Mapping[str, Any], read: Mapping[str, Any]) -> bool:
    """Whether every value within the writer's bounds is within the reader's."""
    # Two different patterns may allow the same; that they do cannot be told.
    if any(name in read and _as_published(written.get(name)) != _as_published(read[name]) for name in EXACT):
        return False
    step = read.get("multiple_of")
    if step is not None and (not written.get("multiple_of") or written["multiple_of"] % step):
        return False
    lower = all(_least(written, names) >= _least(read, names) for names in LOWER)
    return lower and all(_most(written, names) <= _most(read, names) for names in UPPER)


def _as_published(bound: Any) -> Any:
    """A pattern as ECMA-262 reads it, by which it is published: there `$` is the end, line feed or not."""
    return bound.replace(r"$(?!\n)", "$") if isinstance(bound, str) else bound


def _least(bounds: Mapping[str, Any], names: tuple[str, ...]) -> tuple[float, bool]:
    found = [(bounds[name], name == "gt") for name in names if name in bounds]
    return max(found, default=(-inf, False))


def _most(bounds: Mapping[str, Any], names: tuple[str, ...]) -> tuple[float, bool]:
    found = [(bounds[name], name != "lt") for name in names if name in bounds]
    return min(found, default=(inf, True))


def shown(bounds: Mapping[str, Any]) -> str:
    """Bounds as they are written: `ge=1, le=30`."""
    return ", ".join(f"{name}={value!r}" for name, value in sorted(bounds.items())) or "none"
