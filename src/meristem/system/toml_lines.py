"""The line of a TOML file that a complaint is about, found by TOML's own parser: by where a key first appears."""

from __future__ import annotations

import re
import tomllib
from typing import Any, Final

LONGEST: Final = 1000  # lines; each is a trial of all before it
TABLE: Final = re.compile(r"(?:\[((?:[^\[\]]|\[\d+\])*)\]: )?(.*)", re.DOTALL)
NUMBERED: Final = re.compile(r"(.+)\[(\d+)\]")  # a table of several, [[rules]]: the first of them is rules[1]
KEY: Final = re.compile(r"([\w-]+) = |^([\w-]+): |[`']([\w-]+)[`']")


def line_of(text: str, problem: str) -> int | None:
    """Where what `problem` names (`[client]: connect_seconds = nan: …`) begins in a sound file; None if not sure."""
    named = TABLE.match(problem)
    assert named is not None  # it matches any text
    path = named[1].split(".") if named[1] else []
    table = _at(tomllib.loads(text), path)
    if not isinstance(table, dict):
        return None
    words = (next(filter(None, each)) for each in KEY.findall(named[2]))
    key = next((each for each in words if each in table), None)
    wanted = path if key is None else [*path, key]
    return _begins(text.splitlines(keepends=True), wanted) if wanted else None


def _begins(lines: list[str], path: list[str]) -> int | None:
    """The number of the line where the statement begins that first has `path`."""
    if len(lines) > LONGEST:
        return None
    sound = 0  # how many lines are whole statements, none of which has it
    for count in range(1, len(lines) + 1):
        try:
            before = tomllib.loads("".join(lines[:count]))
        except tomllib.TOMLDecodeError:  # within a statement of several lines
            continue
        if _at(before, path) is not None:
            return sound + 1
        sound = count
    return None


def _at(table: Any, path: list[str]) -> Any:
    for name in path:
        numbered = NUMBERED.fullmatch(name)
        table = table.get(numbered[1] if numbered else name) if isinstance(table, dict) else None
        if numbered:
            place = int(numbered[2]) - 1
            table = table[place] if isinstance(table, list) and 0 <= place < len(table) else None
    return table
