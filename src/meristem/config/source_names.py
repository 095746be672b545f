"""The names that a module's source gives: what can be told of it without an import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

OPEN: Final = frozenset({"globals", "vars", "locals", "exec", "eval", "setattr", "__getattr__", "__dict__"})
"""Who writes one of these may give a module names that its source does not show."""
SCOPES: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


def names_in(file: Path) -> frozenset[str] | None:
    """The names that a module has once it is imported; None where its source does not tell."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):  # it is half written: whatever runs may have all of them
        return None
    nodes = list(ast.walk(tree))
    words = {each.id for each in nodes if isinstance(each, ast.Name)}
    words |= {each.attr for each in nodes if isinstance(each, ast.Attribute)}
    words |= {each.name for each in nodes if isinstance(each, ast.FunctionDef)}
    if words & OPEN:
        return None
    found = {name for statement in tree.body for name in _bound(statement)}
    found |= {name for each in nodes if isinstance(each, ast.Global) for name in each.names}
    return None if "*" in found else frozenset(found)


def _bound(node: ast.AST) -> Iterator[str]:
    """The names that a statement of a module binds, also within its `if`s, loops and `with`s."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.alias):
        yield node.asname or node.name.partition(".")[0]
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
        yield node.name
    elif isinstance(node, ast.MatchMapping) and node.rest:
        yield node.rest
    if not isinstance(node, SCOPES):
        for child in ast.iter_child_nodes(node):
            yield from _bound(child)
