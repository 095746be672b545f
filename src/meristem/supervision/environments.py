"""Interpreters of single processes, and the virtual environments that hold the packages of one process alone."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError, OperationError
from meristem.private_files import make_folder
from meristem.system.state_directory import HOME

try:
    import fcntl
except ImportError:  # on Windows, where two may make the same at once
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from meristem.services.service import Progress
    from meristem.system.plan import Plan

PYTHON: Final = "MERISTEM_PYTHON"  # who supervises tells with which interpreter it was started
PLACE: Final = "MERISTEM_ENVIRONMENTS"  # another folder for them, such as one that a build server keeps


class Environments:
    """Gives the interpreter of a process; what has packages of its own gets a virtual environment, made once.

    An environment is kept below `.meristem` under the interpreter, the text of the requirements and how Meristem is
    installed here. It is made beside its place and moved there when it is whole, by one process at a time.
    """

    def __init__(self, root: Path, environment: Mapping[str, str], progress: Progress) -> None:
        self.folder = Path(environment.get(PLACE) or root / HOME / "environments").absolute()
        self.own = environment.get(PYTHON) or sys.executable
        self._progress = progress
        self._found: dict[tuple[str | None, str | None], str] = {}

    def python(self, python: str | None, requirements: str | None) -> str:
        """The interpreter's path for a process that names these.

        Raises ConfigurationError for an interpreter or file that is not there, OperationError when the environment
        cannot be made.
        """
        if (python, requirements) not in self._found:
            base = self.own if python is None else self.found(python)
            given = python is not None or requirements is not None
            self._found[python, requirements] = self._prepared(base, requirements) if given else base
        return self._found[python, requirements]

    def of_processes(self, plan: Plan) -> dict[str, str]:
        """The interpreter of each process of a plan that no app has for itself; raises as `python` does."""
        apart = {each.name for each in plan.apps if each.is_apart}
        return {
            each.name: self.python(each.python, each.requirements) for each in plan.processes if each.name not in apart
        }

    def _prepared(self, base: str, requirements: str | None) -> str:
        from meristem.supervision import virtual_environment as venv  # noqa: PLC0415 - most processes share theirs

        known = venv.probe(base)
        if requirements is None:
            if not known.has_meristem:
                raise ConfigurationError(
                    f"{base} has no Meristem: install it and the project there, or give the process a file of "
                    f"`requirements`, then an environment is made for it"
                )
            return base
        wanted = Path(requirements)
        place = self.folder / f"{wanted.stem}-{venv.key(known.version, base, wanted)}"
        python = place / "bin" / "python"
        if not python.exists():
            self.make(place, lambda beside, lock: venv.steps(beside, base, wanted, lock))
        return str(python)

    def found(self, python: str) -> str:
        """Where an interpreter is, by its path or by the name of one in `PATH`; raises ConfigurationError."""
        found = shutil.which(python)
        if found is None:
            place = f"{python} is no program" if "/" in python else f"there is no {python!r} in PATH"
            raise ConfigurationError(f"placement: python = {python!r}: {place}; install it, or give its path")
        return found

    def make(self, place: Path, steps_at: Callable[[Path, int], Sequence[Callable[[], None]]]) -> None:
        """Make an environment by steps that work on a folder beside its place, whole or not at all."""
        try:
            make_folder(self.folder)
            with locked(place.with_suffix(".lock"), self._progress) as lock:
                if not place.exists():  # or another process has made it meanwhile
                    self._make_beside(place, place.with_suffix(".new"), lock, steps_at)
        except OSError as error:
            raise OperationError.of_system(
                f"cannot make {place}: {error.strerror}; set {PLACE} to a folder with room", error
            ) from None

    def _make_beside(
        self, place: Path, beside: Path, lock: int, steps_at: Callable[[Path, int], Sequence[Callable[[], None]]]
    ) -> None:
        shutil.rmtree(beside, ignore_errors=True)  # of one that was killed
        try:
            steps = steps_at(beside, lock)
            for step in self._progress.track(steps, f"Making the environment {place.name}", len(steps)):
                step()
            beside.rename(place)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise


@contextlib.contextmanager
def locked(path: Path, progress: Progress | None = None) -> Iterator[int]:
    """Be the only process inside; the kernel frees the lock of one that is killed. `progress` shows a wait for another.

    Gives the lock's descriptor: a child that inherits it holds the lock until it has ended, too.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if fcntl is not None:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waits = [partial(fcntl.flock, descriptor, fcntl.LOCK_EX)]
                what = f"Waiting for another process that makes {path.stem}"
                for wait in waits if progress is None else progress.track(waits, what, 1):
                    wait()
        yield descriptor
    finally:
        os.close(descriptor)
