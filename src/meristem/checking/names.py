"""Which thing a name in the source stands for, as a dotted path: `shop.common.prices.RATES`."""

from __future__ import annotations

import ast
import builtins
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
INNER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class NameScope:
    """The names of one body; a name without a path is a local value. `()` after a class's path is an instance of it."""

    def __init__(self, names: Mapping[str, str | None], parent: NameScope | None = None) -> None:
        self.names = dict(names)
        self.parent = parent
        self.globals: frozenset[str] = frozenset()
        self.attributes: Mapping[str, str] = {}
        """What attributes of `self` were set to, where that has a path."""
        self.starred = ""
        """The module whose names these are, where `import *` brings it some that it doesn't write."""

    def lookup(self, name: str) -> str | None:
        """The path of a name, None for a local value and for a builtin."""
        # Declared `global`, the name is the module's, however it is bound here.
        if name in self.names and name not in self.globals:
            return self.names[name]
        if self.parent is not None:
            return self.parent.lookup(name)
        # The module's own path, not that of the starred one: who follows it looks into both.
        return f"{self.starred}.{name}" if self.starred and not hasattr(builtins, name) else None

    def knows(self, name: str) -> bool:
        """Whether a name is bound at all: what is not is a builtin."""
        return name in self.names or (self.parent is not None and self.parent.knows(name))

    def take(self, name: str, value: ast.expr | None) -> None:
        """Let a name stand for what it is set to."""
        self.names[name] = self.origin(value) if value is not None else None

    def origin(self, node: ast.expr) -> str | None:
        """The path of what an expression stands for; an item's path is that of its collection."""
        if isinstance(node, ast.Name):
            return self.lookup(node.id)
        if isinstance(node, ast.Subscript):
            return self.origin(node.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "type" and node.args:
            # `type(self).cache` is the class's attribute, and so all its instances'.
            return (self.origin(node.args[0]) or "").removesuffix("()") or None
        holder = self.origin(node.value) if isinstance(node, ast.Attribute) else None
        return self._member(holder, node.attr) if holder and isinstance(node, ast.Attribute) else None

    def _member(self, holder: str, name: str) -> str:
        if not holder.endswith("()"):
            return f"{holder}.{name}"
        # An instance's attribute is what a method set it to, else that of its class.
        return holder.removesuffix("()") if name == "__class__" else self.held(name) or f"{holder}.{name}"

    def held(self, name: str) -> str | None:
        """What an attribute of `self` was set to."""
        return self.attributes.get(name) or (None if self.parent is None else self.parent.held(name))

    def callee(self, node: ast.expr) -> str:
        """The path of what is called; a builtin's is its name, and what cannot be told is empty."""
        if isinstance(node, ast.Name) and not self.knows(node.id):
            return node.id
        return self.origin(node) or ""


def function_scope(
    function: Function, parent: NameScope, imports: Mapping[str, str], instance: Mapping[str, str]
) -> NameScope:
    """The scope of a function: its parameters and variables; one that is set once to what has a path is an alias."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    parameters = [each.arg for each in every if each is not None]
    scope = NameScope(dict.fromkeys(parameters), parent)
    body = [function.body] if isinstance(function, ast.Lambda) else function.body
    nodes = [node for statement in body for node in own_nodes(statement)]
    scope.globals = frozenset(name for node in nodes if isinstance(node, ast.Global) for name in node.names)
    # One that is bound twice may stand for either: it stands for nothing, and no finding hangs on a guess.
    bound = Counter(name for node in nodes for name in _binds(node))
    scope.names |= {name: None for name in bound if name not in scope.globals}
    scope.names |= {**imports} | {name: path for name, path in instance.items() if name not in bound}
    for name, value in (each for node in nodes for each in _aliases(node)):
        if bound[name] == 1 and name not in parameters:
            scope.take(name, value)
    return scope


def _aliases(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """The names that a node sets to something whole, or to what is in it."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from matched(target, node.value)
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
        yield from matched(node.target, node.value)
    elif isinstance(node, ast.For | ast.AsyncFor):
        # Of a loop the items come from the collection, so that mutating one of them is seen.
        yield from matched(node.target, node.iter)


def matched(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """Each name of an assignment's target, and the value that it is given."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        # As far as they pair: a star on the left takes an unknown number.
        for each, its in zip(target.elts, value.elts, strict=False):
            yield from matched(each, its)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a body without those of the functions and classes in it, which are there themselves."""
    waiting = [node]
    while waiting:
        each = waiting.pop()
        yield each
        if not isinstance(each, INNER):
            waiting += reversed(list(ast.iter_child_nodes(each)))


def _binds(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
        yield node.id
    elif isinstance(node, ast.Import | ast.ImportFrom):
        for each in node.names:
            yield each.asname or each.name.partition(".")[0]
    elif isinstance(node, NAMED) and node.name:
        yield node.name
