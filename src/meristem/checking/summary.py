"""What one module says of itself: the names it binds, what its definitions use and write, and what it imports."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class ValueKind(StrEnum):
    """What a module-level name is bound to, as far as it matters to whoever shares it."""

    ALIAS = "alias"
    FUNCTION = "function"
    CLASS = "class"
    CONSTANT = "constant"
    INSTANCE = "object"
    MUTABLE = "mutable collection"
    CONTEXT = "context variable"
    COUNTER = "iterator"
    ENGINE = "engine"
    SESSION = "session"
    CACHE = "cache"
    LOCK = "means of synchronisation"
    TABLE = "table"
    METADATA = "metadata"


BY_NATURE = frozenset(
    {ValueKind.CONTEXT, ValueKind.COUNTER, ValueKind.ENGINE, ValueKind.SESSION, ValueKind.CACHE, ValueKind.LOCK}
)
"""What changes as it is used, so that it needs no visible write."""


class Access(StrEnum):
    """What is done with something that was reached by its name."""

    READ = "read"
    ITEM = "item"
    METHOD = "method"  # one of those that change a collection
    PASSED = "passed"  # to a function, as `attribute` says: its path, and which argument
    ATTRIBUTE = "attribute"
    REBIND = "rebind"


class Use(msgspec.Struct, frozen=True):
    """A definition (`by`, empty for the module's body) uses `target`, a dotted path, in a line.

    With `attribute` that attribute of the target is what is written.
    """

    by: str
    target: str
    line: int
    access: Access = Access.READ
    attribute: str = ""


class ClassFacts(msgspec.Struct):
    """What matters of a class; dotted paths for bases and for its `tables=`."""

    bases: tuple[str, ...] = ()
    tables: str = ""
    package: str = ""
    mutable: dict[str, int] = {}
    """Attributes of the class itself that are collections, by line."""
    own: set[str] = set()
    """Attributes that its methods set on an instance."""
    methods: dict[str, int] = {}
    """The lines of its methods."""
    changing: str = ""
    """A method, other than those that make it, that changes its instance."""


class Binding(msgspec.Struct):
    """A module-level name; `origin` is what an alias or an import stands for, and what an object was made by."""

    name: str
    line: int
    kind: ValueKind
    origin: str = ""
    cls: ClassFacts | None = None
    cached_by: str = ""
    """The decorator by which a function keeps its results."""
    default: str = ""
    """A parameter whose mutable default the function changes or hands out."""
    changes: tuple[str, ...] = ()
    """The parameters whose content a function changes, by name and, as digits, by position."""
    text: str = ""
    """The name of a table, or the path that a constant holds."""
    metadata: str = ""


class Import(msgspec.Struct, frozen=True):
    """`target` is imported: a module if it is `whole`, else maybe a name in one; `dynamic` where a function does it."""

    target: str
    line: int
    whole: bool = False
    dynamic: bool = False


class FileUse(msgspec.Struct, frozen=True):
    """A file is opened: at a constant path, or at (or below) the one that `name`, a dotted path, holds."""

    by: str
    line: int
    writes: bool
    path: str = ""
    name: str = ""
    below: str = ""
    """The constant path below that of `name`."""


class TableName(msgspec.Struct, frozen=True):
    """A table is named in a text, maybe the one that creates it."""

    by: str
    line: int
    table: str
    created: bool = False


class Summary(msgspec.Struct):
    """A module, read."""

    name: str
    test: bool
    bindings: dict[str, Binding] = {}
    uses: list[Use] = []
    imports: list[Import] = []
    stars: list[str] = []
    """The modules of `from … import *`."""
    files: list[FileUse] = []
    tables: list[TableName] = []
    attributes: set[str] = set()
    """The names of all attributes that are read."""
    words: set[str] = set()
    """The words of a test's texts."""
    makes_system: bool = False
