"""The texts of contracts for other languages: docstrings of classes, and those that stand below a field."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from functools import cache
from itertools import pairwise
from typing import Any

from meristem.contracts.wiretypes import struct_of


def doc_of(type_: Any) -> str:
    """The docstring of a message's or enum's own class."""
    cls = struct_of(type_) or type_
    text = vars(cls).get("__doc__") if isinstance(cls, type) else None
    return inspect.cleandoc(text) if text else ""


def module_doc(module: str) -> str:
    """The docstring of a module."""
    return inspect.cleandoc(getattr(sys.modules.get(module), "__doc__", None) or "")


@cache
def field_docs(type_: Any) -> dict[str, str]:
    """The texts below the fields of a class, as its source has them; empty where there is no source."""
    cls = struct_of(type_) or type_
    if not isinstance(cls, type):
        return {}
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError):
        return {}
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    found = {}
    for statement, following in pairwise(body):
        target = statement.target if isinstance(statement, ast.AnnAssign) else None
        if isinstance(statement, ast.Assign):
            target = statement.targets[0]  # type: ignore[assignment]
        text = following.value.value if _is_constant(following) else None  # type: ignore[attr-defined]
        if isinstance(target, ast.Name) and isinstance(text, str):
            found[target.id] = inspect.cleandoc(text)
    return found


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def is_deprecated(doc: str) -> bool:
    """Whether a text says so as the comments of `.proto` files do."""
    return doc.lower().startswith("deprecated")
