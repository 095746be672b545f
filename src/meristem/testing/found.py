"""How other processes find the system that a test runs: by its name in a module, or by a module that is made for it."""

from __future__ import annotations

import os
import sys
import sysconfig
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

import msgspec

from meristem.errors import MisuseError
from meristem.system.beside import path_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from meristem.system.beside import App
    from meristem.system.system import System

WRITTEN: Final = "system_of_a_test"
HOW: Final = 'assign it in a module, or name it by where it is, e.g. "shop.system:system"'


class Source(msgspec.Struct, frozen=True):
    """The text of a module whose `system` is a test's own, which no module names."""

    text: str

    def write(self, folder: Path) -> str:
        """Write the module into a folder, and give the name of the system in it."""
        file = folder / f"{WRITTEN}.py"
        file.write_text(self.text, encoding="utf-8")
        return f"{file}:system"


def found_by(system: System | str) -> str | Source:
    """By what other processes find a system; raises MisuseError where they can't, with the remedy."""
    return name_of(system) or _written(system)  # type: ignore[arg-type]  # a text is its own name


def name_of(system: System | str) -> str | None:
    """The name of a system in a module, best in one that is no test; None where it has none."""
    if isinstance(system, str):
        return system
    modules = [each for each in list(sys.modules.values()) if isinstance(each, ModuleType)]
    # One that is no test's first: a process that imports a test's module needs all that the test imports.
    names = [
        (Path(file).name.startswith(("test_", "conftest")), f"{file}:{name}")
        for module in modules
        for file in [str(vars(module).get("__file__"))]
        if file.endswith(".py") and module.__name__ != "__main__"
        for name, value in list(vars(module).items())
        if value is system
    ]
    return min(names)[1] if names else None


def own_path() -> Iterator[str]:
    """The folders from which the test imports, but for those that belong to its interpreter: others have their own."""
    standard = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    ours = (*standard, sys.prefix + os.sep + "lib", sys.base_prefix + os.sep + "lib")
    return (os.path.abspath(each) for each in sys.path if not each.startswith(ours))  # noqa: PTH100 - links kept


def _written(system: System) -> Source:
    """A module that makes the same system out of parts that have names; MisuseError for one that has none."""
    services = [each if isinstance(each, str) else _name(each) for each in system.services]
    given: dict[str, str] = {"services": repr(services)}
    if system.apps:
        for app in system.apps:
            if not isinstance(app.target, str):
                raise _nameless(f"its app {app.name!r} is an object")
        given["apps"] = _listed(repr(_with_texts(each)) for each in system.apps)
    if system.programs:
        given["programs"] = _listed(
            repr(msgspec.structs.replace(each, folder=path_text(each.folder), environment=dict(each.environment)))
            for each in system.programs
        )
    if system.authenticate is not None:
        given["authenticate"] = _loaded(system.authenticate)
    for field in ("middleware", "outgoing"):
        if functions := getattr(system, field):
            given[field] = _listed(map(_loaded, functions))
    if system.external:
        outside = (f"load_object({_name(contract)!r}): {address!r}" for contract, address in system.external.items())
        given["external"] = f"{{{', '.join(outside)}}}"
    keywords = "".join(f"    {name}={value},\n" for name, value in given.items())
    return Source(
        f'"""Made for a test: its system, which no module names."""\n\n'
        "from meristem import App, Program, System\n"
        "from meristem.config.project import load_object\n\n"
        f"system = System(\n    {system.name!r},\n{keywords}    api={system.api!r},\n)\n"
    )


def _with_texts(app: App) -> App:
    return msgspec.structs.replace(
        app,
        folder=path_text(app.folder),
        python=path_text(app.python),
        requirements=path_text(app.requirements),
        middleware=[each if isinstance(each, str) else _name(each) for each in app.middleware],
    )


def _listed(items: Iterable[str]) -> str:
    return f"[{', '.join(items)}]"


def _loaded(function: Any) -> str:
    return f"load_object({_name(function)!r})"


def _name(part: Any) -> str:
    """The name of a class or function by which another process imports it."""
    module, name = getattr(part, "__module__", ""), getattr(part, "__qualname__", "")
    shown = name or repr(part)
    holder: Any = sys.modules.get(module)
    for each in name.split("."):
        holder = getattr(holder, each, None)
    if holder is not part or module == "__main__":
        raise _nameless(f"{shown} is no name of a module's")
    top = module.partition(".")[0]
    spec, here = PathFinder.find_spec(top), getattr(sys.modules.get(top), "__file__", None)
    # As pytest can import a file that is on nobody's path, and two of one name.
    if spec is None or spec.origin != here:
        raise _nameless(f"other processes can't import {module}, in which {shown} is")
    return f"{module}:{name}"


def _nameless(why: str) -> MisuseError:
    return MisuseError(f"other processes find a system by its name, and this one has none, as {why}: {HOW}")
