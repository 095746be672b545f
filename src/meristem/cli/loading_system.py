"""Finds the system that a command is about."""

from __future__ import annotations

import os
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import click
import msgspec

from meristem.cli.progress import TerminalProgress
from meristem.config.project import Reference, find, load_object
from meristem.errors import ConfigurationError
from meristem.services.service import Service, snake
from meristem.supervision.descriptions import Descriptions
from meristem.supervision.environments import PYTHON, Environments
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_errors import read_from
from meristem.system.plan import Plan, ServicePlan
from meristem.system.state_directory import StateDirectory
from meristem.system.system import System

if TYPE_CHECKING:
    from meristem.contracts.contract import Contract


def system_option(verb: Any) -> Any:
    """`--system`, by which every verb is told of which system it is to speak."""
    text = "The system: a file, or module:attribute; by default the project's."
    return click.option("--system", "target", help=text)(verb)


def system_argument(verb: Any) -> Any:
    """`[SYSTEM]`, for verbs that have no other argument: short for `--system`."""

    @wraps(verb)
    def named(*arguments: Any, target: str | None, named_target: str | None, **options: Any) -> Any:
        if target is not None and named_target is not None:
            raise click.UsageError(f"two systems are named, {named_target} and {target}; name one")
        return verb(*arguments, target=target if named_target is None else named_target, **options)

    return click.argument("named_target", required=False, metavar="[SYSTEM]")(system_option(named))


placement_option = click.option(
    "--placement",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The file that says where each part lives.",
)
log_level_option = click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def load_blueprint(
    target: str | None, placement: Path | None = None, *, as_it_runs: bool = False
) -> tuple[Blueprint, Path]:
    """The system, understood and placed, and the folder of its project; what it names by text is not imported.

    `as_it_runs`: where no placement is given, by that of the system that runs from here. It says where databases are,
    and those of another placement would be looked into, copied or changed in their stead.
    """
    system, reference = load_system(target)
    if placement is None and as_it_runs:
        placement = _placement_of_run(StateDirectory(reference.root, system.name))
    placed = Placement.read(placement) if placement else Placement()
    environments = Environments(reference.root, os.environ, TerminalProgress())
    with read_from(placement):
        described = Descriptions(system, placed, reference.root, environments, environment=os.environ).all()
        return Blueprint(system, placed, described=described, directory=reference.root), reference.root


def _placement_of_run(state: StateDirectory) -> Path | None:
    """The file by which the system runs now; None where it runs without one, or not at all."""
    running = state.running()
    return Path(running.placement) if running is not None and running.placement is not None else None


def load_process(target: str | None, placement: Path | None, plan: Path | None) -> tuple[Blueprint, Path]:
    """As `load_blueprint`, for one of the processes: it makes no environment for others unless it is supervised.

    `plan` is what `meristem graph --json` told where all services can be imported; then nothing is looked up.
    """
    system, reference = load_system(target)
    placed = Placement.read(placement) if placement else Placement()
    if plan is not None:
        with read_from(placement):
            return Blueprint(system, placed, described=_shipped(plan, system), directory=reference.root), reference.root
    # A container has the interpreter and the packages of its image: only where somebody supervises is one made.
    supervised = Environments(reference.root, os.environ, TerminalProgress()) if PYTHON in os.environ else None
    descriptions = Descriptions(
        system, placed, reference.root, supervised, environment=os.environ, any_interpreter=True
    )
    try:
        with read_from(placement):
            return Blueprint(system, placed, described=descriptions.all(), directory=reference.root), reference.root
    except ConfigurationError as error:
        if supervised is not None:
            raise
        hint = "where the others cannot be imported, give --plan with what was written by: meristem graph --json"
        raise ConfigurationError(f"{error}; {hint}") from error


def _shipped(file: Path, system: System) -> dict[str, ServicePlan]:
    try:
        plan = msgspec.json.decode(file.read_bytes(), type=Plan)
    except (OSError, msgspec.DecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(f"{file} holds no plan: {why}; write it with: meristem graph --json") from None
    known = {each.target: each for each in plan.services}
    for each in system.services:
        if isinstance(each, str) and each not in known:
            raise ConfigurationError(f"{file} does not know {each}; write it anew with: meristem graph --json")
    return known


def load_system(target: str | None) -> tuple[System, Reference]:
    """The system that an argument or the project names, and where it is."""
    reference = find(target, Path.cwd())
    return as_system(load_object(reference), reference), reference


def load_contracts(target: str | None) -> tuple[type[Contract], ...]:
    """The contracts of a system, or of a module that has no system and no service, as one that was imported."""
    reference = find(target, Path.cwd())
    found = load_object(reference)
    if isinstance(found, ModuleType) and not _services_of(found):
        own = [each for each in vars(found).values() if getattr(each, "contract_name", "")]
        if own and not any(isinstance(each, System) for each in vars(found).values()):
            return tuple(each for each in own if each.__module__ == found.__name__)
    return load_blueprint(target)[0].contracts()


def as_system(found: Any, reference: Reference) -> System:
    """A system as it is, or one made of the services of a module or of one service class."""
    if isinstance(found, System):
        return found
    if isinstance(found, ModuleType):
        # An imported one counts as well: a module for the command line may be nothing but that import.
        systems = [each for each in vars(found).values() if isinstance(each, System)]
        if len(systems) == 1:
            return systems[0]
        services = _services_of(found)
        if not systems and services:
            return System(snake(found.__name__.rpartition(".")[2]), services=services)
        problem = f"{len(systems)} systems" if systems else "neither a System nor a Service"
        raise ConfigurationError(
            f"{reference.origin}: {found.__name__} holds {problem}; name one, as in `hello.py:system`"
        )
    if isinstance(found, type) and issubclass(found, Service):
        return System(snake(found.service_name), services=[found])
    raise ConfigurationError(f"{reference.origin} names {type(found).__name__}, not a System")


def _services_of(module: ModuleType) -> list[type[Service]]:
    """The services of a module: not what it only imports, and not a base of others, which is no whole one."""
    members = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Service)]
    own = [each for each in dict.fromkeys(members) if each.__module__ == module.__name__]
    return [each for each in own if not any(each in other.__mro__[1:] for other in own)]
