"""`meristem migrate`: bring the databases of services up to date, or write a new migration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from meristem.cli.databases import in_each, names_with_database, open_database
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.output import print_json, print_table
from meristem.runtime.schema import pending, upgrade
from meristem.storage.migrations import revision
from meristem.system.plan import Blueprint, migrations_of

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@system_argument
@placement_option
@click.option("--service", help="Only this service.")
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 where something is pending.")
@click.option("--new", "message", metavar="MESSAGE", help="Write a migration for what differs from the tables.")
@click.option("--compatible", is_flag=True, help="With --new: the release before may run on the migrated tables.")
@json_option
def migrate(
    target: str | None,
    placement: Path | None,
    service: str | None,
    *,
    check: bool,
    message: str | None,
    compatible: bool,
    as_json: bool,
) -> None:
    """Bring the databases of services up to date, or write a new migration."""
    blueprint, directory = load_blueprint(target, placement)
    if message is not None:
        _write(blueprint, directory, names_with_database(blueprint, service), message, compatible=compatible)
        return
    if compatible:
        raise click.UsageError("--compatible marks a new migration: add --new MESSAGE")
    work = pending if check else upgrade
    found = in_each(
        blueprint,
        directory,
        service,
        lambda name, database: work(database, blueprint.specs[name].implementation),
        of_any_shape=True,
    )
    if as_json:
        print_json(found)
    else:
        rows = [[name, ", ".join(each) or "up to date"] for name, each in found.items()]
        print_table("pending" if check else "applied", ["service", "revisions"], rows, "No service has a database.")
    if check and any(found.values()):
        raise SystemExit(1)


def _write(blueprint: Blueprint, directory: Path, names: list[str], message: str, *, compatible: bool) -> None:
    if len(names) != 1:
        raise click.UsageError(f"a migration belongs to one service: add --service, one of {', '.join(names)}")
    (name,) = names
    service = blueprint.specs[name].implementation
    database, folder = open_database(blueprint, directory, name), migrations_of(service)
    if folder.is_dir():
        in_each(blueprint, directory, name, lambda _, database: upgrade(database, service), of_any_shape=True)
    written = asyncio.run(revision(database, folder, message, service.tables, compatible=compatible))
    click.echo(f"wrote {written}; read it before you apply it" if written else "nothing differs from the tables")
