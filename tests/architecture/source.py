"""The package as the tests of its architecture see it: its files, what each imports, and on which line."""

import ast
from functools import cache
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).parents[2] / "src" / "meristem"
ROOT = SOURCE.name


class Import(NamedTuple):
    """One import of the package's own: the modules' dotted names, and where it stands."""

    source: str
    target: str
    path: Path
    line: int

    def __str__(self) -> str:
        return f"{self.path.relative_to(SOURCE.parents[1])}:{self.line}: {self.source} imports {self.target}"


def files() -> dict[str, Path]:
    """Every module of the package by its dotted name; a folder's own name is its `__init__`."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = files()


def imports_of(module: str) -> list[Import]:
    """What a module imports of the package, type-only imports and those inside of functions counted.

    `from a.b import c` names the module `a.b.c` where there is one, else `a.b`.
    """
    path, found = MODULES[module], []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the import in full"
            names = [f"{node.module}.{each.name}" for each in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == ROOT:
                target = name if name in MODULES else name.rpartition(".")[0] or ROOT
                found.append(Import(module, target, path, node.lineno))
    return list(dict.fromkeys(found))


@cache
def imports() -> list[Import]:
    """What every module imports; read when first asked for: most workers collect the tests that ask, and run others."""
    return [each for module in MODULES for each in imports_of(module)]


def room_of(module: str) -> str:
    """The first folder below the package, or the file that stands there itself; "" for the package's root."""
    return [*module.split("."), ""][1]


def circles(edges: set[tuple[str, str]]) -> list[list[str]]:
    """The groups of nodes that reach each other (strongly connected, more than one member), each sorted."""
    following: dict[str, set[str]] = {}
    for source, target in edges:
        following.setdefault(source, set()).add(target)
    reached = {node: _reached(node, following) for node in following}
    groups = {
        tuple(sorted({node, *(each for each in reached[node] if node in reached.get(each, ()))}))
        for node in following
        if node in reached[node]
    }
    return sorted(list(each) for each in groups if len(each) > 1)


def _reached(start: str, following: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    open_ends = [start]
    while open_ends:
        for each in following.get(open_ends.pop(), ()):
            if each not in found:
                found.add(each)
                open_ends.append(each)
    return found
