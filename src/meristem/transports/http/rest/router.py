"""Finds what stands at a path: a tree of segments, in which a word goes before a placeholder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import unquote

from meristem.contracts.contract import PLACEHOLDER
from meristem.errors import WiringError

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


class Node(Generic[T]):
    """A segment of a path and what follows it."""

    __slots__ = ("any", "verbs", "words")

    def __init__(self) -> None:
        self.words: dict[str, Node[T]] = {}
        self.any: Node[T] | None = None
        self.verbs: dict[str, T] = {}


class Router(Generic[T]):
    """Maps verb and path to a value; a placeholder `{name}` stands for one segment."""

    def __init__(self) -> None:
        self._root: Node[T] = Node()

    def add(self, verb: str, path: str, value: T) -> None:
        """Put `value` at a path; raises WiringError when another stands there."""
        node = self._root
        for segment in path.strip("/").split("/"):
            if PLACEHOLDER.fullmatch(segment):
                node.any = node = node.any or Node()
            else:
                node = node.words.setdefault(segment, Node())
        if verb in node.verbs:
            raise WiringError(f"{verb} {path}: {node.verbs[verb]} and {value} share this route; give one another path")
        node.verbs[verb] = value

    def find(self, path: str) -> tuple[dict[str, T], list[str]]:
        """The values at a path (still percent-encoded) by verb, and what its placeholders stand for."""
        bound: list[str] = []
        node = self._find(self._root, [unquote(each) for each in path.strip("/").split("/")], 0, bound)
        return ({}, []) if node is None else (node.verbs, bound)

    def _find(self, node: Node[T], segments: Sequence[str], at: int, bound: list[str]) -> Node[T] | None:
        if at == len(segments):
            return node if node.verbs else None
        word = node.words.get(segments[at])
        if word is not None and (found := self._find(word, segments, at + 1, bound)) is not None:
            return found
        if node.any is None or not segments[at]:
            return None
        bound.append(segments[at])
        if (found := self._find(node.any, segments, at + 1, bound)) is None:
            bound.pop()
        return found
