"""`meristem sagas`: list sagas, show one step by step and what it waits for, retry or cancel one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from meristem.cli.databases import in_each
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument, system_option
from meristem.cli.output import counted, print_json, print_table
from meristem.cli.saga_forking import fork
from meristem.cli.saga_journals import export, replay
from meristem.cli.saga_lookup import Moment, ask_one, find_one, of_one_saga, service_option
from meristem.cli.saga_patches import drain_check
from meristem.cli.saga_signals import signal
from meristem.sagas.administration import SagaDetails, SagaStore, SagaSummary, StepSummary
from meristem.sagas.diagnosis import Diagnosis
from meristem.sagas.records import SagaState
from meristem.storage.database import Database


@click.group()
def sagas() -> None:
    """List and show sagas, let them go on or end, and try new code with them."""


sagas.add_command(export)
sagas.add_command(fork)
sagas.add_command(replay)


sagas.add_command(drain_check)
sagas.add_command(signal)


@sagas.command(name="list")
@system_argument
@placement_option
@service_option
@click.option(
    "--state", "states", multiple=True, type=click.Choice([each.value for each in SagaState]),
    help="Only those in this state; may be repeated.",
)  # fmt: skip
@click.option("--saga", "name", metavar="NAME", help="Only those of this name.")
@click.option("--before", type=Moment(), help="Only those that began before: a time, or an age such as 2h.")
@click.option("--since", type=Moment(), help="Only those that began since then.")
@click.option("--after", metavar="SAGA_ID", help="The page after this saga, the last one of a page.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="How many a page has.")
@json_option
def list_(
    target: str | None, placement: Path | None, service: str | None, states: tuple[str, ...], name: str | None,
    before: datetime | None, since: datetime | None, after: str | None, limit: int, *, as_json: bool,
) -> None:  # fmt: skip
    """List sagas, the newest first."""
    blueprint, directory = load_blueprint(target, placement)
    last = None
    if after is not None:
        owner, saga_id = find_one(blueprint, directory, after, None)

        async def read(_: str, database: Database) -> SagaSummary:
            return await SagaStore(database).summary(saga_id)

        last = in_each(blueprint, directory, owner, read)[owner]
    wanted = [SagaState(each) for each in states]

    async def find(_: str, database: Database) -> list[SagaSummary]:
        store = SagaStore(database)
        return await store.list(*wanted, name=name, before=before, since=since, after=last, limit=limit + 1)

    found = in_each(blueprint, directory, service, find)
    # The newest of all services, so that one saga tells where the next page begins.
    newest = sorted(
        ((each, owner) for owner, summaries in found.items() for each in summaries),
        key=lambda one: (one[0].created, one[0].id), reverse=True,
    )  # fmt: skip
    page = newest[:limit]
    if as_json:
        print_json({owner: [each for each, its in page if its == owner] for owner in found})
        return
    rows = [
        [
            owner,
            each.id,
            each.name,
            each.state,
            _time(each.created),
            _time(each.updated),
            each.problem or each.error or "",
        ]
        for each, owner in page
    ]
    print_table("sagas", ["service", "id", "saga", "state", "began", "updated", "problem"], rows, "No sagas.")
    if len(newest) > limit:
        click.echo(f"There are more: add --after {page[-1][0].id}")


@sagas.command()
@of_one_saga
@click.option("--values", is_flag=True, help="Show input, replies and result; they may be private.")
def show(
    saga_id: str, target: str | None, placement: Path | None, service: str | None, *, values: bool, as_json: bool
) -> None:
    """Show a saga with its steps, what it waits for, and what helps."""
    details: SagaDetails = ask_one(
        saga_id, target, placement, service, lambda store, found: store.show(found, values=values)
    )
    if as_json:
        print_json(details)
        return
    saga = details.saga
    click.secho(f"{saga.name} {saga.id}: {saga.state}", bold=True)
    of = f", forked from {details.fork_of}" if details.fork_of else ""
    of += f", by step {details.parent.position} of {details.parent.id}" if details.parent else ""
    click.echo(f"  began {_time(saga.created)}, version {saga.version}{of}")
    for line in (saga.error, details.input, details.result):
        if line:
            click.echo(f"  {line}")
    for each in details.waits_for:
        _print_diagnosis(each)
    rows = [
        [each.position, each.kind, each.name, each.state, str(each.attempts), _milliseconds(each.seconds), _note(each)]
        for each in details.steps
    ]
    print_table("steps", ["step", "kind", "name", "state", "attempts", "ms", ""], rows, "No step yet.")
    if details.children:
        rows = [[each.position, each.id, each.name or "", each.state or ""] for each in details.children]
        print_table("children", ["step", "id", "saga", "state"], rows, "")


def _print_diagnosis(found: Diagnosis) -> None:
    until = "" if found.until is None else f", until {_time(found.until)}"
    click.echo(f"  waits: {found.text}, since {_time(found.since)}{until}")
    if found.error:
        click.echo(f"  error: {found.error}")
    click.echo(f"  helps: {found.helps}")


@sagas.command()
@click.argument("saga_id", required=False)
@system_option
@placement_option
@service_option
@click.option("--all", "everything", is_flag=True, help="Every parked saga.")
@click.option("--saga", "name", metavar="NAME", help="With --all: those of this name.")
@json_option
def retry(
    saga_id: str | None, target: str | None, placement: Path | None, service: str | None, name: str | None, *,
    everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """Let a parked saga go on where it stopped, or all of them."""
    if (saga_id is None) != everything or (name is not None and not everything):
        raise click.UsageError("which? sagas retry SAGA_ID, or --all, of which --saga NAME takes those of one name")
    if saga_id is not None:
        saga: SagaSummary = ask_one(saga_id, target, placement, service, lambda store, found: store.retry(found))
        _tell(saga, f"is {saga.state} and goes on as soon as its service runs", as_json=as_json)
        return
    blueprint, directory = load_blueprint(target, placement)

    async def retry_all(_: str, database: Database) -> Sequence[SagaSummary]:
        return await SagaStore(database).retry_all(name=name)

    retried = in_each(blueprint, directory, service, retry_all)
    if as_json:
        print_json(retried)
    else:
        count = counted(sum(map(len, retried.values())), "saga")
        click.echo(f"{count} will go on as soon as the services run.")


@sagas.command()
@of_one_saga
def cancel(saga_id: str, target: str | None, placement: Path | None, service: str | None, *, as_json: bool) -> None:
    """Have a saga undo what it did."""
    saga: SagaSummary = ask_one(saga_id, target, placement, service, lambda store, found: store.cancel(found))
    _tell(saga, "will be undone as soon as its service runs", as_json=as_json)


def _tell(saga: SagaSummary, news: str, *, as_json: bool) -> None:
    if as_json:
        print_json(saga)
    else:
        click.echo(f"{saga.name} {saga.id} {news}.")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"


def _note(step: StepSummary) -> str:
    return step.error or step.reply or ""
