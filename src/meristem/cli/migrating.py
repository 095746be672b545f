"""`meristem migrate`: bring the databases of services up to date, or write a new migration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from meristem.cli.databases import names_with_database, open_database
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.output import print_json, print_table
from meristem.storage.migrations import pending, revision, upgrade
from meristem.system.plan import Blueprint, migrations_of

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@system_argument
@placement_option
@click.option("--service", help="Only this service.")
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 where something is pending.")
@click.option("--new", "message", metavar="MESSAGE", help="Write a migration for what differs from the tables.")
@json_option
def migrate(
    target: str | None, placement: Path | None, service: str | None, *, check: bool, message: str | None, as_json: bool
) -> None:
    """Bring the databases of services up to date, or write a new migration."""
    blueprint, directory = load_blueprint(target, placement)
    names = [name for name in names_with_database(blueprint, service) if message or _folder(blueprint, name).is_dir()]
    if message is not None:
        _write(blueprint, directory, names, message)
        return
    work = pending if check else upgrade
    found = {
        name: asyncio.run(work(open_database(blueprint, directory, name), _folder(blueprint, name))) for name in names
    }
    if as_json:
        print_json(found)
    else:
        rows = [[name, ", ".join(each) or "up to date"] for name, each in found.items()]
        print_table("pending" if check else "applied", ["service", "revisions"], rows, "No service has migrations.")
    if check and any(found.values()):
        raise SystemExit(1)


def _folder(blueprint: Blueprint, name: str) -> Path:
    return migrations_of(blueprint.specs[name].implementation)


def _write(blueprint: Blueprint, directory: Path, names: list[str], message: str) -> None:
    if len(names) != 1:
        raise click.UsageError(f"a migration belongs to one service: add --service, one of {', '.join(names)}")
    (name,) = names
    database, folder = open_database(blueprint, directory, name), _folder(blueprint, name)
    asyncio.run(upgrade(database, folder)) if folder.is_dir() else None
    written = asyncio.run(revision(database, folder, message, blueprint.specs[name].implementation.tables))
    click.echo(f"wrote {written}; read it before you apply it" if written else "nothing differs from the tables")
