"""Reads one module into its summary, by its source alone."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

from meristem.checking.definitions import binding_of, class_attributes
from meristem.checking.file_access import file_use
from meristem.checking.module_body import bound, heads, top_level, typed_only
from meristem.checking.names import NameScope, function_scope, own_nodes
from meristem.checking.summary import Access, Binding, Import, Summary, TableName, Use, ValueKind
from meristem.checking.values import FIRST_ARGUMENT, MUTATING, tables_in
from meristem.errors import ConfigurationError

if TYPE_CHECKING:
    from meristem.checking.modules import Module
    from meristem.checking.names import Function

SYSTEM: Final = frozenset({"meristem.System", "meristem.system.system.System"})
IMPORTING: Final = frozenset({"importlib.import_module", "__import__", "importlib.__import__"})
_SECOND: Final = frozenset({"create_index", "drop_index", "create_unique_constraint", "create_foreign_key"})
"""Alembic's operations that name the table second."""


def summary_of(module: Module) -> Summary:
    """Read a module; raises ConfigurationError for one that nests too deeply."""
    reader = Reader(module)
    try:
        # Twice: a function may use a name that is bound below it.
        for statement in top_level(module.tree.body):
            reader.define(statement)
        for statement in top_level(module.tree.body):
            reader.read(statement)
    except RecursionError:
        raise ConfigurationError(f"{module.path} nests too deeply to be read; take it out of the package") from None
    return reader.summary


