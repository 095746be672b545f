"""How deep a value may be: one limit for every placement and format, far below what an interpreter's stack may hold."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec

from meristem.contracts.wiretypes import parts_of, unwrap

DEEPEST_VALUE: Final = 100
"""Messages and collections in one another, the outermost counted; parsers of protobuf allow as many messages."""
TOO_DEEP: Final = f"is nested more than {DEEPEST_VALUE} levels deep"


class TooDeepError(msgspec.ValidationError):
    """A value that fits its type, and holds itself too often."""

    def __init__(self) -> None:
        super().__init__(TOO_DEEP)


@cache
def holds_itself(type_: Any) -> bool:
    """Whether a value of the type may be of any depth: all others are as deep as their type says."""
    return _recurs(type_, frozenset())


def _recurs(type_: Any, around: frozenset[Any]) -> bool:
    type_ = unwrap(type_)
    if type_ in around or type_ is Any:
        return True
    return any(_recurs(each, around | {type_}) for each in parts_of(type_))


def check_depth(value: Any, *, deepest: int = DEEPEST_VALUE) -> None:
    """Raise TooDeepError for a value that is deeper, one that holds itself without end included."""
    level = {id(value): value}
    for _ in range(deepest):
        # each part once a level: one that holds itself twice would else be two, four, eight of itself
        level = {id(part): part for each in level.values() for part in _parts(each)}
        if not level:
            return
    raise TooDeepError


def _parts(value: Any) -> list[Any]:
    """What a value holds that may hold something in its turn."""
    if isinstance(value, msgspec.Struct):
        held: Any = [getattr(value, name) for name in value.__struct_fields__]
    elif isinstance(value, dict):
        held = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        held = value
    else:
        return []
    return [each for each in held if isinstance(each, msgspec.Struct | dict | list | tuple | set | frozenset)]
