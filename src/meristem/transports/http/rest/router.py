"""Finds what stands at a path: a tree of segments, in which words are tried before placeholders."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import unquote

from meristem.contracts.rest_fields import PLACEHOLDER
from meristem.errors import WiringError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


class Mixed(Generic[T]):
    """A segment with placeholders inside of words (`{id}.pdf`), and what follows it."""

    __slots__ = ("node", "words")

    def __init__(self, words: list[str]) -> None:
        self.words = words  # what stands before, between and after the placeholders
        self.node: Node[T] = Node()

    def match(self, segment: str) -> list[str] | None:
        """What the placeholders stand for: each for something, the first ones for as much as they can."""
        before, *between, after = self.words
        if not (segment.startswith(before) and segment.endswith(after)):
            return None
        rest = segment[len(before) : len(segment) - len(after)]
        found: list[str] = []
        for word in reversed(between):  # by looking for words alone, so that no segment takes long
            at = rest.rfind(word, 0, max(0, len(rest) - 1))
            if at < 1:
                return None
            found.append(rest[at + len(word) :])
            rest = rest[:at]
        found.append(rest)
        return found[::-1] if len(segment) >= len(before) + len(after) and all(found) else None


class Node(Generic[T]):
    """A segment of a path and what follows it."""

    __slots__ = ("any", "mixed", "verbs", "words")

    def __init__(self) -> None:
        self.words: dict[str, Node[T]] = {}
        self.mixed: list[Mixed[T]] = []
        self.any: Node[T] | None = None
        self.verbs: dict[str, T] = {}

    def below(self, segment: str) -> Node[T]:
        """The node of a segment of a declared path, made if there is none."""
        if PLACEHOLDER.fullmatch(segment):
            self.any = self.any or Node()
            return self.any
        words = PLACEHOLDER.split(segment)[::2]  # the names are every second part
        if len(words) == 1:
            return self.words.setdefault(segment, Node())
        known = next((each for each in self.mixed if each.words == words), None)
        if known is None:
            known = Mixed(words)
            self.mixed.append(known)
            self.mixed.sort(key=lambda each: -sum(map(len, each.words)))  # who says most of the segment goes first
        return known.node


class Router(Generic[T]):
    """Maps verb and path to a value; a placeholder `{name}` stands for one segment or a part of it."""

    def __init__(self) -> None:
        self._root: Node[T] = Node()
        self._words: dict[str, dict[str, T]] = {}  # what stands at paths without placeholders

    def add(self, verb: str, path: str, value: T) -> None:
        """Put `value` at a path; raises WiringError when another stands there."""
        node = self._root
        for segment in path.strip("/").split("/"):
            node = node.below(segment)
        if verb in node.verbs:
            raise WiringError(f"{verb} {path}: {node.verbs[verb]} and {value} share this route; give one another path")
        node.verbs[verb] = value
        # Paths are asked for as they were sent, and an escape may be written in several ways: it goes by segments.
        if PLACEHOLDER.search(path) is None and "%" not in path:
            self._words[path] = node.verbs

    def find(self, path: str) -> tuple[dict[str, T], list[str]]:
        """The values at a path (still percent-encoded) by verb, and what its placeholders stand for.

        One slash at its end is forgiven. Raises UnicodeDecodeError for escapes that are no UTF-8: put right by guess,
        two paths would be one.
        """
        if (verbs := self._words.get(path)) is not None:  # all words: no other path would be tried before
            return verbs, []
        bound: list[str] = []
        segments = path[1:].removesuffix("/").split("/")
        if "%" in path:
            # After they were cut: an encoded slash (`%2F`) is a part of its segment.
            segments = [unquote(each, errors="strict") for each in segments]
        node = self._find(self._root, segments, 0, bound)
        return ({}, []) if node is None else (node.verbs, bound)

    def in_order(self) -> Iterator[tuple[str, dict[str, T]]]:
        """All paths as regular expressions, with the values by verb; the first that fits is what `find` finds.

        A pattern is for a path without escapes and without a slash at its end.
        """
        yield from _in_order(self._root, "")

    def _find(self, node: Node[T], segments: Sequence[str], at: int, bound: list[str]) -> Node[T] | None:
        if at == len(segments):
            return node if node.verbs else None
        word = node.words.get(segments[at])
        if word is not None and (found := self._find(word, segments, at + 1, bound)) is not None:
            return found
        for mixed in node.mixed:
            if (parts := mixed.match(segments[at])) is not None:
                known = len(bound)
                bound += parts
                if (found := self._find(mixed.node, segments, at + 1, bound)) is not None:
                    return found
                del bound[known:]
        if node.any is None or not segments[at]:
            return None
        bound.append(segments[at])
        if (found := self._find(node.any, segments, at + 1, bound)) is None:
            bound.pop()
        return found


def _in_order(node: Node[T], before: str) -> Iterator[tuple[str, dict[str, T]]]:
    if node.verbs:
        yield before or "/", node.verbs
    for word, below in node.words.items():
        yield from _in_order(below, f"{before}/{re.escape(word)}")
    for mixed in node.mixed:
        yield from _in_order(mixed.node, f"{before}/{'[^/]+'.join(map(re.escape, mixed.words))}")
    if node.any is not None:
        yield from _in_order(node.any, f"{before}/[^/]+")
