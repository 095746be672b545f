"""`meristem backup` and `meristem restore`: all databases of a system as they were at one moment, and back."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from meristem.backup.copying import take
from meristem.backup.manifest import read_manifest
from meristem.backup.restoring import restore as put_back
from meristem.backup.staging import verify as verified
from meristem.cli.databases import names_with_database
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_option
from meristem.cli.output import counted, print_json
from meristem.cli.progress import CopyingProgress
from meristem.cli.verb_groups import VerbGroup
from meristem.gateway.certificate_folder import NAME as CERTIFICATES
from meristem.storage.one_instant import PATIENCE
from meristem.system.state_directory import API_KEYS, TOKENS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from meristem.backup.manifest import Manifest

A_FILE: Final = "it is a file of its own, which no database keeps"
REVOKED: Final = "what was revoked since would count again; a restore leaves those that are there as they are"
KEPT_APART: Final = {
    API_KEYS: REVOKED,
    TOKENS: REVOKED,
    CERTIFICATES: "certificates are ordered anew where there are none",
}
"""Why files that the framework itself makes are no part of a backup."""
_SET_ASIDE: Final = re.compile(r"\.before-\d{8}T\d{6}\.\d{6}Z$")
folder_argument = click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))


@click.group(cls=VerbGroup, invoke_without_command=True)
@system_option
@placement_option
@click.option("--to", type=click.Path(path_type=Path), help="The folder that is made for it.  [required]")
@click.option("--without", multiple=True, metavar="SERVICE", help="Leave this service out; may be repeated.")
@click.option(
    "--patience",
    type=click.IntRange(min=0, max=86400),
    default=int(PATIENCE),
    metavar="SECONDS",
    show_default=True,
    help="How long to wait for a moment without writes.",
)
@json_option
@click.pass_context
def backup(
    context: click.Context,
    target: str | None,
    placement: Path | None,
    to: Path | None,
    without: Sequence[str],
    patience: int,
    *,
    as_json: bool,
) -> None:
    """Copy all databases of a system as they are at one moment; it may run meanwhile."""
    if context.invoked_subcommand is not None:
        _refuse_options_before(context, context.invoked_subcommand)
        return
    if to is None:
        raise click.UsageError("where to? --to FOLDER, which is made")
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    for each in without:
        names_with_database(blueprint, each, option="--without")
    progress = CopyingProgress("copying")
    manifest = take(
        blueprint,
        directory,
        to.absolute(),
        environment=os.environ,
        tell=progress.tell,
        without=without,
        patience=patience,
    )
    if as_json:
        print_json(manifest)
        return
    click.echo(f"{to} is a backup of {_told(manifest)}; writers waited for {manifest.held * 1000:.0f} ms")
    _say(f"{name} is not in it: {why}" for name, why in manifest.left_out.items())
    former = [each for each in manifest.beside if _SET_ASIDE.search(each)]
    own = [each for each in manifest.beside if each not in former]
    _say(f"{name} is not in it: {KEPT_APART.get(name, A_FILE)}" for name in own)
    if manifest.bus != "direct":
        _say([f"what the broker ({manifest.bus}) has for services is not in it"])
    if former:
        _say([f"{counted(len(former), 'file')} that a restore has set aside: not in it"])


@backup.command()
@folder_argument
@system_option
@placement_option
@json_option
def verify(folder: Path, target: str | None, placement: Path | None, *, as_json: bool) -> None:
    """Restore a backup to a place that is gone afterwards: whether it is whole, and fit for this release."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    pending = verified(blueprint, directory, folder, CopyingProgress("verifying").tell)
    if as_json:
        print_json(pending)
        return
    click.echo(f"{folder} is whole: {_told(read_manifest(folder, blueprint.system.name))}")
    _say_pending(pending)


@click.command()
@folder_argument
@system_option
@placement_option
@click.option("--replace", is_flag=True, help="Set the data that is there aside, under other names.")
@click.option("--other-secret", is_flag=True, help="Restore although the system's secret is another one by now.")
@json_option
def restore(
    folder: Path, target: str | None, placement: Path | None, *, replace: bool, other_secret: bool, as_json: bool
) -> None:
    """Put a backup in the place of a system's databases; the system must not run."""
    blueprint, directory = load_blueprint(target, placement)
    progress = CopyingProgress("restoring")
    done = put_back(
        blueprint,
        directory,
        folder,
        environment=os.environ,
        tell=progress.tell,
        replace=replace,
        other_secret=other_secret,
    )
    if as_json:
        print_json(done)
        return
    click.echo(f"restored {_told(done.manifest)}")
    _say(f"set aside: {each}" for each in done.set_aside)
    _say_pending(done.pending)
    _say(f"note: {each}" for each in done.notes)


def _told(manifest: Manifest) -> str:
    held = f"{counted(len(manifest.databases), 'database')}, {counted(manifest.rows, 'row')}"
    return f"{manifest.system} as of {manifest.at:%Y-%m-%d %H:%M:%S} UTC: {held}, {manifest.bytes / 1e6:.1f} MB"


def _say_pending(pending: Mapping[str, Sequence[str]]) -> None:
    older = {name: ", ".join(new) for name, new in pending.items() if new}
    _say(f"{name} is older than this release, whose next start applies {new}" for name, new in older.items())


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(f"  {line}")


def _refuse_options_before(context: click.Context, verb: str) -> None:
    """Options of the verb that takes a backup say nothing to the others, which have their own."""
    given = [each.opts[-1] for each in context.command.params
             if context.get_parameter_source(each.name or "") is ParameterSource.COMMANDLINE]  # fmt: skip
    if given:
        raise click.UsageError(f"{', '.join(given)} before {verb} says nothing to it: write it after, if it takes that")
