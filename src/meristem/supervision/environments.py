"""Interpreters of single processes, and the virtual environments that hold the packages of one process alone."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import ConfigurationError, OperationError

try:
    import fcntl
except ImportError:  # on Windows, where two may make the same at once
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from meristem.services.service import Progress
    from meristem.system.placement import Placement

PYTHON: Final = "MERISTEM_PYTHON"  # who supervises tells with which interpreter it was started
PLACE: Final = "MERISTEM_ENVIRONMENTS"  # another folder for them, such as one that a build server keeps
REMEMBERED: Final = 12  # last lines of a tool, to be shown when it fails
PROBE: Final = """
import importlib.util, json, sys, sysconfig
held = importlib.util.find_spec("meristem") is not None
print(json.dumps([sys.version, held, sysconfig.get_path("purelib")]))
"""


class Interpreter(msgspec.Struct, frozen=True, array_like=True):
    """What an interpreter says of itself: its version, whether it holds Meristem, where its packages are."""

    version: str
    has_meristem: bool
    packages: str


class Environments:
    """Gives the interpreter of a process; what has packages of its own gets a virtual environment, made once.

    An environment is kept below `.meristem` under the interpreter, the text of the requirements and how Meristem is
    installed here. It is made beside its place and moved there when it is whole, by one process at a time.
    """

    def __init__(self, root: Path, environment: Mapping[str, str], progress: Progress) -> None:
        self.folder = Path(environment.get(PLACE) or root / ".meristem" / "environments").absolute()
        self._own = environment.get(PYTHON) or sys.executable
        self._progress = progress
        self._found: dict[tuple[str | None, str | None], str] = {}

    def python(self, python: str | None, requirements: str | None) -> str:
        """The interpreter's path for a process that names these.

        Raises ConfigurationError for an interpreter or file that is not there, OperationError when the environment
        cannot be made.
        """
        if (python, requirements) not in self._found:
            base = self._own if python is None else _which(python)
            given = python is not None or requirements is not None
            self._found[python, requirements] = self._prepared(base, requirements) if given else base
        return self._found[python, requirements]

    def of_processes(self, placement: Placement) -> dict[str, str]:
        """The interpreter of each process of a placement; raises as `python` does."""
        tables = {name: placement.process(name) for name in placement.processes}
        return {name: self.python(each.python, each.requirements) for name, each in tables.items()}

    def _prepared(self, base: str, requirements: str | None) -> str:
        known = probe(base)
        if requirements is None:
            if not known.has_meristem:
                raise ConfigurationError(
                    f"{base} has no Meristem: install it and the project there, or give the process a file of "
                    f"`requirements`, then an environment is made for it"
                )
            return base
        wanted = Path(requirements)
        place = self.folder / f"{wanted.stem}-{_key(known.version, base, wanted)}"
        python = place / "bin" / "python"
        if not python.exists():
            self._make(place, base, wanted)
        return str(python)

    def _make(self, place: Path, base: str, requirements: Path) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OperationError(f"cannot make {self.folder}: {error.strerror}; set {PLACE} to a folder") from None
        with locked(place.with_suffix(".lock")):
            if place.exists():
                return  # another process has made it meanwhile
            beside = place.with_suffix(".new")
            shutil.rmtree(beside, ignore_errors=True)  # of one that was killed
            try:
                steps = _steps(beside, base, requirements)
                for step in self._progress.track(steps, f"environment of {requirements.name}", len(steps)):
                    step()
                beside.rename(place)
            except BaseException:
                shutil.rmtree(beside, ignore_errors=True)
                raise


def _steps(place: Path, base: str, requirements: Path) -> Sequence[Callable[[], None]]:
    """What makes an environment: its folder, its packages, what Meristem needs, and Meristem itself."""
    python = str(place / "bin" / "python")
    uv = shutil.which("uv")
    create = [uv, "venv", "--quiet", "--python", base] if uv else [base, "-m", "venv"]
    install = [uv, "pip", "install", "--python", python] if uv else [python, "-m", "pip", "install", *QUIETLY]
    what = f"the environment of {requirements}"

    def framework() -> None:
        packages = Path(probe(python).packages)
        constraints = place / "meristem.txt"
        constraints.write_text("".join(f"{each}\n" for each in _versions_here(packages)))
        _run([*install, "-c", str(constraints), *_needed()], what)
        for distribution in _from_folders():
            _copy(distribution, packages)

    return [
        lambda: _run([*create, str(place)], what),
        lambda: _run([*install, "-r", str(requirements)], what),
        framework,
        lambda: _run([python, "-c", "import meristem"], what),
    ]


QUIETLY: Final = ("--quiet", "--disable-pip-version-check", "--no-input")


def _needed() -> list[str]:
    """What Meristem itself needs, without its extras."""
    requires = importlib.metadata.requires("meristem") or []
    return [each for each in requires if "extra ==" not in each]


def _versions_here(packages: Path) -> list[str]:
    """The versions that this interpreter has, of all that the environment does not have yet."""
    there = {_normal(each.name.partition("-")[0]) for each in packages.glob("*.dist-info")}
    here = {_normal(each.name): each.version for each in importlib.metadata.distributions()}
    return [f"{name}=={version}" for name, version in sorted(here.items()) if name not in there]


def _from_folders() -> list[importlib.metadata.Distribution]:
    """Meristem, and whatever else is installed here from a folder: no registry has it."""
    found = {_normal(each.name): each for each in importlib.metadata.distributions() if _is_from_folder(each)}
    return list(({"meristem": importlib.metadata.distribution("meristem")} | found).values())


def _is_from_folder(distribution: importlib.metadata.Distribution) -> bool:
    return "dir_info" in (distribution.read_text("direct_url.json") or "")


def _copy(distribution: importlib.metadata.Distribution, packages: Path) -> None:
    """Install a distribution as it is installed here: its files, or the path file that points to its folder."""
    for file in distribution.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:  # no scripts: they name another interpreter
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), target)


def _normal(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def _key(version: str, base: str, requirements: Path) -> str:
    """What an environment depends on, as a name: interpreter, requirements, and how Meristem is installed here."""
    own = [(each.name, each.version, each.read_text("RECORD")) for each in _from_folders()]
    told = [version, os.path.realpath(base), _text(requirements), *map(str, own)]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def _text(requirements: Path) -> str:
    """A file of requirements with the files that it names."""
    try:
        text = requirements.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot read the requirements {requirements}: {error.strerror}") from None
    named = [line.split(maxsplit=1) for line in text.splitlines()]
    others = [each[1] for each in named if len(each) == 2 and each[0] in ("-r", "--requirement", "-c", "--constraint")]
    return text + "".join(_text(requirements.parent / each.strip()) for each in others)


def _which(python: str) -> str:
    found = shutil.which(python)
    if found is None:
        place = f"{python} is no program" if "/" in python else f"there is no {python!r} in PATH"
        raise ConfigurationError(f"placement: python = {python!r}: {place}; install it, or give its path")
    return found


def probe(python: str) -> Interpreter:
    """Ask an interpreter about itself; raises ConfigurationError for what is none."""
    told = subprocess.run([python, "-c", PROBE], capture_output=True, text=True, check=False)  # noqa: S603 - named by the placement
    if told.returncode:
        last = told.stderr.strip().splitlines()[-1:] or [f"it ended with {told.returncode}"]
        raise ConfigurationError(f"placement: {python} is no Python that works: {last[0]}")
    return msgspec.json.decode(told.stdout, type=Interpreter)


def _run(command: Sequence[str], what: str) -> None:
    """Run a tool; raises OperationError with its last lines."""
    ended = subprocess.run(  # noqa: S603 - an interpreter or installer with fixed arguments
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if ended.returncode:
        tool = Path(command[0]).name if "pip" not in command else "pip"
        last = "\n  ".join(ended.stdout.strip().splitlines()[-REMEMBERED:])
        raise OperationError(f"cannot make {what}: {tool} ended with {ended.returncode}:\n  {last}")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Be the only process inside; the kernel frees the lock of one that is killed."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
