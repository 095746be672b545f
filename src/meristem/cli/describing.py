"""`meristem contracts export`: what others may know of a system, for other languages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from meristem.cli.loading_system import load_blueprint, load_contracts, system_argument
from meristem.cli.output import writing
from meristem.contracts.contract import operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.contracts.contract import Contract
    from meristem.contracts.operation import Operation
    from meristem.system.blueprint import Blueprint


@click.command()
@system_argument
@click.option("--proto", "form", flag_value="proto", default=True, help="As protobuf, one file a package (default).")
@click.option("--openapi", "form", flag_value="openapi", help="The REST interface as OpenAPI 3.1.")
@click.option("--json-schema", "form", flag_value="json-schema", help="The messages as JSON Schema 2020-12.")
@click.option("--contract", help="Only this contract.")
@click.option("-o", "out", type=click.Path(file_okay=False, path_type=Path), help="Write files into this folder.")
def export(target: str | None, form: str, contract: str | None, out: Path | None) -> None:
    """Write contracts for other languages: as protobuf, OpenAPI or JSON Schema.

    The same contracts give the same bytes.
    """
    chosen = _chosen(load_contracts(target), contract)
    if form == "openapi":
        files = {"openapi.json": _openapi(load_blueprint(target)[0], chosen)}
    elif form == "json-schema":
        from meristem.contracts.schemas import json_schemas  # noqa: PLC0415 - only this verb writes schemas

        files = json_schemas(chosen)
    else:
        from meristem.contracts.protobuf.proto_text import proto_texts  # noqa: PLC0415 - as above

        _warn_of_numbers(chosen)
        files = proto_texts(chosen)
    for name, text in files.items():
        if out is None:
            click.echo(text)
        else:
            path = out / name
            with writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            click.echo(f"wrote {path}")


def _chosen(known: Sequence[type[Contract]], contract: str | None) -> list[Operation]:
    # By either name: two versions of a contract have one class name, and differ in their package.
    chosen = [each for each in known if contract in (None, each.__name__, each.contract_name)]
    if contract is not None and not chosen:
        there_are = ", ".join(dict.fromkeys(each.__name__ for each in known)) or "none"
        raise click.BadParameter(f"there is no contract {contract!r}; there are {there_are}", param_hint="--contract")
    return [operation for each in chosen for operation in operations(each).values()]


def _warn_of_numbers(known: Sequence[Operation]) -> None:
    """Tell which numbers a lock does not keep; where there is none, numbers are by order."""
    from meristem.contracts.protobuf.numbering import lock_changes  # noqa: PLC0415 - as above

    for change in lock_changes(known):
        if change.path.exists():
            told = "".join(f"\n  {each}" for each in change.told)
            click.echo(f"{change.path} is not up to date; run `meristem contracts lock`:{told}", err=True)


def _openapi(blueprint: Blueprint, known: list[Operation]) -> str:
    from meristem.contracts.openapi import document  # noqa: PLC0415 - only this verb writes OpenAPI
    from meristem.transports.http.rest.errors import status_of_class  # noqa: PLC0415

    system = blueprint.system
    return document(known, name=system.name, prefix=system.api, about=system.about, status_of=status_of_class).decode()
