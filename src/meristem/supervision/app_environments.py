"""The interpreter of an app that has one of its own, or packages: where Meristem is not there, a server is added."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.supervision import virtual_environment as venv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meristem.supervision.environments import Environments
    from meristem.system.plan import ProcessPlan

SERVERS: Final = ("uvicorn", "websockets", "waitress")
"""What serves ASGI and WSGI apps there: of each the release that still supports that Python."""

OLDEST: Final = (3, 7)


class AppInterpreter(msgspec.Struct, frozen=True):
    """An interpreter, and the folder of the server that is added to it; None where it has Meristem."""

    python: str
    server: str | None = None


class AppEnvironments:
    """Gives the interpreter of an app that lives apart; its environment is made once, as that of a process is."""

    def __init__(self, environments: Environments, root: Path) -> None:
        self._environments = environments
        self._root = root

    def of(self, app: ProcessPlan) -> AppInterpreter:
        """The interpreter for the process of an app.

        Raises ConfigurationError for an interpreter or a file that is not there, OperationError when the environment
        cannot be made.
        """
        base = self._environments.own if app.python is None else self._environments.found(self._below(app.python))
        python = (
            base if app.requirements is None else self._with_packages(app.name, base, self._root / app.requirements)
        )
        is_ours = (app.python, app.requirements) == (None, None) or self._holds_meristem(python)
        return AppInterpreter(python) if is_ours else AppInterpreter(python, str(self._server(base)))

    def _below(self, python: str) -> str:
        # Not resolved: a link is what tells a virtual environment.
        return os.path.abspath(self._root / python) if "/" in python else python  # noqa: PTH100

    def _holds_meristem(self, python: str) -> bool:
        known = venv.probe(python, OLDEST)
        return known.has_meristem and known.release >= venv.OLDEST

    def _with_packages(self, name: str, base: str, requirements: Path) -> str:
        """The interpreter of an environment that holds what a file of requirements lists, and nothing of ours."""
        key = _key(base, *venv.contents(requirements).values())
        place = self._environments.folder / f"{name}-{key}"
        if not place.exists():
            self._environments.make(place, lambda beside, lock: _environment(beside, base, requirements, lock))
        return str(place / "bin" / "python")

    def _server(self, base: str) -> Path:
        """The folder of the servers, for all apps of one interpreter: no app's own packages are touched for them."""
        place = self._environments.folder / f"server-{_key(base, *(each.encode() for each in SERVERS))}"
        if not place.exists():
            self._environments.make(place, lambda beside, lock: _server(beside, base, lock))
        return place


def _key(base: str, *others: bytes) -> str:
    told = [venv.probe(base, OLDEST).version, os.path.realpath(base)]
    return hashlib.sha256("\n".join(told).encode() + b"\n" + b"\n".join(others)).hexdigest()[:12]


def _environment(place: Path, base: str, requirements: Path, lock: int) -> Sequence[Callable[[], None]]:
    create, install = venv.tools(base, str(place / "bin" / "python"), OLDEST)
    what, file = f"the environment of {requirements}", requirements.absolute()
    return [
        lambda: venv.run([*create, str(place)], what, lock),
        lambda: venv.run([*install, "-r", str(file)], what, lock, file.parent),
    ]


def _server(place: Path, base: str, lock: int) -> Sequence[Callable[[], None]]:
    _, install = venv.tools(base, base, OLDEST)
    return [lambda: venv.run([*install, "--target", str(place), *SERVERS], f"the server for {base}", lock)]