class Reader(ast.NodeVisitor):
    """Walks a module once for the names that it binds, and once for what its definitions do."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.summary = Summary(module.name, module.test)
        self.scope = NameScope({})
        self.by = ""
        self.typed = typed_only(module.tree)

    def define(self, statement: ast.stmt) -> None:
        """Take up the names that a statement binds."""
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for name, target in self.targets(statement).items():
                self.scope.names[name] = target
                self.summary.bindings[name] = Binding(name, statement.lineno, ValueKind.ALIAS, target)
            if isinstance(statement, ast.ImportFrom) and statement.names[0].name == "*":
                self.summary.stars.append(self.module.absolute(statement.module, statement.level))
                # A name that is bound nowhere is then taken for one that the star brought.
                self.scope.starred = self.module.name
            return
        for name, value in bound(statement):
            path = f"{self.module.name}.{name}"
            made = binding_of(name, path, statement, value, self.scope)
            known = self.summary.bindings.get(name)
            # Of two assignments the one that says more counts: `cache = None` may stand before its dict.
            if known is None or known.kind in (ValueKind.CONSTANT, ValueKind.INSTANCE):
                self.summary.bindings[name] = made
            self.scope.names[name] = path

    def targets(self, node: ast.Import | ast.ImportFrom) -> dict[str, str]:
        """The names that an import binds, and what each stands for."""
        if isinstance(node, ast.Import):
            return {
                each.asname or (top := each.name.partition(".")[0]): each.name if each.asname else top
                for each in node.names
            }
        base = self.module.absolute(node.module, node.level)
        return {each.asname or each.name: f"{base}.{each.name}" for each in node.names if each.name != "*"}

    def read(self, statement: ast.stmt) -> None:
        """Take up what a statement of the module's body does."""
        if isinstance(statement, ast.Import | ast.ImportFrom):
            if statement not in self.typed:
                self.visit(statement)
            return
        names = [name for name, _ in bound(statement)]
        self.by = names[0] if len(names) == 1 else ""
        if isinstance(statement, ast.If | ast.Try | ast.With | ast.For | ast.While):
            for head in heads(statement):
                self.visit(head)
        else:
            self.visit(statement)

    def visit_Import(self, node: ast.Import) -> None:
        self.summary.imports += [Import(each.name, node.lineno, whole=True) for each in node.names]

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self.module.absolute(node.module, node.level)
        for each in node.names:
            self.summary.imports.append(Import(base if each.name == "*" else f"{base}.{each.name}", node.lineno))

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for each in (*node.decorator_list, *node.args.defaults, *(d for d in node.args.kw_defaults if d is not None)):
            self.visit(each)
        self.within(node, self.scope, None)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self.within(node, self.scope, None)

    def within(self, function: Function, parent: NameScope, instance: str | None) -> None:
        """Read a function's body in a scope of its own; a method's first parameter is the `instance`."""
        # A default was read outside: it is made once, as the function is defined.
        outer = self.scope
        self.scope = self.scope_of(function, parent, instance)
        for each in [function.body] if isinstance(function, ast.Lambda) else function.body:
            self.visit(each)
        self.scope = outer

    def scope_of(self, function: Function, parent: NameScope, instance: str | None) -> NameScope:
        """The scope of a function."""
        body = [] if isinstance(function, ast.Lambda) else function.body
        nodes = [node for statement in body for node in own_nodes(statement)]
        imports: dict[str, str] = {}
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imports |= self.targets(node)
        first = next((each.arg for each in (*function.args.posonlyargs, *function.args.args)), None)
        return function_scope(function, parent, imports, {first: instance} if first and instance else {})

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for head in (*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)):
            self.visit(head)
        outer, path = self.scope, f"{self.module.name}.{node.name}" if self.by == node.name else None
        # A class in a function is another one at each call: nobody reaches it by a path.
        body = NameScope({}, outer)
        methods = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
        around = NameScope({}, outer)  # a method sees the names around its class, not those in it
        scopes = {each.name: self.scope_of(each, around, first_argument(each, path)) for each in methods}
        # What one method sets on `self` another one uses, so all of them are looked at before any is read.
        around.attributes = class_attributes(methods, scopes)
        for each in node.body:
            if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
                for default in (*each.decorator_list, *each.args.defaults):
                    self.visit(default)
                self.within(each, around, first_argument(each, path))
            else:
                self.scope = body
                self.visit(each)
                body.names |= {name: None for name, _ in bound(each)}
                self.scope = outer

    def use(self, node: ast.expr, access: Access, attribute: str = "") -> None:
        """Note that what an expression stands for is used."""
        target = self.scope.origin(node)
        if target:
            self.summary.uses.append(Use(self.by, target, node.lineno, access, attribute))

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Load):
            self.use(node, Access.READ)
        elif node.id in self.scope.globals:
            self.summary.uses.append(Use(self.by, f"{self.module.name}.{node.id}", node.lineno, Access.REBIND))

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.use(node.value, Access.ATTRIBUTE, node.attr)
            self.visit(node.value)
            return
        self.summary.attributes.add(node.attr)
        if self.scope.origin(node):
            self.use(node, Access.READ)
        else:
            self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self.use(node.value, Access.ITEM)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self.visit(node.target)
        if node.value is not None:
            self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        callee = self.scope.callee(node.func)
        # By the name of the method alone: the type of what it is called on can't be told from the source.
        if isinstance(node.func, ast.Attribute) and node.func.attr in MUTATING:
            self.use(node.func.value, Access.METHOD)
        if callee in FIRST_ARGUMENT and node.args:
            self.use(node.args[0], Access.METHOD)
        if callee in ("setattr", "delattr") and len(node.args) > 1:
            self.use(node.args[0], Access.ATTRIBUTE, _text(node.args[1]) or "?")
        if callee in IMPORTING and node.args and _text(node.args[0]):
            self.summary.imports.append(Import(self._dynamic(node), node.lineno, whole=True, dynamic=True))
        if callee in SYSTEM:
            self.summary.makes_system = True
        opened = file_use(node, self.by, self.scope)
        if opened is not None:
            self.summary.files.append(opened)
        self._named_table(node, callee)
        # What is passed on may be mutated there: where that is found out, the parameter is known by its place.
        for number, each in enumerate(node.args):
            self.use(each, Access.PASSED, f"{callee}#{number}")
        for keyword in node.keywords:
            self.use(keyword.value, Access.PASSED, f"{callee}#{keyword.arg}")
        self.generic_visit(node)

    def _dynamic(self, node: ast.Call) -> str:
        name = _text(node.args[0])
        level = len(name) - len(name.lstrip("."))
        return self.module.absolute(name[level:] or None, level) if level else name

    def _named_table(self, node: ast.Call, callee: str) -> None:
        """Tables that are named by a text: a foreign key, SQLAlchemy's `table()`, an operation of a migration."""
        name = callee.rpartition(".")[2]
        texts = [_text(each) for each in node.args[:3]]
        if callee.startswith("alembic.op."):
            found = texts[1:3] if name == "create_foreign_key" else texts[1:2] if name in _SECOND else texts[:1]
        elif name == "ForeignKey" and texts:
            # `ForeignKey("shop.orders.id")`: schema, table and column.
            found = [texts[0].rpartition(".")[0].rpartition(".")[2]]
        elif callee in ("sqlalchemy.table", "sqlalchemy.sql.table"):
            found = texts[:1]
        else:
            return
        self.summary.tables += [TableName(self.by, node.lineno, each) for each in found if each]

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring is no statement
            self.visit(node.value)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._statement(node.value, node.lineno)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        # A `?` for each value: a table that is named by one stays unknown, the others don't.
        self._statement("".join(_text(each) or "?" for each in node.values), node.lineno)
        for each in node.values:
            if isinstance(each, ast.FormattedValue):
                self.visit(each.value)

    def _statement(self, text: str, line: int) -> None:
        # A test may name what it tests in a text: a path of REST, a topic, a command.
        if self.summary.test:
            self.summary.words |= set(re.findall(r"\w+", text))
        self.summary.tables += [TableName(self.by, line, name, made) for name, made in tables_in(text).items()]


def first_argument(method: ast.FunctionDef | ast.AsyncFunctionDef, path: str | None) -> str | None:
    """What a method's first parameter is: an instance of its class, the class itself, or neither."""
    decorators = {each.id for each in method.decorator_list if isinstance(each, ast.Name)}
    if path is None or "staticmethod" in decorators:
        return None
    return path if "classmethod" in decorators or method.name == "__init_subclass__" else f"{path}()"


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
