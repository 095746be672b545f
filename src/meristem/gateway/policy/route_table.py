"""Which route of the gateway a request is on: the one with the longest path that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

T = TypeVar("T")


class Routes(Generic[T]):
    """What belongs to each path pattern: `/api/*` fits what begins with `/api/`, `/*` everything."""

    def __init__(self, patterns: Mapping[str, T], rest: T) -> None:
        self._whole = {path.encode(): each for path, each in patterns.items() if not path.endswith("*")}
        below = {path[:-1].encode(): each for path, each in patterns.items() if path.endswith("*")}
        self._below = sorted(below.items(), key=lambda each: -len(each[0]))
        self._rest = rest

    def find(self, path: bytes) -> T:
        """What belongs to a path."""
        whole = self._whole.get(path)
        if whole is not None:
            return whole
        for start, found in self._below:
            if path.startswith(start):
                return found
        return self._rest
