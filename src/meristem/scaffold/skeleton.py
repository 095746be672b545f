"""Reads the files of a project from the templates, and puts names where they stand for some."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

TEMPLATES: Final = Path(__file__).with_name("templates")
SUFFIX: Final = ".template"
"""So that no tool takes a template for what it becomes."""
PLACE: Final = re.compile(r"\{\{(\w+)\}\}")
PLACE_IN_PATH: Final = re.compile("PACKAGE|SERVICE")


def skeleton(*kinds: str, **names: str) -> dict[str, str]:
    """The files of these kinds of template, by their paths in the project and in the order of these.

    `{{package}}` in a file, and `PACKAGE` in its path, becomes what `names` has for it. Raises KeyError for a template
    that asks for a name that is not there, and ValueError where two of the kinds have the same file.
    """
    found: dict[str, str] = {}
    for kind in kinds:
        folder = TEMPLATES / kind
        for template in folder.rglob(f"*{SUFFIX}"):
            path = template.relative_to(folder).as_posix().removesuffix(SUFFIX)
            path = PLACE_IN_PATH.sub(lambda place: names[place[0].lower()], path)
            if path in found:
                raise ValueError(f"two templates make {path}: {', '.join(kinds)}")
            found[path] = PLACE.sub(lambda place: names[place[1]], template.read_text(encoding="utf-8"))
    return dict(sorted(found.items()))
