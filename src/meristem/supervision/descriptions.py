"""Descriptions of services that a system names by text: made once, kept beside its state, renewed when old."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meristem.config.project import put_on_path
from meristem.errors import ConfigurationError
from meristem.private_files import make_folder, write_file
from meristem.supervision.environments import locked
from meristem.system.describing import Described
from meristem.system.description import name_of
from meristem.system.fingerprint import Fingerprint
from meristem.system.placement import REST
from meristem.system.plan import ServicePlan
from meristem.system.state_directory import DESCRIPTIONS, HOME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from meristem.supervision.environments import Environments
    from meristem.system.placement import Placement
    from meristem.system.placement_tables import ProcessTable
    from meristem.system.system import System


class Kept(msgspec.Struct, frozen=True):
    """A description, what it was read off, and by which interpreter."""

    service: ServicePlan
    python: str
    fingerprint: Fingerprint


class Descriptions:
    """The descriptions of one system's services, kept in a folder of its state.

    Where that folder cannot be written they are made anew each time. Without `environments` this process's own
    interpreter makes them. A description says the same whichever interpreter made it; that the one of its process
    can is checked unless `any_interpreter` will do. `environment` is what the processes will have.
    """

    def __init__(
        self,
        system: System,
        placement: Placement,
        root: Path,
        environments: Environments | None,
        *,
        environment: Mapping[str, str],
        any_interpreter: bool = False,
    ) -> None:
        self._system = system
        self._placement = placement
        self._root = root
        self._environments = environments
        self._environment = environment
        self._any_interpreter = any_interpreter
        self._folder = root / HOME / system.name / DESCRIPTIONS

    def all(self) -> Mapping[str, ServicePlan]:
        """The description of each service that is named by text, by that text.

        Those that are missing or old are made by the interpreter in which the service will live. Raises
        ConfigurationError that names service and interpreter when one cannot be imported there.
        """
        put_on_path(self._root)
        targets = [each for each in self._system.services if isinstance(each, str)]
        found, old = self._fresh(targets)
        if old:
            with self._alone():
                again, old = self._fresh(old)  # another process may have made them meanwhile
                found |= again
                for python, group in self._by_interpreter(old).items():
                    found |= self._make(python, group)
        return found

    def _fresh(self, targets: Iterable[str]) -> tuple[dict[str, ServicePlan], list[str]]:
        """What is kept and holds, and what is to be made."""
        known = {target: self._kept(target) for target in targets}
        fresh = {target: kept.service for target, kept in known.items() if kept is not None}
        return fresh, [target for target in known if target not in fresh]

    def _kept(self, target: str) -> Kept | None:
        try:
            kept = msgspec.json.decode(self._file(target).read_bytes(), type=Kept)
        except (OSError, msgspec.DecodeError):
            return None
        table = self._placement.table_of(kept.service.name)
        if not self._any_interpreter and kept.python != self._python(table):
            return None
        return kept if kept.fingerprint.holds(self._root) else None

    def _by_interpreter(self, targets: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for target in targets:
            found.setdefault(self._python(self._placement.table_of(name_of(target))), []).append(target)
        return found

    def _python(self, table: ProcessTable) -> str:
        if self._environments is None:
            return sys.executable
        return self._environments.python(table.python, table.requirements)

    def _make(self, python: str, targets: list[str]) -> dict[str, ServicePlan]:
        command = [python, "-m", "meristem.system.describing", str(self._root), *targets]
        ended = subprocess.run(  # noqa: S603 - an interpreter of the system's
            command,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C comes here alone, and ends it
            check=False,
        )
        if ended.returncode:
            raise ConfigurationError(
                f"{python} cannot describe {', '.join(targets)}: an import ended it with {ended.returncode}"
            )
        told = msgspec.json.decode(ended.stdout, type=Described)
        for target, problem in told.problems.items():
            raise ConfigurationError(
                f"the service {target} cannot be described by {python}: {problem}{self._misplaced()}"
            )
        for target, service in told.services.items():
            self._keep(target, Kept(service, python, told.fingerprint))
        return told.services

    def _misplaced(self) -> str:
        """What the placement names and the system does not have, so that a service was looked for in another process.

        The names of services that cannot be imported are told from their sources, so this is a hint beside an error.
        """
        system = self._system
        names = [name_of(each) if isinstance(each, str) else each.service_name for each in system.services]
        known = {*names, *(each.name for each in system.apps), REST}
        tables = [self._placement.process(each) for each in self._placement.processes]
        unknown = [part for each in tables for part in each.services if part not in known]
        return f"; the placement names {', '.join(unknown)}, which the system does not have" if unknown else ""

    def _keep(self, target: str, kept: Kept) -> None:
        file = self._file(target)
        written = file.with_suffix(".new")
        try:
            write_file(written, msgspec.json.encode(kept))
            written.replace(file)  # a reader sees the old or the new, never half of it
        except OSError:
            with contextlib.suppress(OSError):
                written.unlink(missing_ok=True)  # a part of it would take the room of a full disk

    def _file(self, target: str) -> Path:
        return self._folder / f"{target.replace(':', '.')}.json"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only one who makes descriptions; where nothing can be kept nobody else is disturbed."""
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):
                make_folder(self._folder)
                held.enter_context(locked(self._folder / "lock"))
            yield
