"""What a step of a migration does to the release that runs meanwhile: how sure that is, what fails, what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

import msgspec

from meristem.storage.shape import Shape


class Survival(Enum):
    """Whether the running release survives; `LOOK` is not judged: it depends on what that release does."""

    SAFE = "safe"
    LOOK = "not judged"
    UNSAFE = "unsafe"


class Effect(msgspec.Struct, frozen=True):
    """One effect: what is done, what that does to the running release, and the way that does not."""

    verdict: Survival
    what: str
    hurts: str = ""
    instead: str = ""


def worst(effects: Iterable[Effect]) -> Survival:
    """The verdict on all of them together."""
    found = {each.verdict for each in effects}
    return next((each for each in (Survival.UNSAFE, Survival.LOOK) if each in found), Survival.SAFE)


class DeclaredTables(msgspec.Struct, frozen=True):
    """What a release says of its tables: the columns of each, and whether a column may be empty."""

    tables: Mapping[str, Mapping[str, bool]]


class Used(NamedTuple):
    """What running releases use: what the database had at first, and of that what each of them declares.

    Without `releases` nothing is known of them, and they are taken to use all that there is.
    """

    begun: Shape
    releases: tuple[DeclaredTables, ...] = ()

    def table(self, name: str) -> bool:
        """Whether a table or view may be used."""
        if not self.releases:
            return name in self.begun.tables or name in self.begun.views
        return any(name in each.tables for each in self.releases)

    def column(self, table: str, name: str) -> bool:
        """Whether a column may be read or written."""
        if not self.releases:
            return table in self.begun.tables and name in self.begun.tables[table].columns
        return any(name in each.tables.get(table, ()) for each in self.releases)

    def leaves_empty(self, table: str, name: str) -> bool:
        """Whether a column may be written without a value."""
        columns = [each.tables[table] for each in self.releases if table in each.tables]
        return not columns or any(each.get(name, True) for each in columns)
