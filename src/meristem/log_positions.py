"""What a caller has written, by the positions of databases behind it: what it reads from a replica must have them.

"Read your writes" of Terry and others, "Session Guarantees for Weakly Consistent Replicated Data" (1994): the positions
are the session, and travel with a request, its calls and their replies.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT: Final = 300.0  # seconds for which a caller without an end is followed: a task, a browser
ALL: Final = "*"
NONE: Final = "-"
MOST: Final = 32  # services whose positions travel; a request that wrote to more reads from primaries alone
_ENTRY: Final = r"[0-9a-f]{8}:(?:\*|[0-9a-f]{1,8}-[0-9a-f]{1,16})"
FORM: Final = re.compile(rf"\*|-|{_ENTRY}(?:\.{_ENTRY}){{0,{MOST - 1}}}")
"""Positions as they travel: in a header, in metadata, in a cookie (RFC 6265, section 4.1.1: no commas)."""
LONGEST: Final = MOST * 35


class Position(NamedTuple):
    """A place in the log of a database's server: the offset in a timeline, which is another one after a fail-over."""

    timeline: int
    offset: int

    def covers(self, other: Position) -> bool:
        """Whether all that was written up to the other position is there.

        An offset of an earlier timeline may be of what a fail-over has lost, so both must be reached.
        """
        return self.timeline >= other.timeline and self.offset >= other.offset

    def joined(self, other: Position) -> Position:
        """The lowest position that covers both."""
        return Position(max(self.timeline, other.timeline), max(self.offset, other.offset))


BEGINNING: Final = Position(0, 0)


class Positions:
    """The positions behind what was written for one request, by service; all calls of the request share them.

    Where a position is not known, the service's reads go to its primary. `has_grown` says that something was written
    since they came in, so that the caller must be told. Those of a task outside of any call are forgotten when they
    end, on the clock of time.monotonic(): it may live for ever.
    """

    __slots__ = ("_is_all", "_known", "ends", "has_grown")

    def __init__(self, ends: float = inf) -> None:
        self.ends = ends
        self.has_grown = False
        self._is_all = False
        self._known: dict[str, Position | None] = {}  # None: written, and it is not known up to where

    @staticmethod
    def read(text: str | None) -> Positions | None:
        """What a caller sent; None for nothing, and for what is no such text."""
        if text is None or len(text) > LONGEST or FORM.fullmatch(text) is None:
            return None
        found = Positions()
        found._take(text)
        return found

    def behind(self, service: str) -> Position | None:
        """What a replica must have for this caller to read there; None where it must read from the primary."""
        if self._is_all:
            return None
        return self._known.get(key_of(service), BEGINNING)

    def is_open(self, service: str) -> bool:
        """Whether the service has committed something, and it is not known up to where."""
        return self._known.get(key_of(service), BEGINNING) is None

    def wrote(self, service: str) -> None:
        """Something was committed, or may have been: until it is known up to where, the primary alone has it."""
        self._known[key_of(service)] = None
        self.has_grown = True

    def reached(self, service: str, position: Position) -> None:
        """All that was written so far is within this position."""
        key = key_of(service)
        self._known[key] = position.joined(self._known.get(key) or BEGINNING)
        self.has_grown = True

    def distrust(self) -> None:
        """Something was written somewhere: all reads go to primaries from now on."""
        self._is_all = self.has_grown = True

    def learn(self, text: str) -> None:
        """Take in what a callee sent back; what is no such text counts as something that was written somewhere."""
        if len(text) > LONGEST or FORM.fullmatch(text) is None:
            self.distrust()
            return
        before = self.text()
        self._take(text)
        self.has_grown = self.has_grown or self.text() != before

    def text(self) -> str:
        """The positions as they travel."""
        if self._is_all or len(self._known) > MOST:
            return ALL
        if not self._known:
            return NONE
        return ".".join(f"{key}:{_written(position)}" for key, position in self._known.items())

    def _take(self, text: str) -> None:
        if text == ALL:
            self._is_all = True
        elif text != NONE:
            for entry in text.split("."):
                key, _, written = entry.partition(":")
                known = self._known.get(key, BEGINNING)
                if written == ALL or known is None:
                    self._known[key] = None
                else:
                    timeline, _, offset = written.partition("-")
                    self._known[key] = known.joined(Position(int(timeline, 16), int(offset, 16)))


class _Primaries(Positions):
    """Of work that reads from primaries alone, and whose writes nobody waits to read: nothing is noted."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self._is_all = True

    def wrote(self, service: str) -> None:
        """Nobody asks."""

    def reached(self, service: str, position: Position) -> None:
        """Nobody asks."""

    def distrust(self) -> None:
        """Nothing is trusted."""

    def learn(self, text: str) -> None:
        """Nobody asks."""


PRIMARIES: Final[Positions] = _Primaries()
"""Of work that has no caller: handlers of events, sagas, periodic jobs, and the calls they make."""


def together(callers: Iterable[Positions | None]) -> Positions:
    """What is done for several callers at once must have what each of them wrote."""
    found = Positions()
    for each in callers:
        if each is None:
            return PRIMARIES
        found.learn(each.text())
    return found


@lru_cache(1024)
def key_of(service: str) -> str:
    """What stands for a service where positions travel: its name is not for everybody who sees them."""
    return hashlib.sha256(service.encode()).hexdigest()[:8]


def _written(position: Position | None) -> str:
    return ALL if position is None else f"{position.timeline:x}-{position.offset:x}"
