"""Which systems run from a project's folder: commands find them without importing anything of them."""

from __future__ import annotations

from pathlib import Path

import click

from meristem.config.project import check_there, find
from meristem.errors import ConfigurationError, OperationError
from meristem.hints import meant
from meristem.system.state_directory import HOME, StateDirectory
from meristem.system.system_status import SystemStatus

NOT_SUPERVISED = "no supervised system runs from here; start one with: meristem run --placement FILE"


def running_systems(target: str | None) -> list[tuple[StateDirectory, SystemStatus]]:
    """What runs from the project's folder: it need not be imported to be asked about."""
    return [(state, running) for state in known_systems(target) if (running := state.running()) is not None]


def known_systems(target: str | None) -> list[StateDirectory]:
    """What has ever run from the project's folder; an app may have put a folder of its own there, too."""
    found = [StateDirectory.at(path) for path in sorted(_homes(target).glob("*")) if path.is_dir()]
    return [each for each in found if each.has_run]


def supervised_system(target: str | None, name: str | None) -> tuple[StateDirectory, SystemStatus]:
    """The one system that is meant of those that run from here under a supervisor."""
    found = [(state, running) for state, running in running_systems(target) if not running.alone]
    return one_of(found, name, NOT_SUPERVISED, "supervised system")


def one_of(
    found: list[tuple[StateDirectory, SystemStatus]], name: str | None, none: str, kind: str = "system"
) -> tuple[StateDirectory, SystemStatus]:
    """The one that is meant; raises OperationError with the text `none` where there is none at all."""
    known = {state.path.name: (state, running) for state, running in found}
    if not known:
        raise OperationError(none)
    names = ", ".join(known)
    if name is None and len(known) > 1:
        raise click.UsageError(f"several systems run from here: give one with --name ({names})")
    if name is not None and name not in known:
        hint = meant(name, known, f"there is {names}")
        raise click.UsageError(f"no {kind} {name!r} runs from here; {hint}")
    return known[name or names]


def _homes(target: str | None) -> Path:
    """The folder in which the systems of a project keep their state."""
    here = Path.cwd()
    try:
        reference = find(target, here)
    except ConfigurationError:
        # Nothing says which system: then it is what was run from this folder.
        if target is None and (here / HOME).is_dir():
            return here / HOME
        raise
    check_there(reference)
    return reference.root / HOME
