"""Which file a call opens, and whether it writes to it."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from meristem.checking.summary import FileUse
from meristem.checking.values import constant_path

if TYPE_CHECKING:
    from meristem.checking.names import NameScope

OPENING: Final = frozenset({"open", "io.open", "aiofiles.open", "gzip.open", "codecs.open"})
KEEPING: Final = frozenset({"sqlite3.connect", "aiosqlite.connect", "shelve.open", "dbm.open"})
READS: Final = frozenset({"read_text", "read_bytes"})
WRITES: Final = frozenset({"write_text", "write_bytes", "touch", "unlink"})


def file_use(node: ast.Call, by: str, scope: NameScope) -> FileUse | None:
    """The file that a call reads or writes, None for one that opens none, or none whose path can be told."""
    keywords = {each.arg: each.value for each in node.keywords}
    given, callee = [*node.args, None, None], scope.callee(node.func)
    place: ast.expr | None
    if callee in OPENING:
        place, writes = keywords.get("file") or given[0], _writes(keywords.get("mode") or given[1])
    elif callee in KEEPING:
        place, writes = given[0], True
    elif isinstance(node.func, ast.Attribute) and node.func.attr in READS | WRITES | {"open"}:
        place = node.func.value
        writes = node.func.attr in WRITES or _writes(keywords.get("mode") or given[0])
    else:
        return None
    path, (name, below) = constant_path(place, scope), _below(place, scope)
    known = (path and path != ":memory:") or name
    return FileUse(by, node.lineno, writes, path, name, below) if known else None


def _below(place: ast.expr | None, scope: NameScope) -> tuple[str, str]:
    """The name that holds a path, and the constant path below it: `FOLDER / "sales.csv"`."""
    if isinstance(place, ast.BinOp) and isinstance(place.op, ast.Div):
        name, below = _below(place.left, scope)
        right = constant_path(place.right, scope)
        return (name, f"{below}/{right}".lstrip("/")) if name and right else ("", "")
    return (scope.origin(place) or "", "") if place is not None else ("", "")


def _writes(mode: ast.expr | None) -> bool:
    return isinstance(mode, ast.Constant) and bool(set(str(mode.value)) & set("wax+"))
