"""With what each process of a plan is run: an interpreter that has Meristem, or how a foreign app is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meristem.config.project import folders_of
from meristem.errors import ConfigurationError
from meristem.supervision.app_environments import AppEnvironments
from meristem.supervision.foreign_app import ForeignApp
from meristem.system.placement_errors import SAID

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from meristem.supervision.environments import Environments
    from meristem.system.placement import Placement
    from meristem.system.plan import Plan


class Interpreters(NamedTuple):
    """The interpreter of each process that runs `meristem process`, and the others: apps without Meristem."""

    pythons: Mapping[str, str]
    foreign: Mapping[str, ForeignApp]


def interpreters(plan: Plan, placement: Placement, root: Path, environments: Environments) -> Interpreters:
    """Find, and where need be make, what the processes of a plan are run with.

    Raises ConfigurationError for an interpreter, folder or file that is not there, OperationError when an environment
    cannot be made.
    """
    pythons = environments.of_processes(plan)
    foreign: dict[str, ForeignApp] = {}
    apart = AppEnvironments(environments, root)
    for app in plan.apps:
        if not app.is_apart:
            continue
        folder = root / (app.folder or "")
        if not folder.is_dir():
            raise ConfigurationError(f"app {app.name!r}: there is no folder {folder}")
        process = plan.process_of(app.name)
        try:
            found = apart.of(process)
        except ConfigurationError as error:
            raise ConfigurationError(f"app {app.name!r}: {str(error).removeprefix(SAID)}") from None
        if found.server is None:
            pythons[app.name] = found.python
        else:
            threads = placement.limits_of(process.name).app_threads
            paths = tuple(map(str, folders_of(root)))
            foreign[app.name] = ForeignApp(found.python, found.server, app.target, app.mount, folder, paths, threads)
    return Interpreters(pythons, foreign)
