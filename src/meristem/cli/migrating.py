"""`meristem migrate`: bring the databases of services up to date, or write a new migration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import click

from meristem.cli.databases import in_each, names_with_database, open_database
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.migration_plan import print_plan
from meristem.cli.output import print_json, print_table
from meristem.cli.progress import telling_interrupts, while_it_lasts
from meristem.runtime.schema import pending, plan, upgrade
from meristem.storage.migrations import revision
from meristem.system.blueprint import Blueprint

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import MetaData

    from meristem.storage.database import Database
    from meristem.storage.planned import PlannedRevision

_WHOLE: Final = "each revision has happened whole or not at all; `meristem migrate --check` tells which are left"


@click.command()
@system_argument
@placement_option
@click.option("--service", help="Only this service.")
@click.option("--check", is_flag=True, help="Change nothing; exit with 1 where something is pending or differs.")
@click.option("--plan", "plans", is_flag=True, help="Change nothing; show what would be run and who survives it.")
@click.option("--unsafe", is_flag=True, help="Apply also what a running release does not survive.")
@click.option("--new", "message", metavar="MESSAGE", help="Write a migration for what differs from the tables.")
@click.option("--compatible", is_flag=True, help="With --new: the release before may run on the migrated tables.")
@json_option
def migrate(
    target: str | None,
    placement: Path | None,
    service: str | None,
    *,
    check: bool,
    plans: bool,
    unsafe: bool,
    message: str | None,
    compatible: bool,
    as_json: bool,
) -> None:
    """Bring the databases of services up to date, or write a new migration."""
    if sum((check, plans, message is not None)) > 1 or (unsafe and (check or plans)):
        raise click.UsageError("--check and --plan only look, --new writes, --unsafe applies: give one of them")
    if message is not None and not message.strip():
        raise click.UsageError("--new says what the migration does, as in --new 'add a currency'")
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    folders = {each.name: directory / each.migrations for each in blueprint.plan.services}
    if message is not None:
        names = names_with_database(blueprint, service)
        _write(blueprint, directory, folders, names, message, compatible=compatible, unsafe=unsafe, as_json=as_json)
        return
    if compatible:
        raise click.UsageError("--compatible marks a new migration: add --new MESSAGE")

    if plans:
        _plan(blueprint, directory, folders, service, as_json=as_json)
        return

    async def work(name: str, database: Database) -> list[str]:
        if check:
            return await pending(database, folders[name], lambda: _tables(blueprint, name))
        upgraded = upgrade(database, folders[name], lambda: _tables(blueprint, name), unsafe=unsafe)
        return await while_it_lasts(f"migrating {name}", upgraded)

    # Of any shape: an older one is what this verb is there to mend.
    with telling_interrupts(_WHOLE):
        found = in_each(blueprint, directory, service, work, of_any_shape=True, make=not check)
    if as_json:
        print_json(found)
    else:
        rows = [[name, ", ".join(each) or "up to date"] for name, each in found.items()]
        title = "pending, or other than `tables=`" if check else "applied"
        title = title if any(found.values()) else ""
        print_table(title, ["service", "revisions"], rows, "No service has a database.")
    if check and any(found.values()):
        raise SystemExit(1)


def _plan(
    blueprint: Blueprint, directory: Path, folders: dict[str, Path], service: str | None, *, as_json: bool
) -> None:
    async def foresee(name: str, database: Database) -> list[PlannedRevision]:
        return await while_it_lasts(f"trying what is pending for {name}", plan(database, folders[name]))

    foreseen = in_each(blueprint, directory, service, foresee, of_any_shape=True)
    print_plan(foreseen, as_json=as_json)
    raise SystemExit(any(each.needs_consent for planned in foreseen.values() for each in planned))


def _tables(blueprint: Blueprint, service: str) -> MetaData | None:
    return blueprint.spec(service).implementation.tables


def _write(
    blueprint: Blueprint,
    directory: Path,
    folders: dict[str, Path],
    names: list[str],
    message: str,
    *,
    compatible: bool,
    unsafe: bool,
    as_json: bool,
) -> None:
    if len(names) != 1:
        raise click.UsageError(f"a migration belongs to one service: add --service, one of {', '.join(names)}")
    (name,) = names
    database, folder, tables = open_database(blueprint, directory, name), folders[name], _tables(blueprint, name)
    # Up to date first: what is compared with the tables is the database, and it must have all earlier revisions.
    if folder.is_dir():
        # not told what differs: that is about to be written
        in_each(
            blueprint,
            directory,
            name,
            lambda _, opened: upgrade(opened, folder, lambda: None, unsafe=unsafe),
            of_any_shape=True,
            make=True,
        )
    written = asyncio.run(revision(database, folder, message, tables, compatible=compatible))
    if as_json:
        print_json({"service": name, "written": None if written is None else str(written)})
        return
    click.echo(f"wrote {written}; read it before you apply it" if written else "nothing differs from the tables")
