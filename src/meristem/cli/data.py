"""`meristem data copy`: what services keep moves to other databases, of another system too."""

from __future__ import annotations

from pathlib import Path

import click

from meristem.cli.databases import names_with_database
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.output import counted, print_json
from meristem.cli.progress import CopyingProgress, telling_interrupts
from meristem.cli.verb_groups import VerbGroup
from meristem.redaction import redact
from meristem.transfer.system_copy import copy_system


@click.group(cls=VerbGroup)
def data() -> None:
    """Move what services keep."""


@data.command()
@system_argument
@placement_option
@click.option("--from", "source", metavar="URL", help="Where it is.  [default: where the placement has it]")
@click.option(
    "--to", "target_url", metavar="URL", required=True, help="Where it is to be; {service} stands for a name."
)
@click.option("--service", metavar="SERVICE", help="Only this service.")
@json_option
def copy(
    target: str | None,
    placement: Path | None,
    source: str | None,
    target_url: str,
    service: str | None,
    *,
    as_json: bool,
) -> None:
    """Copy the databases of a stopped system, or of one service, to new ones, and compare them row by row."""
    blueprint, directory = load_blueprint(target, placement)
    names = names_with_database(blueprint, service)
    progress = CopyingProgress("copying")
    with telling_interrupts("the old databases are as they were; the same command begins again"):
        found = copy_system(blueprint, directory, names, source=source, target=target_url, tell=progress.tell)
    if as_json:
        print_json(found)
        return
    for name, tables in found.items():
        click.echo(f"{name}: {counted(sum(tables.values()), 'row')} are the same in both databases")
    for name in names:
        if name not in found:
            click.echo(f"{name}: it has no database yet")
    where = f'database = "{redact(target_url)}"'
    if service is not None:
        where = f'databases = {{ {service} = "{redact(target_url)}" }}'
    click.echo(f"Nothing was removed from the old ones. In the placement, [resources] is now to say: {where}")
