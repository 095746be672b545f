"""The source files of a system: every module of its packages, and the single files that they import."""

from __future__ import annotations

import ast
import importlib.util
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from meristem.errors import ConfigurationError

OWN_DISTRIBUTION: Final = ("pyproject.toml", "setup.py", "setup.cfg", "pyvenv.cfg")
"""A folder with one of these below a package is installed by itself: it is none of the system's."""

TESTS: Final = frozenset({"tests", "test"})


class Module(msgspec.Struct, frozen=True):
    """A source file and the name by which it is imported; `package` where it is an `__init__.py`."""

    name: str
    path: Path
    tree: ast.Module
    package: bool

    @property
    def test(self) -> bool:
        """Whether it is part of a test suite, which is not there when the system runs."""
        name = self.path.stem
        return (
            bool(TESTS & {*self.name.split(".")})
            or name.startswith("test_")
            or name.endswith("_test")
            or name == "conftest"
        )

    def absolute(self, module: str | None, level: int) -> str:
        """The full name of what `from ..module import` names in this module."""
        if level == 0:
            return module or ""
        around = self.name.split(".")
        kept = around[: len(around) - level + (1 if self.package else 0)]
        return ".".join([*kept, module] if module else kept)


def place_of(top: str, root: Path) -> Path | None:
    """The folder or file of a top-level package or module; None for one that has no source here."""
    for folder in (root / "src", root):
        if (folder / top).is_dir():
            return folder / top
        if (folder / f"{top}.py").is_file():
            return folder / f"{top}.py"
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    file = spec.origin if spec is not None else None
    if folders or file is None or not file.endswith(".py"):
        return Path(folders[0]) if folders else None
    return Path(file)


def read_modules(names: Iterable[str], root: Path) -> dict[str, Module]:
    """The modules of the top-level packages around `names`, the project's tests, and what of `root` these import."""
    found: dict[str, Module] = {}
    waiting = list(dict.fromkeys((*(name.partition(".")[0] for name in names), *_tests(root))))
    known = set(waiting)
    while waiting:
        top = waiting.pop(0)
        place = place_of(top, root)
        for module in _below(top, place) if place is not None else ():
            found[module.name] = module
            for name in _imported_tops(module.tree) - known:
                known.add(name)
                if _in_project(name, root):
                    waiting.append(name)
    return found


def _in_project(top: str, root: Path) -> bool:
    """Whether a name is a file or folder of the project itself, and no distribution of its own."""
    folder = next((each / top for each in (root / "src", root) if (each / top).is_dir()), None)
    if folder is not None:
        return any(folder.rglob("*.py")) and not _is_distribution(folder)
    return any((each / f"{top}.py").is_file() for each in (root / "src", root))


def _tests(root: Path) -> Iterator[str]:
    """The tests that stand beside the packages of a project."""
    yield from (name for name in sorted(TESTS) if _in_project(name, root))
    yield from (each.stem for each in sorted(root.glob("test_*.py")))


def _is_distribution(folder: Path) -> bool:
    return any((folder / each).exists() for each in OWN_DISTRIBUTION)


def _below(top: str, place: Path) -> Iterator[Module]:
    if place.is_file():
        yield _read(top, place, package=False)
        return
    for folder, inside, files in os.walk(place):
        here = Path(folder)
        inside[:] = sorted(
            each
            for each in inside
            if not each.startswith(".") and each != "__pycache__" and not _is_distribution(here / each)
        )
        around = (top, *here.relative_to(place).parts)
        for file in sorted(files):
            if file.endswith(".py") and not file.startswith("."):
                package = file == "__init__.py"
                yield _read(".".join(around if package else (*around, file[:-3])), here / file, package=package)


def _read(name: str, path: Path, *, package: bool) -> Module:
    try:
        return Module(name, path, ast.parse(path.read_bytes(), str(path)), package)
    except SyntaxError as error:
        raise ConfigurationError(f"{path}:{error.lineno}: {error.msg}; mend it, then check again") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None


def _imported_tops(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {each.name.partition(".")[0] for each in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module.partition(".")[0])
    return found
