"""Values as paths and what stands there, in which two runs can be compared leaf by leaf."""

from __future__ import annotations

import json
from typing import Any, Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
Flat: TypeAlias = dict[Path, Any]
SHAPE: Final = "\0shape"
"""Below a container: its length, or the names of its fields."""


def flat(value: Any, path: Path = ()) -> Flat:
    """Each leaf by its path, and of each container its shape."""
    if isinstance(value, dict):
        found: Flat = {(*path, SHAPE): tuple(sorted(value))}
        for name in sorted(value):
            found |= flat(value[name], (*path, name))
        return found
    if isinstance(value, list):
        found = {(*path, SHAPE): len(value)}
        for number, each in enumerate(value):
            found |= flat(each, (*path, number))
        return found
    return {path: value}


def unordered(one: Any, other: Any, path: Path = ()) -> set[Path]:
    """Where two values hold lists of the same items in another order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return set().union(*(unordered(one[each], other[each], (*path, each)) for each in one.keys() & other.keys()))
    if not isinstance(one, list) or not isinstance(other, list) or one == other:
        return set()
    # As texts: items of unlike types have no order among themselves.
    if sorted(map(text, one)) == sorted(map(text, other)):
        return {path}
    pairs = enumerate(zip(one, other, strict=False))
    return set().union(*(unordered(mine, its, (*path, number)) for number, (mine, its) in pairs))


def in_order(value: Any, places: set[Path], path: Path = ()) -> Any:
    """The value with the lists at these places sorted."""
    if isinstance(value, dict):
        return {name: in_order(each, places, (*path, name)) for name, each in value.items()}
    if isinstance(value, list):
        items = [in_order(each, places, (*path, number)) for number, each in enumerate(value)]
        return sorted(items, key=text) if path in places else items
    return value


def text(value: Any) -> str:
    """A value as JSON in one order."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


def dotted(path: Path) -> str:
    """A path as people write it: `order.lines[0].price`."""
    shown = ""
    for each in path:
        if each != SHAPE:
            shown += f"[{each}]" if isinstance(each, int) else f".{each}" if shown else str(each)
    return shown
