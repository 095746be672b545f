"""The statements of a module's body: which of them run as it is imported, what each binds and what it evaluates."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from meristem.checking.names import matched


def top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run as a module is imported, those of its `if`, `try`, `with` and loops too."""
    for statement in body:
        if isinstance(statement, ast.If) and _for_types(statement.test):
            # Never run, but annotations name what they import: so the names count, and no module is loaded by them.
            yield from (each for each in statement.body if isinstance(each, ast.Import | ast.ImportFrom))
            yield from top_level(statement.orelse)
            continue
        yield statement
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            # Every branch counts: which one runs is known only where it does.
            inner = [getattr(statement, each, []) for each in ("body", "orelse", "finalbody")]
            inner += [handler.body for handler in getattr(statement, "handlers", [])]
            for each in inner:
                yield from top_level(each)


def _for_types(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")
    return name == "TYPE_CHECKING"


def bound(statement: ast.stmt) -> list[tuple[str, ast.expr | None]]:
    """The names that a statement binds by itself, and to what."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [(statement.name, None)]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [(statement.target.id, statement.value)]
    if isinstance(statement, ast.Assign):
        return [each for target in statement.targets for each in matched(target, statement.value)]
    # `type Name = …` by its name: the class of that node is not there before Python 3.12.
    type_alias = getattr(statement, "name", None) if type(statement).__name__ == "TypeAlias" else None
    return [(type_alias.id, None)] if isinstance(type_alias, ast.Name) else []


def heads(statement: ast.stmt) -> Iterator[ast.expr]:
    """What a compound statement evaluates itself; its bodies are statements of their own."""
    for each in ("test", "iter"):
        if isinstance(found := getattr(statement, each, None), ast.expr):
            yield found
    yield from (each.context_expr for each in getattr(statement, "items", []))


def typed_only(tree: ast.Module) -> set[ast.stmt]:
    """The imports that only type checkers see."""
    tests = [node for node in tree.body if isinstance(node, ast.If) and _for_types(node.test)]
    return {each for node in tests for each in node.body}
