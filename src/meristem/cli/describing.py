"""`meristem contracts`: what others may know of a system."""

from __future__ import annotations

import click

from meristem.cli.loading_system import load_blueprint, system_argument
from meristem.contracts.contract import operations
from meristem.system.blueprint import Blueprint


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
