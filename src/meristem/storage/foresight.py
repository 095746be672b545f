"""Runs the revisions that are pending in the database's twin, and keeps what they do: what is shown is what is run.

A revision is Python and may do anything, so nothing is read from its text. Alembic runs it as it will for real; after
each statement that may change the shape, the twin's is compared with what it was before. What copies a table to alter
it is one step, however many statements it takes.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from meristem.errors import MeristemError
from meristem.storage.alembic_folder import COPY_PREFIX, FRAMEWORK_PREFIX, config_of, explained, scripts_of
from meristem.storage.database import Database
from meristem.storage.effects import effects
from meristem.storage.migrations import adopt, pending_in
from meristem.storage.planned import PlannedRevision, PlannedStep
from meristem.storage.shape import Shape, shape_of
from meristem.storage.survival import DeclaredTables, Effect, Survival, Used
from meristem.storage.twin import Twin
from meristem.storage.written_rows import is_reading, rows_of

_INDEX: Final = re.compile(r'CREATE (?:UNIQUE )?INDEX "?(\w+)"? ON', re.IGNORECASE)
_CATALOGS: Final = re.compile(r"\b(sqlite_master|sqlite_temp_master|pg_catalog|information_schema|alembic_version)\b")
_VERSIONS: Final = re.compile(r"(?:CREATE TABLE|INSERT INTO|UPDATE|DELETE FROM) alembic_version\b")
_FRAMEWORKS: Final = re.compile(rf"\b{FRAMEWORK_PREFIX}\w+")
_DONE_ALREADY: Final = re.compile(
    r"CREATE (?:(?:UNIQUE )?INDEX|TABLE|VIEW) IF NOT EXISTS (?!\S*\.)|DROP (?:INDEX|TABLE|VIEW) IF EXISTS (?!\S*\.)"
    r"|ALTER TABLE \S+ (?:ADD COLUMN IF NOT EXISTS|DROP COLUMN IF EXISTS) ",
    re.IGNORECASE,
)
_ROWS_ONLY: Final = re.compile(r"(?:INSERT|UPDATE|DELETE|SAVEPOINT|RELEASE|SET)\b", re.IGNORECASE)


def rehearse(twin: Twin, versions: Path, name: str, releases: Sequence[DeclaredTables]) -> list[PlannedRevision]:
    """What `upgrade` would do, by trying it; `releases` are those that run, where that is known."""
    from alembic import command  # noqa: PLC0415 - see `migrations._upgrade`

    config, planned = config_of(twin.connection, versions), list[PlannedRevision]()
    scripts, wanted = scripts_of(config), pending_in(twin.connection, config_of(twin.connection, versions), name)
    adopt(twin.connection, config)
    recorder = _Recorder(twin, tuple(releases))
    for revision in wanted:
        script = scripts[revision]
        mark = bool(getattr(script.module, "compatible", False))
        planned.append(PlannedRevision(revision, script.doc or "", mark, recorder.begin()))
        try:
            with explained(versions), recorder:
                command.upgrade(config, revision)
                recorder.end()
        except (MeristemError, SQLAlchemyError) as error:
            planned[-1].fails = _in_a_line(error)
            break
    return planned


async def foresee(database: Database, versions: Path, releases: Sequence[DeclaredTables]) -> list[PlannedRevision]:
    """As `rehearse`, off the event loop, in a twin of its own."""
    return await asyncio.to_thread(rehearse_in_twin, database, versions, releases)


def rehearse_in_twin(database: Database, versions: Path, releases: Sequence[DeclaredTables]) -> list[PlannedRevision]:
    """As `rehearse`, from a thread, in a twin of its own."""
    with database.twin() as twin:
        return rehearse(twin, versions, database.name, releases)


def _in_a_line(error: Exception) -> str:
    cause = getattr(error, "orig", None)
    told = str(error) if cause is None else f"{type(cause).__name__}: {cause}"
    return " ".join(" ".join([told, *(f"({each})" for each in getattr(error, "__notes__", ()))]).split())


class _Recorder:
    """Hears each statement, and lets each step say what it did."""

    def __init__(self, twin: Twin, releases: tuple[DeclaredTables, ...]) -> None:
        self._twin = twin
        self._shape = shape_of(twin.connection)
        self._used = Used(self._shape, releases)
        self._is_new = not self._shape.tables
        self._steps: list[PlannedStep] = []
        self._looks = False
        self._copied: Shape | None = None  # the shape before a copy of a table

    def begin(self) -> list[PlannedStep]:
        """The steps of the next revision, still empty."""
        self._steps, self._copied = [], None
        return self._steps

    def end(self) -> None:
        """Take in what no statement of its own has shown: a function may change tables, too."""
        if self._steps and (shape := shape_of(self._twin.connection)) != self._shape:
            self._steps[-1].effects += self._judged([*effects(self._shape, shape, self._used, ())])
            self._shape = shape

    def __enter__(self) -> None:
        event.listen(self._twin.connection, "after_cursor_execute", self._on_statement)

    def __exit__(self, *_: object) -> None:
        event.remove(self._twin.connection, "after_cursor_execute", self._on_statement)

    def _on_statement(self, _connection: Any, _cursor: Any, text: str, values: Any, _context: Any, many: bool) -> None:
        text = text.strip()
        if self._looks or _is_ours(text):
            return
        if self._twin.connection.dialect.paramstyle in ("format", "pyformat"):
            text = text.replace("%%", "%")
        told = text + (f"  -- for {len(values)} rows" if many else "")
        self._looks = True
        try:
            self._take(told, text)
        finally:
            self._looks = False

    def _take(self, told: str, text: str) -> None:
        if self._belongs_to_copy(text):
            self._steps[-1].statements.append(told)
        else:
            self._copied = None
            self._steps.append(PlannedStep([told]))
        step = self._steps[-1]
        if is_reading(text) or _ROWS_ONLY.match(text):
            if self._copied is None:
                step.effects = self._judged([self._of_rows(text)])
                step.effects += self._twin.tolls([text])
            return
        shape = shape_of(self._twin.connection)
        copying = next((each for each in shape.tables if each.startswith(COPY_PREFIX)), None)
        if copying is not None:
            self._copied = self._copied or self._shape
            return
        before = self._copied or self._shape
        found = list(effects(before, shape, self._used, step.statements))
        if not found:
            found = [Effect(Survival.SAFE, "leaves the tables as they are")]
            if self._copied is None:
                found = [self._of_rows(text)]
        step.effects = self._judged(found) + list(self._twin.tolls(step.statements))
        self._shape = shape

    def _of_rows(self, text: str) -> Effect:
        """What a statement does that left the shape as it was."""
        if _FRAMEWORKS.search(text) and not is_reading(text):
            hurts = "it relies on what it has made and written there"
            return Effect(Survival.UNSAFE, "changes the framework's own tables", hurts, "leave them to the framework")
        if _DONE_ALREADY.match(text):
            return Effect(Survival.SAFE, "finds it done already")
        return rows_of(text, self._used)

    def _judged(self, found: list[Effect]) -> list[Effect]:
        """As it was found, or all of it safe where the database is new: nothing runs on it."""
        return [Effect(Survival.SAFE, each.what) for each in found] if self._is_new else found

    def _belongs_to_copy(self, text: str) -> bool:
        """Whether it is a step of copying a table: until it has its name again, and then the indexes that it had."""
        if self._copied is None:
            return False
        if COPY_PREFIX in text or any(each.startswith(COPY_PREFIX) for each in shape_of(self._twin.connection).tables):
            return True
        index = _INDEX.match(text)
        return index is not None and any(
            index[1] in table.indexes or any(f" {index[1]} (" in rule for rule in table.rules)
            for table in self._copied.tables.values()
        )


def _is_ours(text: str) -> bool:
    """Whether a statement is Alembic's own: it looks at tables, and keeps what it has applied."""
    if is_reading(text):
        return text.startswith("PRAGMA") or _CATALOGS.search(text) is not None
    return _VERSIONS.match(text) is not None
