"""`meristem contracts` and `meristem settings`: what others may know of a system, and what it was told."""

from __future__ import annotations

import os
from pathlib import Path

import click

from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.output import print_json, print_table
from meristem.config.settings import Setting, Sources, explain
from meristem.contracts.contract import operations
from meristem.system.blueprint import Blueprint
from meristem.system.description import settings_at


@click.command()
@system_argument
@click.option("--proto", "form", flag_value="proto", default=True, help="As protobuf, one file a contract (default).")
@click.option("--openapi", "form", flag_value="openapi", help="The REST interface as OpenAPI 3.1.")
@click.option("--contract", help="Only this contract.")
def contracts(target: str | None, form: str, contract: str | None) -> None:
    """Write contracts for other languages: as protobuf or OpenAPI."""
    blueprint, _ = load_blueprint(target)
    if form == "openapi":
        click.echo(_openapi(blueprint))
        return
    from meristem.contracts.prototext import proto_text  # noqa: PLC0415 - only this verb writes protobuf

    known = blueprint.contracts()
    # By either name: two versions of a contract have one class name, and differ in their package.
    chosen = [each for each in known if contract in (None, each.__name__, each.contract_name)]
    if contract is not None and not chosen:
        there_are = ", ".join(dict.fromkeys(each.__name__ for each in known)) or "none"
        raise click.BadParameter(f"there is no contract {contract!r}; there are {there_are}", param_hint="--contract")
    for each in chosen:
        click.echo(proto_text(list(operations(each).values())))


def _openapi(blueprint: Blueprint) -> str:
    from meristem.contracts.openapi import document  # noqa: PLC0415 - as above
    from meristem.transports.http.rest.errors import status_of_class  # noqa: PLC0415

    known = [each for contract in blueprint.contracts() for each in operations(contract).values()]
    system = blueprint.system
    return document(known, prefix=system.api, title=system.name, version="1.0.0", status_of=status_of_class).decode()


@click.command()
@system_argument
@placement_option
@json_option
def settings(target: str | None, placement: Path | None, *, as_json: bool) -> None:
    """Show every setting, its value and where that comes from; secrets stay hidden."""
    blueprint, _ = load_blueprint(target, placement)
    plan, placed = blueprint.plan, blueprint.placement
    found: dict[str, list[Setting]] = {
        each.name: explain(
            # Read from their own modules: the services need not be importable here.
            [settings_at(path, each.name) for path in each.settings],
            system=blueprint.system.name,
            service=each.name,
            sources=Sources(environment=os.environ, files=placed.settings_of(plan.process_of(each.name).name)),
        )
        for each in plan.services
        if each.settings
    }
    if as_json:
        print_json(found)
        return
    rows = [[name, each.name, each.value, each.origin, each.variable] for name, own in found.items() for each in own]
    print_table("settings", ["service", "setting", "value", "from", "variable"], rows, "No service asks for settings.")
