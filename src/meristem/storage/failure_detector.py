"""Which of the other replicas are dead: by their silence, and by how long each of them was silent before and lived.

One fixed time suits no two machines. Where many share a processor or a database, a sign of life comes late; whoever is
taken for dead by that has its work done once more, which makes the signs of all the others later still. So what was
silent for long, and then spoke, is given more time, as an accrual failure detector does it, and the more after it was
taken for dead and was not. Where many are late at once, it is what they share that is slow. Where all others are in
time, a dead one is found as soon as ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from meristem.storage.owner import is_certainly_dead

_MARGIN: Final = 1.5  # of the longest silence of late after which a replica spoke
_TWICE: Final = 2.0  # as many looks for one that was taken for dead and lives
_MOST: Final = 4.0  # of the patience: nothing that is silent for longer is waited for
_FADES: Final = 0.98  # of what was given, with each beat that comes
_MANY, _PART = 3, 0.25  # so many, and such a part of the others, don't fall silent at once because they are dead
_FORGOTTEN: Final = 600  # looks without a process, after which nothing is known of it


class Member(msgspec.Struct):
    """A replica as its row shows it."""

    id: int
    process: str
    beat: int


class _Heard(msgspec.Struct):
    """The last beat of a number, and in how many looks it was that."""

    beat: int
    looks: int


class _Known(msgspec.Struct):
    """What is known of a process: its number, the looks that it is given, and when it was seen."""

    id: int
    given: float
    seen: int


class FailureDetector:
    """Counts the looks in which each replica said nothing; more than `patience` of them, and it is dead.

    Looks are counted and not time, so no jump of a clock and no pause of this process makes others look dead.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._silent: dict[int, _Heard] = {}
        self._known: dict[str, _Known] = {}
        self._look = 0
        self._are_many_late = False

    def begin_anew(self) -> None:
        """Count everyone's silence from the next look on: this one tells nothing of others."""
        self._silent = {}

    def hear(self, others: Sequence[Member]) -> None:
        """Take in what a look has found."""
        before, self._silent = self._silent, {}
        self._look += 1
        for each in others:
            heard = before.get(each.id)
            if heard is not None and heard.beat == each.beat:
                heard.looks += 1
            else:
                self._spoke(each, 0 if heard is None else heard.looks)
                heard = _Heard(each.beat, 1)
            self._silent[each.id] = heard
            self._known[each.process].seen = self._look
        late = sum(each.looks > self._patience // 2 for each in self._silent.values())
        self._are_many_late = late >= _MANY and late > _PART * len(others)
        if len(self._known) > len(others):
            self._known = {name: it for name, it in self._known.items() if it.seen > self._look - _FORGOTTEN}

    def _spoke(self, other: Member, looks: int) -> None:
        """There is a sign of life after so many looks, none of them where it is the first one that is seen."""
        known = self._known.get(other.process)
        if known is None:
            self._known[other.process] = _Known(other.id, 0.0, self._look)
        elif known.id != other.id:  # it was taken for dead, whoever did it, and has begun anew
            known.id, known.given = other.id, self._given(other) * _TWICE
        elif looks:
            known.given = max(known.given * _FADES, looks * _MARGIN)

    def _given(self, other: Member) -> float:
        known, most = self._known.get(other.process), self._patience * _MOST
        given = most if self._are_many_late else 0.0 if known is None else known.given
        return max(self._patience, min(given, most))

    def is_dead(self, other: Member) -> bool:
        """Whether another one is taken for dead: it has been silent for too long, or its process is gone from here."""
        heard = self._silent.get(other.id)
        return (heard is not None and heard.looks > self._given(other)) or is_certainly_dead(other.process)
