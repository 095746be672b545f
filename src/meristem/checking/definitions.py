"""What a definition in a module is: a class, a function or a value, with what matters of each."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from meristem.checking.names import NameScope, own_nodes
from meristem.checking.summary import Binding, ClassFacts, ValueKind
from meristem.checking.values import MUTATING, caching, constant_path, kind_of

MAKING: Final = frozenset({"__init__", "__new__", "__post_init__", "__attrs_post_init__", "__enter__", "__aenter__"})
Method = ast.FunctionDef | ast.AsyncFunctionDef


def binding_of(name: str, path: str, statement: ast.stmt, value: ast.expr | None, scope: NameScope) -> Binding:
    """What a name of a module is bound to by a statement."""
    line = statement.lineno
    if isinstance(statement, ast.ClassDef):
        facts = class_facts(statement, scope)
        return Binding(name, line, ValueKind.CLASS, cls=facts, text=_table_name(statement))
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        cached_by = next(filter(None, (caching(each, scope) for each in statement.decorator_list)), "")
        default, changes = changed_default(statement, scope), changed_parameters(statement)
        return Binding(name, line, ValueKind.FUNCTION, cached_by=cached_by, default=default, changes=changes)
    kind = kind_of(value, scope)
    made = Binding(name, line, kind, text=constant_path(value, scope))
    if kind is ValueKind.ALIAS and value is not None:
        made.origin = scope.origin(value) or ""
        made.kind = ValueKind.CONSTANT if made.origin == path else ValueKind.ALIAS
    elif isinstance(value, ast.Call):
        made.origin = scope.callee(value.func)
        made.cached_by = caching(value.func, scope)
        if kind is ValueKind.TABLE and len(value.args) > 1:
            first = value.args[0]
            made.text = str(first.value) if isinstance(first, ast.Constant) else ""
            made.metadata = scope.origin(value.args[1]) or ""
    return made


def class_facts(node: ast.ClassDef, scope: NameScope) -> ClassFacts:
    """What matters of a class."""
    keywords = {each.arg: each.value for each in node.keywords if each.arg}
    package = keywords.get("package")
    methods = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return ClassFacts(
        bases=tuple(filter(None, (scope.callee(each) for each in node.bases))),
        tables=(scope.origin(keywords["tables"]) or "") if "tables" in keywords else "",
        package=str(package.value) if isinstance(package, ast.Constant) else "",
        mutable=dict(_collections(node, scope)),
        own={name for method in methods for name in _set_on_self(method)},
        methods={each.name: each.lineno for each in methods},
        changing=next((each.name for each in methods if each.name not in MAKING and _changes_self(each)), ""),
    )


def class_attributes(methods: Iterable[Method], scopes: Mapping[str, NameScope]) -> dict[str, str]:
    """What attributes of `self` are aliases of: those that are set, once, to what has a path."""
    found: dict[str, list[str | None]] = {}
    for method in methods:
        for node in _nodes(method):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if _of_self(target, method) and isinstance(target, ast.Attribute):
                        plain = isinstance(node.value, ast.Name | ast.Attribute)
                        found.setdefault(target.attr, []).append(
                            scopes[method.name].origin(node.value) if plain else None
                        )
    return {name: only for name, (only, *others) in found.items() if only and not others and "()" not in only}


def changed_default(function: Method, scope: NameScope) -> str:
    """The parameter whose default is a collection that the function changes or hands out; empty for none."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = list(zip(positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
    mutable = {each.arg for each, default in pairs if kind_of(default, scope) is ValueKind.MUTABLE}
    for node in _nodes(function):
        changed = _changed(node) or (node.value if isinstance(node, ast.Return) else None)
        if isinstance(changed, ast.Name) and changed.id in mutable:
            return changed.id
    return ""


def changed_parameters(function: Method) -> tuple[str, ...]:
    """The parameters whose content a function changes, by name and, as digits, by position."""
    found = {each.id for node in _nodes(function) if isinstance(each := _changed(node), ast.Name)}
    positions = enumerate((*function.args.posonlyargs, *function.args.args))
    return (*sorted(found), *(str(number) for number, each in positions if each.arg in found))


def _changed(node: ast.AST) -> ast.expr | None:
    """What a node changes the content of."""
    if isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
        return node.value
    if isinstance(node, ast.AugAssign):
        return node.target
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING:
        return node.func.value
    return None


def _collections(node: ast.ClassDef, scope: NameScope) -> Iterator[tuple[str, int]]:
    """The collections among a class's own attributes."""
    # With an annotation it may be the default of a field, which dataclasses, messages and the like copy.
    plain = not node.decorator_list and not node.keywords and not node.bases
    for each in node.body:
        if isinstance(each, ast.Assign) and kind_of(each.value, scope) is ValueKind.MUTABLE:
            yield from ((target.id, each.lineno) for target in each.targets if isinstance(target, ast.Name))
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value is not None:
            shared = plain or "ClassVar" in ast.unparse(each.annotation)
            if shared and kind_of(each.value, scope) is ValueKind.MUTABLE:
                yield each.target.id, each.lineno


def _set_on_self(method: Method) -> Iterator[str]:
    for node in _nodes(method):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _of_self(node, method):
            # `self.seen += …` needs what is there already
            yield node.attr


def _changes_self(method: Method) -> bool:
    for node in _nodes(method):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store | ast.Del) and _of_self(node, method):
            return True
        changed = _changed(node)
        if changed is not None and _of_self(changed, method):
            return True
    return False


def _of_self(node: ast.expr, method: Method) -> bool:
    """Whether an expression begins with the method's first parameter."""
    first = next((each.arg for each in (*method.args.posonlyargs, *method.args.args)), None)
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
        if isinstance(node, ast.Name):
            return node.id == first
    return False


def _nodes(function: Method) -> Iterator[ast.AST]:
    return (node for statement in function.body for node in own_nodes(statement))


def _table_name(node: ast.ClassDef) -> str:
    """The table of an ORM's class."""
    for each in node.body:
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant):
            (target, *_) = each.targets
            if isinstance(target, ast.Name) and target.id == "__tablename__":
                return str(each.value.value)
    return ""
