"""Hosts as requests name them: one spelling of each, and patterns of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, TypeAlias

from msgspec import Meta

HostPattern: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^(?:(?:\*\.)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])$(?!\n)",
        description="a host without a port, such as shop.example; *.shop.example stands for all below it",
    ),
]


@lru_cache(1024)
def host_name(host: bytes) -> str:
    """The host of a `host` field: in small letters, without its port and without a dot at its end."""
    text = host.decode("latin-1").lower()
    name = text.partition("]")[0] + "]" if text.startswith("[") else text.partition(":")[0]
    return name.removesuffix(".")


class HostPatterns:
    """Whether a host is one of these names, or below one that begins with `*.`."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        self._names = frozenset(each.lower() for each in patterns if not each.startswith("*"))
        self._below = tuple(each[1:].lower() for each in patterns if each.startswith("*"))

    def fit(self, host: str) -> bool:
        return host in self._names or (host.endswith(self._below) and not host.startswith("."))


def covers(pattern: str, other: str) -> bool:
    """Whether all hosts of the one are hosts of the other: `*.example` covers `a.example` and `*.a.example`."""
    pattern, other = pattern.lower(), other.lower()
    return pattern == other or (pattern.startswith("*.") and other.endswith(pattern[1:]))


def closeness(pattern: str | None) -> tuple[int, int]:
    """How much a pattern says of a host: a name most, then the longest end of one, then nothing."""
    if pattern is None:
        return 0, 0
    return (1 if pattern.startswith("*") else 2), len(pattern)
