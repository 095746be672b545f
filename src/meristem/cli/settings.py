"""`meristem settings`: what a system was told, as its processes noted it when they started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.output import print_json, print_table
from meristem.cli.running_operators import ask_run
from meristem.config.setting_sources import Setting, Sources
from meristem.config.settings import explain
from meristem.operators.operator_contract import Operator
from meristem.runtime.gateway_identity import settings_classes
from meristem.system.description import settings_at
from meristem.system.external_access import ExternalSettings, sources_of
from meristem.system.noted_settings import NotedSettings, read_noted, write_noted
from meristem.system.state_directory import StateDirectory
from meristem.system.webhook_access import WebhookSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meristem.system.blueprint import Blueprint


@click.command()
@system_argument
@placement_option
@json_option
def settings(target: str | None, placement: Path | None, *, as_json: bool) -> None:
    """Show every setting, its value and where that comes from; secrets stay hidden.

    It is what the running system uses; where none runs, or for a placement that is named, what one started here would.
    """
    blueprint, directory = load_blueprint(target, placement)
    name = blueprint.system.name
    used = None if placement else _used(blueprint, directory)
    found: Mapping[str, Sequence[Setting]] = used or {}
    if used is None:
        found = settings_of(blueprint, [each.name for each in blueprint.plan.processes], os.environ)
    if as_json:
        print_json(found)
    else:
        rows = [[who, each.name, each.value, each.origin, each.variable] for who, own in found.items() for each in own]
        title = f"settings that {name} uses" if used is not None else "settings"
        print_table(title, ["service", "setting", "value", "from", "variable"], rows, "No service asks for settings.")
    if used is None and placement is None:
        click.echo(f"{name} does not run here: this is what it would use, started from this shell", err=True)


def settings_of(blueprint: Blueprint, processes: list[str], environment: Mapping[str, str]) -> dict[str, list[Setting]]:
    """The settings of the services in these processes, by service."""
    plan = blueprint.plan
    return (
        {
            each.name: explain(
                # Read from their own modules: the services need not be importable here.
                [settings_at(path, each.name) for path in each.settings],
                system=blueprint.system.name,
                service=each.name,
                sources=Sources(environment=environment, files=blueprint.placement.settings_of(process)),
            )
            for each in plan.services
            if each.settings and (process := plan.process_of(each.name).name) in processes
        }
        | {
            each.name: explain(
                [ExternalSettings],
                system=blueprint.system.name,
                service=each.name,
                sources=sources_of(each.name, blueprint.system.name, blueprint.placement, environment),
            )
            for each in plan.external
        }
        | {
            name: explain(
                [WebhookSettings],
                system=blueprint.system.name,
                service=name,
                sources=sources_of(name, blueprint.system.name, blueprint.placement, environment),
            )
            for name in blueprint.placement.events.subscribers
        }
        | {
            part: explain([cls], system=blueprint.system.name, service=part, sources=Sources(environment=environment))
            for part, cls in settings_classes(blueprint.placement.gateway).items()
        }
    )


def note_settings(
    blueprint: Blueprint, process: str, replica: int, environment: Mapping[str, str], state: StateDirectory, run: int
) -> None:
    """Write down what this process uses, for `meristem settings` in other shells."""
    write_noted(state.path, process, replica, NotedSettings(run, settings_of(blueprint, [process], environment)))


def _used(blueprint: Blueprint, directory: Path) -> dict[str, Sequence[Setting]] | None:
    """What the processes that run now use: as who runs them says, or as they noted it; None where none runs."""
    told = ask_run(blueprint, directory, Operator, lambda operator: operator.settings())
    if told is not None:
        return {each.part: [Setting(**msgspec.structs.asdict(one)) for one in each.settings] for each in told}
    state = StateDirectory(directory, blueprint.system.name)
    running = state.running()
    return None if running is None else read_noted(state.path, running.pid)
