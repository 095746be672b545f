"""A pattern that ends a text ends it: `$` alone lets a line feed follow, which no header of a mail may have."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_no_pattern_lets_a_line_feed_follow() -> None:
    found = [place for folder in ("src", "examples") for place in _open_ends(REPOSITORY / folder)]
    assert not found, f"write $(?!\\n) in place of $ at the end: {found}"


def _open_ends(folder: Path) -> Iterator[str]:
    for file in folder.rglob("*.py"):
        text = file.read_text("utf-8")
        if "Meta" not in text or "pattern=" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.keyword) and node.arg == "pattern" and _ending(node.value).endswith("$"):
                yield f"{file.relative_to(REPOSITORY)}:{node.value.lineno}"


def _ending(value: ast.expr) -> str:
    """The last letters of a text that stands there as it is."""
    last = value.values[-1] if isinstance(value, ast.JoinedStr) else value
    return last.value if isinstance(last, ast.Constant) and isinstance(last.value, str) else ""
