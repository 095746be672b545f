"""What kind of thing an expression makes, told from how it is written."""

from __future__ import annotations

import ast
import os
import re
from typing import TYPE_CHECKING, Final

from meristem.checking.summary import ValueKind

if TYPE_CHECKING:
    from meristem.checking.names import NameScope

DISPLAYS: Final = (ast.Dict, ast.List, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MUTATING: Final = _words(
    """
    append appendleft extend extendleft insert add update setdefault pop popleft popitem remove discard clear sort
    reverse rotate subtract move_to_end put put_nowait difference_update intersection_update
    symmetric_difference_update __setitem__ __delitem__
    """
)
"""The methods by which collections change."""
FIRST_ARGUMENT: Final = _words(
    """
    next heapq.heappush heapq.heappop heapq.heapify heapq.heapreplace heapq.heappushpop bisect.insort
    bisect.insort_left bisect.insort_right random.shuffle operator.setitem operator.delitem
    """
)
"""The functions that change what they are given first."""
CACHING: Final = _words("lru_cache cache cached cachedmethod alru_cache memoize")
_KINDS: Final = {
    ValueKind.MUTABLE: """
        list dict set bytearray deque defaultdict Counter OrderedDict ChainMap WeakValueDictionary WeakKeyDictionary
        WeakSet array SimpleNamespace
        """,
    ValueKind.CONTEXT: "ContextVar local",
    ValueKind.COUNTER: "itertools.count itertools.cycle iter",
    ValueKind.LOCK: """
        Lock RLock Semaphore BoundedSemaphore Condition Barrier Queue SimpleQueue LifoQueue PriorityQueue
        asyncio.Event threading.Event
        """,
    ValueKind.ENGINE: """
        create_engine create_async_engine create_pool sqlite3.connect psycopg.connect redis.Redis redis.from_url
        redis.asyncio.Redis MongoClient
        """,
    ValueKind.SESSION: """
        Session AsyncSession ClientSession sessionmaker async_sessionmaker scoped_session async_scoped_session
        httpx.Client httpx.AsyncClient
        """,
    ValueKind.CACHE: "TTLCache LRUCache LFUCache FIFOCache RRCache TLRUCache Cache SimpleCache",
    ValueKind.TABLE: "sqlalchemy.Table sqlalchemy.schema.Table",
    ValueKind.METADATA: "MetaData",
}
"""What is made by calling something of this name, which is a whole path, a builtin, or the last name of a path."""
_BY_NAME: Final = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_PATHS: Final = frozenset({"pathlib.Path", "pathlib.PurePath", "pathlib.PosixPath"})
_OF_STATEMENTS: Final = re.compile(
    r"\s*(select|insert|update|delete|with|replace|alter|create|drop|truncate|pragma|begin)\b", re.IGNORECASE
)
_NAME: Final = r"((?:[\"'`\[]?\w+[\"'`\]]?\s*\.\s*)?[\"'`\[]?\w+)"
_EXISTING: Final = r"(?:if\s+(?:not\s+)?exists\s+)?"
_TABLES: Final = re.compile(rf"\b(?:from|join|into|update|table)\s+{_EXISTING}{_NAME}", re.IGNORECASE)
_CREATED: Final = re.compile(rf"\bcreate\s+(?:temp\w*\s+)?table\s+{_EXISTING}{_NAME}", re.IGNORECASE)


def kind_of(value: ast.expr | None, scope: NameScope) -> ValueKind:
    """The kind of what an expression makes."""
    if isinstance(value, DISPLAYS):
        return ValueKind.MUTABLE
    if isinstance(value, ast.Call):
        callee = scope.callee(value.func)
        return _BY_NAME.get(callee) or _known(callee) or ValueKind.INSTANCE
    if isinstance(value, ast.Name | ast.Attribute) and scope.origin(value):
        return ValueKind.ALIAS
    # What is neither written as a collection nor made by a call is taken for constant: a number, a text, a tuple.
    return ValueKind.CONSTANT


def _known(callee: str) -> ValueKind | None:
    # By its last name only where what is called comes from a package: `Session` may be a name of the system's own.
    module, _, name = callee.rpartition(".")
    return _BY_NAME.get(name) if module else None


def caching(decorator: ast.expr, scope: NameScope) -> str:
    """The path of a decorator that keeps the results of its function; empty for another."""
    path = scope.callee(decorator.func if isinstance(decorator, ast.Call) else decorator)
    module, _, name = path.rpartition(".")
    return path if module and name in CACHING else ""


def constant_path(node: ast.expr | None, scope: NameScope) -> str:
    """The path that is written in an expression; empty where it is not constant."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return os.path.normpath(node.value)
    if isinstance(node, ast.Call) and node.args and scope.callee(node.func) in _PATHS:
        # One part that varies and the whole does: two files are the same only where nothing is left open.
        parts = [constant_path(each, scope) for each in node.args]
        return os.path.normpath("/".join(parts)) if all(parts) else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        left, right = constant_path(node.left, scope), constant_path(node.right, scope)
        return os.path.normpath(f"{left}/{right}") if left and right else ""
    return ""


def tables_in(text: str) -> dict[str, bool]:
    """The names of the tables in statements of SQL, and whether each is created; none where a text is no statement."""
    # Prose has "from" and "into" as well: only a text that begins as a statement does is one.
    if not _OF_STATEMENTS.match(text):
        return {}
    created = {_bare(each) for each in _CREATED.findall(text)}
    return {name: name in created for name in map(_bare, _TABLES.findall(text))}


def _bare(name: str) -> str:
    # Without its schema: of two services in one database each may have written it, or not.
    return name.rpartition(".")[2].strip(" \"'`[]")
