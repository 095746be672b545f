"""Which file a call opens, and whether it writes to it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from meristem.checking.summary import FileUse
from meristem.checking.values import constant_path

if TYPE_CHECKING:
    from meristem.checking.names import NameScope

OPENING: Final = frozenset({"open", "io.open", "aiofiles.open", "gzip.open", "codecs.open"})
READS: Final = frozenset({"read_text", "read_bytes"})
WRITES: Final = frozenset({"write_text", "write_bytes", "touch", "unlink"})


def file_use(node: ast.Call, by: str, scope: NameScope) -> FileUse | None:
    """The file that a call reads or writes, None for one that opens none, or none whose path can be told."""
    mode = next((each.value for each in node.keywords if each.arg == "mode"), None)
    if scope.callee(node.func) in OPENING and node.args:
        place, writes = node.args[0], _writes(mode or (node.args[1] if len(node.args) > 1 else None))
    elif isinstance(node.func, ast.Attribute) and node.func.attr in READS | WRITES:
        place, writes = node.func.value, node.func.attr in WRITES
    elif isinstance(node.func, ast.Attribute) and node.func.attr == "open":
        place, writes = node.func.value, _writes(mode or (node.args[0] if node.args else None))
    else:
        return None
    path, name = constant_path(place, scope), scope.origin(place) or ""
    return FileUse(by, node.lineno, writes, path, name) if path or name else None


def _writes(mode: ast.expr | None) -> bool:
    return isinstance(mode, ast.Constant) and bool(set(str(mode.value)) & set("wax+"))
