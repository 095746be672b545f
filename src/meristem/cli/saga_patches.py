"""`meristem sagas drain-check`: whether a release may drop the old path of a patch."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from meristem.cli.databases import in_each
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_option
from meristem.cli.output import counted, print_json, print_table
from meristem.cli.saga_lookup import service_option
from meristem.sagas.draining import Undrained, undrained
from meristem.sagas.saga import sagas_of
from meristem.storage.database import Database
from meristem.system.blueprint import Blueprint


@click.command()
@click.argument("patch", metavar="NAME")
@click.option(
    "--taken", is_flag=True, help="Find those that asked for it and took it: before its name is dropped, too."
)
@service_option
@placement_option
@system_option
@json_option
def drain_check(
    patch: str, target: str | None, placement: Path | None, service: str | None, *, taken: bool, as_json: bool
) -> None:
    """Find the sagas that still run without a patch; exit with 1 where there are any."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    wanted = _sagas_with(blueprint, patch, service)

    async def find(name: str, database: Database) -> list[Undrained]:
        return await undrained(database, wanted[name], patch, taken=taken)

    found = {name: in_each(blueprint, directory, name, find)[name] for name in wanted}
    left = sum(map(len, found.values()))
    if as_json:
        print_json(found)
    else:
        rows = [
            [name, each.id, each.name, each.state, f"{each.created:%Y-%m-%d %H:%M:%S}"]
            for name, sagas in found.items()
            for each in sagas
        ]
        side = "with" if taken else "without"
        print_table("sagas", ["service", "id", "saga", "state", "began"], rows, f"No saga runs {side} {patch!r}.")
        if left:
            what = "its name in deprecated_patches" if taken else "the old path"
            runs = "runs" if left == 1 else "run"
            click.echo(f"{counted(left, 'saga')} still {runs} {side} {patch!r}: keep {what}.")
    if left:
        sys.exit(1)


def _sagas_with(blueprint: Blueprint, patch: str, service: str | None) -> dict[str, list[str]]:
    """The sagas that name the patch, by service; a wrong argument where none does."""
    found: dict[str, list[str]] = {}
    known: set[str] = set()
    for each in blueprint.plan.services:
        if not each.sagas or (service is not None and each.name != service):
            continue
        for name, definition in sagas_of(blueprint.spec(each.name).implementation).items():
            patches = {*definition.patches, *definition.deprecated_patches}
            known |= patches
            if patch in patches:
                found.setdefault(each.name, []).append(name)
    if not found:
        text = f"no saga names the patch {patch!r}; there are {', '.join(sorted(known)) or 'none'}"
        raise click.BadParameter(text, param_hint="NAME")
    return found
