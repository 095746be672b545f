"""`meristem sagas export` and `replay`: journals as files, and whether the code that is here follows them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from meristem.cli.databases import in_each, open_database
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_option
from meristem.cli.output import counted, print_json, writing
from meristem.cli.saga_answers import SagaAnswers
from meristem.cli.saga_lookup import find_one, service_option
from meristem.contracts.message import Message
from meristem.errors import ConfigurationError, OperationError
from meristem.private_files import make_folder, write_file
from meristem.runtime.rehearsal import Rehearsal
from meristem.sagas.administration import SagaStore
from meristem.sagas.records import SagaState
from meristem.sagas.replay import Divergence, SagaJournal, read_journals
from meristem.storage.database import Database
from meristem.system.blueprint import Blueprint

_ID: Final = re.compile(r"[0-9a-f]{1,32}")
GOING: Final = (SagaState.RUNNING, SagaState.WAITING, SagaState.UNDOING, SagaState.PARKED)


class Replayed(Message):
    """One saga that was replayed; `divergence` says where the code leaves its journal."""

    service: str
    id: str
    name: str
    divergence: Divergence | None = None


@click.command()
@click.argument("saga_ids", nargs=-1, required=True, metavar="SAGA_ID...")
@system_option
@placement_option
@service_option
@click.option("--out", type=click.Path(path_type=Path), help="A folder, for a file each; else they are printed.")
def export(
    saga_ids: tuple[str, ...], target: str | None, placement: Path | None, service: str | None, out: Path | None
) -> None:
    """Write journals as JSON, with all values: what a saga was given and what its steps answered may be private."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    for each in _journals(blueprint, directory, saga_ids, service):
        if out is None:
            click.echo(msgspec.json.encode(each))
            continue
        file = out / f"{each.saga.name}-{each.saga.id}.json"
        with writing(file):
            make_folder(out)
            write_file(file, msgspec.json.format(msgspec.json.encode(each), indent=2))
        click.echo(f"{each.saga.name} {each.saga.id}: {file}")


@click.command()
@click.argument("what", nargs=-1, metavar="[SAGA_ID | FILE | FOLDER]...")
@system_option
@placement_option
@service_option
@click.option("--all", "everything", is_flag=True, help="Every saga that has not ended.")
@click.option("--values", is_flag=True, help="Show what the code gives to a step now; it may be private.")
@json_option
def replay(
    what: tuple[str, ...], target: str | None, placement: Path | None, service: str | None, *,
    everything: bool, values: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run journals against the code that is here, without any effect; exits with 1 where the code leaves one."""
    if bool(what) == everything:
        raise click.UsageError("which? sagas replay SAGA_ID, exported files or folders of them, or --all")
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    paths = [Path(each) for each in what if Path(each).exists()]
    ids = [each for each in what if not Path(each).exists()]
    if nowhere := [each for each in ids if not _ID.fullmatch(each)]:
        raise click.BadParameter(f"there is no {nowhere[0]}", param_hint="FILE")
    try:
        journals = list(read_journals(paths)) if paths else []
    except ConfigurationError as error:
        raise click.BadParameter(str(error), param_hint="FILE") from None
    if others := [each for each in journals if service not in (None, each.service)]:
        text = f"{others[0].saga.name} {others[0].saga.id} is a saga of {others[0].service}: leave {service} out"
        raise click.BadParameter(text, param_hint="--service")
    if everything:
        ids = _going(blueprint, directory, service)
    found = asyncio.run(_replay(blueprint, [*journals, *_journals(blueprint, directory, ids, service)], values=values))
    _print(found, as_json=as_json)
    if any(each.divergence is not None for each in found):
        raise SystemExit(1)


async def _replay(blueprint: Blueprint, journals: Iterable[SagaJournal], *, values: bool) -> list[Replayed]:
    rehearsal, replayed = Rehearsal(blueprint), []
    for each in journals:
        divergence = await rehearsal.replay(each)
        if divergence is not None and not values:
            divergence = msgspec.structs.replace(divergence, arguments=None)
        replayed.append(Replayed(service=each.service, id=each.saga.id, name=each.saga.name, divergence=divergence))
    return replayed


def _print(found: Sequence[Replayed], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
        return
    for each in found:
        if each.divergence is not None:
            click.echo(f"{each.service} {each.name} {each.id}: {each.divergence.text}")
            if each.divergence.arguments is not None:
                click.echo(f"  given now: {each.divergence.arguments}")
    left = sum(each.divergence is not None for each in found)
    click.echo(f"{counted(len(found), 'saga')} replayed: {left or 'none'} would leave the journal.")


def _journals(blueprint: Blueprint, directory: Path, ids: Iterable[str], service: str | None) -> Iterator[SagaJournal]:
    """The journals of those sagas, one after the other: each may be large."""
    answers = SagaAnswers(blueprint, directory, service)
    for each in ids:
        found = find_one(answers, each)
        owner = found.service
        if open_database(blueprint, directory, owner).is_temporary:
            text = f"{owner} keeps its sagas in its process alone: give it a database that lasts to have their journals"
            raise OperationError(text)

        async def read(name: str, database: Database, saga_id: str = found.saga.id) -> SagaJournal:
            saga, steps = await SagaStore(database).journal(saga_id)
            return SagaJournal(service=name, saga=saga, steps=list(steps))

        yield in_each(blueprint, directory, owner, read)[owner]


def _going(blueprint: Blueprint, directory: Path, service: str | None) -> list[str]:
    async def ids(_: str, database: Database) -> list[str]:
        store, found = SagaStore(database), []
        last = None
        while page := await store.list(*GOING, after=last):
            last = page[-1].created, page[-1].id
            found += [each.id for each in page]
        return found

    return [each for found in in_each(blueprint, directory, service, ids).values() for each in found]
