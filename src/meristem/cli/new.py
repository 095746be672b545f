"""`meristem new`: a system, a service of one, or an app, as a project that runs at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from meristem.cli.loading_system import json_option, system_option
from meristem.cli.output import print_json
from meristem.cli.verb_groups import VerbGroup
from meristem.config.project import find
from meristem.errors import ConfigurationError
from meristem.scaffold.new_project import APPS, new_app, new_system
from meristem.scaffold.new_service import new_service
from meristem.scaffold.written_files import WrittenFiles

out_option = click.option(
    "--out", type=click.Path(path_type=Path), help="The project's folder; a new one, or an empty one.  [default: NAME]"
)


@click.group(cls=VerbGroup)
def new() -> None:
    """Write a new project, or a new service of one; it runs, and passes its tests and its linters, at once."""


@new.command()
@click.argument("name")
@click.option("--service", default="notes", show_default=True, help="The first service.")
@out_option
@json_option
def system(name: str, service: str, out: Path | None, *, as_json: bool) -> None:
    """Write a system with one service."""
    with _usage():
        written = new_system(name, service, out or Path(name))
    _tell(written, as_json=as_json)


@new.command()
@click.argument("name")
@system_option
@json_option
def service(name: str, target: str | None, *, as_json: bool) -> None:
    """Add a service to this folder's system.

    That is a contract, a package and a test, and its entry in the system where that is a plain list.
    """
    reference = find(target, Path.cwd())
    with _usage():
        written = new_service(name, reference)
    _tell(written, as_json=as_json)


@new.command()
@click.argument("name")
@click.option("--from", "kind", type=click.Choice(APPS), required=True, help="The framework that it is written with.")
@out_option
@json_option
def app(name: str, kind: str, out: Path | None, *, as_json: bool) -> None:
    """Write a web app, and what runs it.

    The app itself knows nothing of Meristem, and needs nothing of it.
    """
    with _usage():
        written = new_app(name, kind, out or Path(name))
    _tell(written, as_json=as_json)


@contextmanager
def _usage() -> Iterator[None]:
    """What can't be written as it was asked for is wrong use of the command: nothing was done."""
    try:
        yield
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None


def _tell(written: WrittenFiles, *, as_json: bool) -> None:
    if as_json:
        print_json(_row(written))
        return
    for verb, paths in (("wrote", written.created), ("changed", written.changed)):
        for path in paths:
            click.echo(f"{verb} {os.path.relpath(written.folder / path)}")
    click.echo("Next:")
    for step in filter(None, (written.by_hand, *written.next)):
        click.echo(f"  {step}")


def _row(written: WrittenFiles) -> dict[str, Any]:
    return {
        "folder": str(written.folder),
        "created": written.created,
        "changed": written.changed,
        "by_hand": written.by_hand,
        "next": written.next,
    }
