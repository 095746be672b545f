"""Finds the project's system: by `pkg.mod:attr`, by a file, or by `[tool.meristem]` of the nearest pyproject.toml."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import tomllib
import traceback
from collections.abc import Iterable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import msgspec

from meristem.config.source_names import names_in
from meristem.errors import ConfigurationError, MeristemError
from meristem.hints import meant

SOURCE: Final = "src"
"""The folder in a project's own from which its modules may be imported, too."""

HOW = (
    "name it, as by --system (`hotels.system:system` or `hello.py`), or write it into pyproject.toml:\n"
    '  [tool.meristem]\n  system = "hotels.system:system"'
)


class Reference(msgspec.Struct, frozen=True):
    """Where an object is: a module (or a file) and the attribute in it; `root` is the folder to import from.

    `origin` says who named it. Without an attribute the module itself is meant.
    """

    origin: str
    root: Path
    module: str | None = None
    file: Path | None = None
    attribute: str | None = None

    @property
    def path(self) -> str:
        """The dotted path of the object: `hotels.system.system`."""
        module = self.module or (self.file.stem if self.file is not None else "")
        return f"{module}.{self.attribute}" if self.attribute else module


def find(argument: str | None, directory: Path) -> Reference:
    """The reference an argument names, or else the one of the nearest pyproject.toml from `directory` upwards."""
    if argument is not None:
        return parse(argument, f"the argument {argument!r}", directory)
    path = nearest(directory)
    table = tool_table(path) if path is not None else {}
    if path is None or "system" not in table:
        where = (
            f"{path} has no `system` under [tool.meristem]" if path else f"no pyproject.toml in {directory} or above"
        )
        raise ConfigurationError(f"which system? {where}; {HOW}")
    system = table["system"]
    if not isinstance(system, str):
        raise ConfigurationError(f'{path}: `system` under [tool.meristem] must be text like "hotels.system:system"')
    return parse(system, str(path), path.parent)


def tool_table(path: Path) -> dict[str, Any]:
    """The table `[tool.meristem]` of a pyproject.toml; empty when it has none."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    table = content.get("tool", {}).get("meristem", {})
    if not isinstance(table, dict):
        raise ConfigurationError(f"{path}: tool.meristem must be a table: [tool.meristem]")
    return table


def nearest(directory: Path) -> Path | None:
    """The nearest pyproject.toml that speaks of Meristem, or the nearest at all."""
    candidates = [folder / "pyproject.toml" for folder in (directory, *directory.parents)]
    found = [path for path in candidates if path.is_file()]
    return next((path for path in found if tool_table(path)), found[0] if found else None)


def parse(text: str, origin: str, root: Path) -> Reference:
    """Read `pkg.mod:attr`, `folder/hello.py` or `hello.py:attr`; raises ConfigurationError for anything else."""
    target, _, attribute = text.partition(":")
    if len(target) == 1 and attribute[:1] in ("\\", "/"):  # a drive letter
        target, _, attribute = text.rpartition(":") if text.count(":") > 1 else (text, "", "")
    if target.endswith(".py"):
        file = (root / target).resolve()
        if not file.is_file():
            raise ConfigurationError(f"{origin}: there is no file {file}")
        if (file.parent / "__init__.py").is_file():
            return _in_package(origin, file, attribute or None)
        return Reference(origin, file.parent, file=file, attribute=attribute or None)
    if not target or not all(part.isidentifier() for part in target.split(".")):
        raise ConfigurationError(f"{origin}: {text!r} is neither `package.module:attribute` nor a Python file; {HOW}")
    return Reference(origin, root, module=target, attribute=attribute or None)


def _in_package(origin: str, file: Path, attribute: str | None) -> Reference:
    """A file of a package is a module of it, else its own imports would not be found."""
    top = file.parent
    while (top.parent / "__init__.py").is_file():
        top = top.parent
    parts = file.relative_to(top.parent).with_suffix("").parts
    if parts[-1] == "__init__":
        parts = parts[:-1]
    root = top.parent.parent if top.parent.name == SOURCE else top.parent
    return Reference(origin, root, module=".".join(parts), attribute=attribute)


def check_there(reference: Reference) -> None:
    """Raise ConfigurationError where nothing stands for a reference; nothing of the project is imported."""
    file = reference.file if reference.module is None else _file_of(reference)
    first, _, _ = (reference.attribute or "").partition(".")
    if first and file is not None and (names := names_in(file)) is not None and first not in names:
        raise ConfigurationError(_not_held(reference, first, names))


def _file_of(reference: Reference) -> Path | None:
    """The source of a reference's module, None where it has none; ConfigurationError where there is no module."""
    put_on_path(reference.root)
    folders: Sequence[str] | None = None
    known, origin = "", None
    for part in (reference.module or "").split("."):
        known = f"{known}.{part}".lstrip(".")
        spec = PathFinder.find_spec(known, folders)
        if spec is None:
            raise ConfigurationError(_not_found(reference, known))
        folders, origin = list(spec.submodule_search_locations or ()), spec.origin
    return Path(origin) if origin is not None and origin.endswith(".py") else None


