"""How a virtual environment is made: with `uv` where there is one, or else with `venv` and `pip`."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import ConfigurationError, OperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PATIENCE: Final = 60.0  # seconds in which an interpreter must have said what it is
QUIETLY: Final = ("--quiet", "--disable-pip-version-check", "--no-input")
NAMES_A_FILE: Final = re.compile(rb"^\s*(?:-[rc]\s*|--(?:requirement|constraint)[\s=]\s*)([^\s#]+)", re.MULTILINE)
REMEMBERED: Final = 12  # last lines of a tool, to be shown when it fails
OLDEST: Final = (3, 11)  # on which Meristem runs
# Its first lines run on any Python, so that one that is too old says so.
PROBE: Final = """
import json, sys, sysconfig
if sys.version_info < OLDEST:
    sys.exit("it is Python %d.%d, and {} or newer" % sys.version_info[:2])
import importlib.util
held = importlib.util.find_spec("meristem") is not None
has_pip = importlib.util.find_spec("pip") is not None
release = sys.version_info[:2]
print(json.dumps([sys.version, release, held, has_pip, sysconfig.get_path("purelib")]))
"""


class Interpreter(msgspec.Struct, frozen=True, array_like=True):
    """What an interpreter says of itself: its version, whether it holds Meristem, where its packages are."""

    version: str
    release: tuple[int, int]
    has_meristem: bool
    has_pip: bool
    packages: str


def probe(python: str, oldest: tuple[int, int] = OLDEST) -> Interpreter:
    """Ask an interpreter about itself; raises ConfigurationError for what is none, or older than `oldest`."""
    needs = f"{'Meristem' if oldest == OLDEST else 'an app'} needs {oldest[0]}.{oldest[1]}"
    code = PROBE.replace("{}", needs).replace("OLDEST", str(oldest))
    try:
        told = subprocess.run(  # noqa: S603 - named by the placement or an app
            [python, "-c", code],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"placement: {python} is no Python that works: {error}") from None
    if told.returncode:
        last = told.stderr.strip().splitlines()[-1:] or [f"it ended with {told.returncode}"]
        raise ConfigurationError(f"placement: {python} is no Python that works: {last[0]}")
    try:
        return msgspec.json.decode(told.stdout, type=Interpreter)
    except msgspec.DecodeError:
        raise ConfigurationError(f"placement: {python} is no Python: it does not answer as one") from None


def key(version: str, base: str, requirements: Path) -> str:
    """What an environment depends on, as a name: interpreter, requirements, and how Meristem is installed here."""
    own = [(each.name, each.version, each.read_text("RECORD")) for each in _from_folders()]
    told = [version, os.path.realpath(base), *map(str, own)]
    return hashlib.sha256("\n".join(told).encode() + b"\n".join(contents(requirements).values())).hexdigest()[:12]


def contents(requirements: Path) -> dict[Path, bytes]:
    """A file of requirements and the files that it names, each once; what has a URL is the installer's to read."""
    found: dict[Path, bytes] = {}
    wanted = [requirements]
    while wanted:
        file = wanted.pop(0)
        if file in found:
            continue
        try:
            found[file] = file.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"cannot read the requirements {file}: {error.strerror}") from None
        named = [os.fsdecode(each) for each in NAMES_A_FILE.findall(found[file])]
        wanted += [Path(os.path.normpath(file.parent / each)) for each in named if "://" not in each]
    return found


def steps(place: Path, base: str, requirements: Path, lock: int) -> Sequence[Callable[[], None]]:
    """What makes an environment: its folder, its packages, what Meristem needs, and Meristem itself.

    The tools inherit `lock`: should this process be killed, the next one waits for the tool that writes into `place`.
    """
    python = str(place / "bin" / "python")
    create, install = tools(base, python)
    what = f"the environment of {requirements}"

    def framework() -> None:
        packages = Path(probe(python).packages)
        constraints = place / "meristem.txt"
        constraints.write_text("".join(f"{each}\n" for each in _versions_here(packages)))
        run([*install, "-c", str(constraints), *_needed()], what, lock)
        for distribution in _from_folders():
            _copy(distribution, packages)

    return [
        lambda: run([*create, str(place)], what, lock),
        # In the file's own folder, from which `./packages/one.whl` in it is meant, wherever the run was started.
        lambda: run([*install, "-r", str(requirements.absolute())], what, lock, requirements.absolute().parent),
        framework,
        lambda: run([python, "-c", "import meristem"], what, lock),
    ]


def tools(base: str, python: str, oldest: tuple[int, int] = OLDEST) -> tuple[list[str], list[str]]:
    """The commands that create an environment and that install into it; its own pip is made only where none is.

    `-I` keeps modules of the folder they run in from taking the place of those that they need.
    """
    if uv := shutil.which("uv"):
        return [uv, "venv", "--quiet", "--python", base], [uv, "pip", "install", "--quiet", "--python", python]
    venv = [base, "-I", "-m", "venv"]
    if probe(base, oldest).has_pip:
        return [*venv, "--without-pip"], [base, "-I", "-m", "pip", "--python", python, "install", *QUIETLY]
    return venv, [python, "-I", "-m", "pip", "install", *QUIETLY]


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


def run(command: Sequence[str], what: str, lock: int, folder: Path | None = None) -> None:
    """Run a tool, in `folder` if one is given; raises OperationError with its last lines.

    It has a session of its own: it is ended with the tools that it runs itself, and asks no terminal for a password.
    """
    with subprocess.Popen(  # noqa: S603 - an interpreter or installer with fixed arguments
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        pass_fds=(lock,),
        start_new_session=True,
        cwd=folder,
    ) as tool:
        try:
            told, _ = tool.communicate()
        except BaseException:
            os.killpg(tool.pid, signal.SIGKILL)
            raise
    if tool.returncode:
        name = Path(command[0]).name if "pip" not in command else "pip"
        last = "\n  ".join(told.strip().splitlines()[-REMEMBERED:])
        raise OperationError(f"cannot make {what}: {name} ended with {tool.returncode}:\n  {last}")
