"""From two shapes of a database to what the step between them does to the release that runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from meristem.storage.shape import ColumnShape, Shape, TableShape
from meristem.storage.survival import Effect, Survival, Used

_LOSES: Final = "what it kept is gone, also for a release that is rolled back"
_FAILS: Final = "statements that name it fail, those that read and those that write"
_CONTRACT: Final = (
    "release a version first whose `tables=` does without it, and do this in the next release, when nothing older runs"
)
_STEPS: Final = (
    "beside it and write both (expand); fill and read it in the next release; in the one after, write it alone; and "
    "drop the old one last (contract)"
)
_RENAME: Final = f"add the new one {_STEPS}"
_REFERS: Final = re.compile(r"FOREIGN KEY .* REFERENCES (\w+)")
_TEXT: Final = re.compile(r"VARCHAR\((\d+)\)|VARCHAR|TEXT")
_INTEGERS: Final = ("SMALLINT", "INTEGER", "BIGINT")
_UNBOUNDED: Final = 1 << 62


def effects(before: Shape, after: Shape, used: Used, statements: Sequence[str]) -> Iterator[Effect]:
    """What differs, each with its verdict; a table that nothing running uses may be done anything to."""
    new = {name: shape for name, shape in after.tables.items() if name not in before.tables}
    for name, shape in before.tables.items():
        if name in after.tables:
            yield from _of_table(name, shape, after.tables[name], used, statements)
            continue
        other = next(
            (each for each in new if new[each].columns == shape.columns and _names(statements, name, each)), None
        )
        if other is not None:
            del new[other]
        yield _gone(name, other, used)
    for name, shape in new.items():
        yield _made(name, shape, used)
    yield from _of_views(before, after, used)


def _made(name: str, shape: TableShape, used: Used) -> Effect:
    referred = [each for each in map(_REFERS.match, shape.rules) if each is not None and used.table(each[1])]
    told = ", ".join(sorted({each[1] for each in referred}))
    hurts = f"rows of {told} that it refers to can't be deleted by a release that does not know it" if told else ""
    return Effect(Survival.SAFE, f"makes the table {name}", hurts)


def _gone(name: str, other: str | None, used: Used) -> Effect:
    what = f"drops the table {name}" if other is None else f"renames the table {name} to {other}"
    if not used.table(name):
        return Effect(Survival.SAFE, f"{what}, which the running release does not use", "" if other else _LOSES)
    if other is not None:
        return Effect(Survival.UNSAFE, what, _FAILS, _RENAME)
    return Effect(Survival.UNSAFE, what, f"{_FAILS}; {_LOSES}", _CONTRACT)


def _of_views(before: Shape, after: Shape, used: Used) -> Iterator[Effect]:
    for name, text in before.views.items():
        if name not in after.views:
            verdict = Survival.UNSAFE if used.table(name) else Survival.SAFE
            yield Effect(verdict, f"drops the view {name}", _FAILS, _CONTRACT)
        elif after.views[name] != text:
            yield Effect(Survival.LOOK, f"makes the view {name} anew", "see whether it still has what is read of it")
    for name in after.views.keys() - before.views.keys():
        yield Effect(Survival.SAFE, f"makes the view {name}")


def _of_table(name: str, before: TableShape, after: TableShape, used: Used, texts: Sequence[str]) -> Iterator[Effect]:
    added = {each: shape for each, shape in after.columns.items() if each not in before.columns}
    for column, shape in before.columns.items():
        if column in after.columns:
            yield from _of_column(name, column, shape, after.columns[column], used)
            continue
        # One of the same type that a statement names beside it: a copy of the table takes the values over by name.
        other = next((each for each in added if added[each].type == shape.type and _names(texts, column, each)), None)
        if other is not None:
            del added[other]
        yield _column_gone(f"{name}.{column}", other, is_used=used.column(name, column))
    for column, shape in added.items():
        yield _column_added(name, column, shape, used)
    if before.key != after.key and not set(before.key) - after.columns.keys():
        yield _unless_free(
            name, used, Survival.UNSAFE, f"changes the primary key of {name}", "what finds or replaces rows by it fails"
        )
    yield from _of_rules(name, before, after, used)


def _column_gone(column: str, other: str | None, *, is_used: bool) -> Effect:
    what = f"drops {column}" if other is None else f"renames {column} to {other}"
    if not is_used:
        return Effect(Survival.SAFE, f"{what}, which the running release does not use", "" if other else _LOSES)
    if other is not None:
        return Effect(Survival.UNSAFE, what, _FAILS, _RENAME)
    return Effect(Survival.UNSAFE, what, f"{_FAILS}; {_LOSES}", _CONTRACT)


def _column_added(table: str, column: str, shape: ColumnShape, used: Used) -> Effect:
    what = f"adds {table}.{column}"
    if shape.nullable or shape.is_filled:
        return Effect(Survival.SAFE, f"{what}, which {'may be empty' if shape.nullable else 'has a default'}")
    instead = "let it be empty or have a `server_default`; make it NOT NULL in the next release, when all write it"
    hurts = "INSERTs that do not know it fail; where the table holds rows, it can't be applied at all"
    return _unless_free(table, used, Survival.UNSAFE, f"{what}, NOT NULL without a default", hurts, instead)


def _of_column(table: str, column: str, before: ColumnShape, after: ColumnShape, used: Used) -> Iterator[Effect]:
    if before == after:
        return
    name = f"{table}.{column}"
    if not used.column(table, column):
        yield Effect(Survival.SAFE, f"changes {name}, which the running release does not use")
        return
    if before.type != after.type:
        yield _retyped(name, before.type, after.type)
    if before.nullable and not after.nullable:
        yield _no_longer_empty(name, leaves_empty=used.leaves_empty(table, column), is_filled=after.is_filled)
    elif after.nullable and not before.nullable:
        hurts = "nothing fails by that alone; rows that are then written without a value must be readable"
        yield Effect(Survival.LOOK, f"lets {name} be empty", hurts, "let a release read None before another writes it")
    if before.is_filled and not after.is_filled:
        verdict = Survival.SAFE if after.nullable else Survival.UNSAFE
        hurts = "" if after.nullable else "INSERTs that give no value for it fail"
        yield Effect(verdict, f"takes the default of {name} away", hurts, _CONTRACT if hurts else "")
    elif after.is_filled and not before.is_filled:
        yield Effect(Survival.SAFE, f"gives {name} a default")


def _retyped(name: str, before: str, after: str) -> Effect:
    what = f"changes the type of {name} from {before} to {after}"
    if _is_wider(before, after):
        return Effect(Survival.SAFE, f"{what}, which holds all that the old one did")
    hurts = "values of one type are read and written as another; what the new one can't hold is lost"
    instead = f"add a column of type {after} {_STEPS}"
    return Effect(Survival.UNSAFE, what, hurts, instead)


def _is_wider(before: str, after: str) -> bool:
    if before in _INTEGERS and after in _INTEGERS:
        return _INTEGERS.index(after) > _INTEGERS.index(before)
    texts = [_TEXT.fullmatch(each) for each in (before, after)]
    old, new = (0 if each is None else int(each[1] or _UNBOUNDED) for each in texts)
    return 0 < old <= new


def _no_longer_empty(name: str, *, leaves_empty: bool, is_filled: bool) -> Effect:
    what = f"makes {name} NOT NULL"
    if not leaves_empty:
        return Effect(Survival.SAFE, f"{what}, as the running release has it")
    default = ", its default notwithstanding where they give NULL" if is_filled else ""
    instead = "write it everywhere in one release, fill the rows that lack it, and make it NOT NULL in the next"
    return Effect(
        Survival.UNSAFE, what, f"writes without a value fail{default}; so does this, over such a row", instead
    )


def _of_rules(table: str, before: TableShape, after: TableShape, used: Used) -> Iterator[Effect]:
    for rule, columns in after.rules.items():
        if rule in before.rules:
            continue
        what = f"adds to {table}: {rule}"
        if any(_is_left_empty(after, each) and not used.column(table, each) for each in columns):
            yield Effect(Survival.SAFE, f"{what}, of which the running release leaves a column empty")
        else:
            hurts = "writes that break it fail; so does this, over rows that do"
            yield _unless_free(
                table, used, Survival.LOOK, what, hurts, "let a release keep to it before the database asks for it"
            )
    for rule, columns in before.rules.items():
        if rule not in after.rules and columns <= after.columns.keys():
            hurts = "an ON CONFLICT that means it fails" if rule.startswith("UNIQUE") else "what relies on it goes on"
            yield _unless_free(table, used, Survival.LOOK, f"takes from {table}: {rule}", hurts, _CONTRACT)
    for index in after.indexes.keys() - before.indexes.keys():
        yield Effect(Survival.SAFE, f"adds the index {index} to {table}")
    for index in before.indexes.keys() - after.indexes.keys():
        if before.indexes[index] <= after.columns.keys() | {"an expression"}:
            hurts = "what is found by it becomes slow, and may take longer than callers wait"
            yield _unless_free(table, used, Survival.LOOK, f"drops the index {index} of {table}", hurts, _CONTRACT)


def _is_left_empty(table: TableShape, column: str) -> bool:
    """Whether a row that is written without the column is empty there: then it is like no other row."""
    shape = table.columns.get(column)
    return shape is not None and shape.nullable and not shape.is_filled


def _unless_free(table: str, used: Used, verdict: Survival, what: str, hurts: str, instead: str = "") -> Effect:
    if used.table(table):
        return Effect(verdict, what, hurts, instead)
    return Effect(Survival.SAFE, f"{what}: the running release does not use the table")


def _names(statements: Sequence[str], *names: str) -> bool:
    """Whether one of the statements has all names in it."""
    return any(all(re.search(rf"\b{re.escape(each)}\b", text) for each in names) for text in statements)