def load_object(reference: Reference | str) -> Any:
    """Import what a reference, or text like one (`hotels.web:app`), names.

    Raises ConfigurationError when the module or attribute is not there, or when the module fails as it is imported.
    """
    if isinstance(reference, str):
        reference = parse(reference, repr(reference), Path.cwd())
    module = load_module(reference)
    found: Any = module
    for name in (reference.attribute or "").split("."):
        if name:
            found = _attribute(found, name, reference)
    return found


def folders_of(root: Path) -> tuple[Path, ...]:
    """The folders from which a project's modules are imported: its own, and `src` in it."""
    return tuple(folder for folder in (root, root / SOURCE) if folder.is_dir())


def put_on_path(root: Path) -> None:
    """Let modules of a project's folder, and of `src` in it, be imported."""
    for folder in reversed(folders_of(root)):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))


def load_module(reference: Reference) -> ModuleType:
    """Import the module of a reference, with its folder (and `src` in it) on the import path."""
    put_on_path(reference.root)
    name = reference.module or ""
    try:
        return importlib.import_module(name) if reference.file is None else _load_file(reference.file)
    except MeristemError:
        raise
    # A module that ends the process while it is imported must be named, not obeyed.
    except (Exception, SystemExit) as error:
        missing = (error.name or "") if isinstance(error, ModuleNotFoundError) else ""
        # Only where the named module, or a package around it, is missing: else it is there and imports what is not.
        if reference.file is None and missing and f"{name}.".startswith(f"{missing}."):
            raise ConfigurationError(_not_found(reference, missing)) from None
        raise ConfigurationError(f"{reference.origin}: {explained(error)}") from error


def explained(error: BaseException) -> str:
    """An error of a module that fails as it is imported, with the project's lines that led to it, and a remedy."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    remedy = "mend it and run again"
    if isinstance(error, ModuleNotFoundError) and "." not in (error.name or "."):
        remedy = f"install it for {sys.executable}, or give its process a file of `requirements` that has it"
    return f"{type(error).__name__}: {text}{places(error)}; {remedy}"


def places(error: BaseException) -> str:
    """The project's lines that led to an error, in brackets, with the text of the last; empty where none did."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if is_own(each.filename)]
    found, text = [f"{each.filename}:{each.lineno}" for each in frames], frames[-1].line if frames else None
    if isinstance(error, SyntaxError):  # no line of that file has run
        found, text = [*found, f"{error.filename}:{error.lineno}"], (error.text or "").strip()
    if not found:
        return ""
    return f" ({' → '.join(found)}: {text})" if text else f" ({' → '.join(found)})"


def is_own(filename: str) -> bool:
    """Whether a file is the project's: neither ours, nor the standard library's, nor an installed package's."""
    path = Path(filename)
    elsewhere = {"site-packages", "dist-packages"} & set(path.parts) or path.is_relative_to(
        Path(traceback.__file__).parent
    )
    # What was compiled elsewhere, or has no file, has no absolute path.
    return path.is_absolute() and not (elsewhere or path.is_relative_to(Path(__file__).parents[1]))


def _load_file(file: Path) -> ModuleType:
    name = file.stem
    known = sys.modules.get(name)
    if known is not None:
        if getattr(known, "__file__", None) and Path(str(known.__file__)).resolve() == file:
            return known
        raise ConfigurationError(f"{file} has the name of the module {name!r}, which is already imported; rename it")
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # annotations of its classes are resolved through here
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _not_found(reference: Reference, missing: str) -> str:
    folder = reference.root.joinpath(*missing.split(".")[:-1])
    names = [path.stem for path in folder.glob("*") if path.suffix == ".py" or (path / "__init__.py").is_file()]
    hint = meant(missing.rpartition(".")[2], names, "is the project installed, or run from its folder?")
    return f"{reference.origin} names the module {reference.module!r}, but there is no {missing!r} in {folder}; {hint}"


def _attribute(holder: Any, name: str, reference: Reference) -> Any:
    try:
        return getattr(holder, name)
    except AttributeError:
        names = vars(holder) if hasattr(holder, "__dict__") else ()
        raise ConfigurationError(_not_held(reference, name, names)) from None


def _not_held(reference: Reference, name: str, names: Iterable[str]) -> str:
    public = [each for each in names if not each.startswith("_")]
    hint = meant(name, public, "write the name of the variable that holds it")
    return f"{reference.origin}: {reference.module or reference.file} has no {name!r}; {hint}"
