"""Where classes and methods are written in a project, and by which names they can be imported."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

DECLARED: Final = re.compile(r"\s+(\w+)\s*:")
OPENING: Final = ("class ", "def ", "async ")  # decorators stand before it


def place_of(root: Path, written: Any) -> tuple[str, int]:
    """File and first line, where that is in the project itself: what it has installed is others' to write."""
    try:
        file, (lines, first) = Path(inspect.getfile(written)).resolve(), inspect.getsourcelines(written)
    except (OSError, TypeError):
        return "", 0
    root = root.resolve()
    if not file.is_relative_to(root) or "site-packages" in file.parts:
        return "", 0
    skipped = next((at for at, each in enumerate(lines) if each.lstrip().startswith(OPENING)), 0)
    return file.relative_to(root).as_posix(), first + skipped


def lines_of(cls: Any) -> dict[str, int]:
    """The lines on which a class declares its own fields."""
    try:
        lines, first = inspect.getsourcelines(cls)
    except (OSError, TypeError):
        return {}
    found: dict[str, int] = {}
    for at, line in enumerate(lines):
        if (declared := DECLARED.match(line)) is not None:
            found.setdefault(declared[1], first + at)
    return found


def importable(classes: Mapping[str, type]) -> dict[str, tuple[str, ...]]:
    """The names by which each class can be imported: where it is, then wherever a module of its packages names it."""
    keys = {id(cls): key for key, cls in classes.items()}
    found: dict[str, set[str]] = {key: set() for key in classes}
    packages = {cls.__module__.partition(".")[0] for cls in classes.values()}
    for module_name, module in list(sys.modules.items()):
        if module_name.partition(".")[0] not in packages:
            continue
        for name, value in list(vars(module).items()):
            if isinstance(value, type) and id(value) in keys:
                found[keys[id(value)]].add(f"{module_name}:{name}")
    return {key: (key, *sorted(names - {key})) for key, names in found.items()}
