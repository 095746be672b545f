"""What varies by itself from run to run, and whether a run is like others but for that."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from meristem.testing.divided.trees import SHAPE, Flat, Path, dotted, flat, in_order, text, unordered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from meristem.testing.divided.alignment import AlignedStep
    from meristem.testing.divided.recorded import RecordedCall

Place: TypeAlias = tuple[int, Path]
ID: Final = 8  # characters of the shortest text that may be an id: of a shorter one two may be equal by chance
DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
MISSING: Final = object()


class Unlike(msgspec.Struct):
    """At which step and path a run differs from the others, and, of an id, how."""

    step: int
    path: Path
    why: str = ""


class Likeness:
    """Learned from all runs of the steps but the last, which is the one in question.

    A value that differs between the first runs is `wild`: any of its kind will do. One that looks like an id is
    `named` instead: by the order in which the ids of a run first appear, so that one in another's place is seen.
    """

    def __init__(self, steps: Sequence[AlignedStep]) -> None:
        self._steps = steps
        places = _unordered(steps)
        self._forms = [_forms(each, places[each.operation]) for each in steps]
        self.wild: dict[Place, set[str]] = {}
        named: dict[Place, list[str]] = {}
        for number, forms in enumerate(self._forms):
            self._learn(number, forms, named)
        self.named = self._agreed(named)

    def unlike(self) -> Unlike | None:
        """The first difference of the last run."""
        names = [_Names(), _Names()]
        for number, forms in enumerate(self._forms):
            first, last = forms[0], forms[-1]
            for path in _paths(forms):
                place = number, path
                if self._is_wild_above(place):
                    continue
                # The first run stands for all: where they differed among themselves the place is wild or named.
                one, other = first.get(path, MISSING), last.get(path, MISSING)
                # What is no text any more in the last run falls through, to be told as another value.
                if place in self.named and isinstance(other, str):
                    mine, its = names[0].name(one, place), names[1].name(other, place)
                    if mine != its:
                        return Unlike(number, path, self._told(mine, its))
                elif place in self.wild:
                    if _kind(other) not in self.wild[place]:
                        return Unlike(number, path)
                elif type(one) is not type(other) or one != other:
                    return Unlike(number, path)
        return None

    def _learn(self, number: int, forms: Sequence[Flat], named: dict[Place, list[str]]) -> None:
        for path in _paths(forms[:-1]):
            place = number, path
            values = [each.get(path, MISSING) for each in forms[:-1]]
            if self._is_wild_above(place) or all(each == values[0] for each in values):
                continue
            if path[-1:] == (SHAPE,):  # all that is below varies with it
                self.wild[number, path[:-1]] = {_kind(each) for each in values}
            elif all(_is_id(each) for each in values) and not self._steps[number].is_group:
                named[place] = [str(each) for each in values]
            else:
                self.wild[place] = {_kind(each) for each in values}

    def _agreed(self, named: dict[Place, list[str]]) -> set[Place]:
        """Of those that may be ids, those that are: the runs agree which of them are the same, and share none."""
        # Again until nothing is refused: the place of one that was no id may have named another.
        while named:
            runs = list(zip(*named.values(), strict=True))
            last = {str(self._forms[number][-1].get(path)) for number, path in named}
            # An id that two runs share is none: each run makes its own.
            often = Counter(each for run in (*map(set, runs), last) for each in run)
            numbered = [_Names() for _ in runs]
            refused = {
                place
                for place, values in named.items()
                if any(often[each] > 1 for each in values)
                or len({names.name(each, place) for names, each in zip(numbered, values, strict=True)}) > 1
            }
            if not refused:
                break
            self.wild |= {place: {"text"} for place in refused}
            named = {place: values for place, values in named.items() if place not in refused}
        return set(named)

    def _is_wild_above(self, place: Place) -> bool:
        number, path = place
        return any((number, path[:end]) in self.wild for end in range(len(path)))

    def _told(self, mine: Place, its: Place) -> str:
        return f"it was first seen in {self._shown(mine)} in one process, and in {self._shown(its)} here"

    def _shown(self, place: Place) -> str:
        number, path = place
        call = self._steps[number].calls[0][0]
        return f"call {call.number} ({call.operation}, {dotted(path)})"


class _Names:
    """Gives every value the place at which it was first seen."""

    def __init__(self) -> None:
        self._first: dict[Any, Place] = {}

    def name(self, value: Any, place: Place) -> Place:
        return self._first.setdefault(value, place)


def _unordered(steps: Sequence[AlignedStep]) -> dict[str, set[Path]]:
    """Where, by operation, lists of the same items came in another order by themselves."""
    found: dict[str, set[Path]] = {each.operation: set() for each in steps}
    for step in steps:
        first, *others = (_tree(call) for calls in step.calls[:-1] for call in calls)
        found[step.operation].update(*(unordered(first, each) for each in others))
    return found


def _forms(step: AlignedStep, places: set[Path]) -> list[Flat]:
    """What is compared of each run."""
    # Which of the calls that overlapped got which answer is chance; how often each answer came is not.
    if step.is_group:
        return [_together([in_order(_tree(call), places) for call in calls]) for calls in step.calls]
    return [flat(in_order(_tree(calls[0]), places)) for calls in step.calls]


def _tree(call: RecordedCall) -> dict[str, Any]:
    return {"arguments": call.arguments, **call.outcome}


def _together(trees: Sequence[Any]) -> Flat:
    """The leaves of several calls at once: how often each value stands at a path."""
    found: dict[Path, Counter[str]] = {}
    for tree in trees:
        for path, value in flat(tree).items():
            found.setdefault(path, Counter())[text(value)] += 1
    return {path: dict(counts) for path, counts in found.items()}


def _paths(forms: Sequence[Flat]) -> Iterator[Path]:
    """The paths of all forms, the first one's order kept, so that a container comes before what is in it."""
    yield from dict.fromkeys(path for form in forms for path in form)


def _kind(value: Any) -> str:
    if value is MISSING:
        return "nothing"
    kinds: dict[type, str] = {bool: "truth", int: "number", float: "number", str: "text", type(None): "null"}
    return kinds.get(type(value), "container")


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and len(value) >= ID and DAY.match(value) is None
