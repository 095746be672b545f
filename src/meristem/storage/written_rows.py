"""What a statement of a migration that leaves the shape as it is does to rows: read from its text, carefully."""

from __future__ import annotations

import re
from typing import Final

from meristem.storage.survival import Effect, Survival, Used

_STRING: Final = re.compile(r"'(?:[^']|'')*'")
_NAME: Final = r'(?:\w+\.)?["`]?(?P<table>\w+)["`]?'
_INSERT: Final = re.compile(rf"INSERT\s+INTO\s+{_NAME}\s", re.IGNORECASE)
_DELETE: Final = re.compile(rf"DELETE\s+FROM\s+{_NAME}(\s|$)", re.IGNORECASE)
_UPDATE: Final = re.compile(
    rf"UPDATE\s+{_NAME}\s+SET\s+(?P<set>.*?)(?:\s(?:WHERE|FROM|RETURNING)\s.*)?", re.IGNORECASE | re.DOTALL
)
_ASSIGNED: Final = re.compile(r'\s*["`]?(?P<column>\w+)["`]?\s*=[^=]')
_READS: Final = re.compile(r"(?:SELECT|VALUES|WITH|EXPLAIN|PRAGMA|SHOW)\b", re.IGNORECASE)
_LOOK: Final = "look whether the running release can live with it"
_SETTINGS: Final = re.compile(r"(?:SET|ANALYZE|SAVEPOINT|RELEASE|COMMENT)\b", re.IGNORECASE)


def is_reading(text: str) -> bool:
    """Whether a statement asks for something; one that begins WITH may change rows as well."""
    return _READS.match(text) is not None


def changed_table(text: str) -> str | None:
    """The table whose rows a statement changes or deletes."""
    plain = " ".join(_STRING.sub("''", text).split())
    found = _UPDATE.fullmatch(plain) or _DELETE.match(plain)
    return found["table"] if found else None


def rows_of(text: str, used: Used) -> Effect:
    """What a statement does that made no difference to the shape."""
    plain = " ".join(_STRING.sub("''", text).split())
    if _SETTINGS.match(plain):
        return Effect(Survival.SAFE, "changes no table")
    if is_reading(plain):
        hurts = "what the revision does by the answer is not foreseen: the plan runs it over no rows"
        return Effect(Survival.LOOK, "asks the database", hurts)
    if (update := _UPDATE.fullmatch(plain)) is not None:
        return _updated(update["table"], _assigned(update["set"]), used)
    if (insert := _INSERT.match(plain)) is not None and "CONFLICT" not in plain.upper():
        return _unless_free(insert["table"], "adds rows to", "see whether the running release can read them", used)
    if (delete := _DELETE.match(plain)) is not None:
        return _unless_free(delete["table"], "deletes rows of", "see whether the running release misses them", used)
    return Effect(Survival.LOOK, "changes what the plan does not compare: a trigger, a function, a setting?", _LOOK)


def _updated(table: str, columns: list[str] | None, used: Used) -> Effect:
    if columns and not any(used.column(table, each) for each in columns):
        named = ", ".join(columns)
        return Effect(Survival.SAFE, f"fills {named} of {table}, which the running release does not use")
    return _unless_free(table, "changes rows of", "see whether the running release can read what they become", used)


def _unless_free(table: str, what: str, hurts: str, used: Used) -> Effect:
    if used.table(table):
        return Effect(Survival.LOOK, f"{what} {table}", hurts)
    return Effect(Survival.SAFE, f"{what} {table}, which the running release does not use")


def _assigned(text: str) -> list[str] | None:
    """The columns of a SET clause; None for one that is written in another way."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    found = [_ASSIGNED.match(f"{each} ") for each in parts]
    return [each["column"] for each in found if each is not None] if None not in found else None
