"""A change that breaks somebody: of which kind it is, where it is written, whom it breaks, and what to do instead."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from meristem.contracts.evolution.snapshot import Written


class ChangeKind(Enum):
    """Whom a change breaks.

    WIRE: programs that speak binary protobuf. JSON: programs that speak JSON, by RPC or REST, and what is kept as
    JSON: events in outboxes, stored answers, sagas' journals. SOURCE: Python code that uses the classes, as it runs or
    as a type checker reads it.
    """

    WIRE = "wire"
    JSON = "json"
    SOURCE = "source"


class Change(msgspec.Struct, frozen=True):
    """A breaking change; `uses` are the places by which it reaches those whom it breaks.

    `file` and `line` are where the new code says it, or where what is gone would be; empty where that is not known.
    """

    rule: str
    kinds: tuple[ChangeKind, ...]
    where: str
    says: str
    remedy: str
    uses: tuple[str, ...] = ()
    file: str = ""
    line: int = 0

    @property
    def key(self) -> str:
        """By which a project allows it; the same as long as the change is: lines may move."""
        return f"{self.rule} {self.where}"


class Crossing(msgspec.Struct, frozen=True):
    """A place at which a value crosses from old code to new, or back.

    With `old_writes` the new code reads what the old wrote, with `new_writes` the old code what the new wrote; both
    hold where the two run side by side. Writers that are `complete` leave no field out. Python code of callers may be
    what `given` says: it makes the value, or reads it (False), or never sees it (None).
    """

    text: str
    old_writes: bool = False
    new_writes: bool = False
    complete: bool = False
    given: bool | None = None


class ChangeList:
    """Gathers changes; one that is reached by several uses is one."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, str], Change] = {}

    def add(
        self,
        rule: str,
        where: str,
        says: str,
        remedy: str,
        *kinds: ChangeKind,
        use: Crossing | None = None,
        at: Written | None = None,
    ) -> None:
        """Note a change; one of no kind breaks nobody."""
        if not kinds:
            return
        file, line = ("", 0) if at is None else (at.file, at.line)
        uses = () if use is None else (use.text,)
        known = self._found.get((rule, where, says))
        if known is None:
            known = Change(rule, (), where, says, remedy, (), file, line)
        merged = {*known.kinds, *kinds}
        self._found[rule, where, says] = msgspec.structs.replace(
            known,
            kinds=tuple(each for each in ChangeKind if each in merged),
            uses=tuple(dict.fromkeys((*known.uses, *uses))),
        )

    def all(self) -> list[Change]:
        """Every change, by where it is written."""
        return sorted(self._found.values(), key=lambda each: (each.file, each.line, each.where, each.rule, each.says))
