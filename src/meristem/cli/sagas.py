"""`meristem sagas`: list sagas, show one step by step, retry or cancel one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meristem.cli.databases import in_each
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument, system_option
from meristem.cli.output import print_json, print_table
from meristem.errors import CallError
from meristem.sagas.administration import SagaDetails, SagaStore, SagaSummary
from meristem.sagas.records import SagaState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.storage.database import Database

service_option = click.option("--service", help="Only sagas of this service.")


@click.group()
def sagas() -> None:
    """List, show and retry sagas."""


@sagas.command(name="list")
@system_argument
@placement_option
@service_option
@click.option("--state", type=click.Choice([each.value for each in SagaState]), help="Only those in this state.")
@click.option("--limit", default=100, show_default=True)
@json_option
def list_(
    target: str | None, placement: Path | None, service: str | None, state: str | None, limit: int, *, as_json: bool
) -> None:
    """List sagas, the newest first."""

    async def find(_: str, database: Database) -> list[SagaSummary]:
        store = SagaStore(database)
        return await store.list(SagaState(state) if state else None, limit=limit)

    blueprint, directory = load_blueprint(target, placement)
    found = in_each(blueprint, directory, service, find)
    if as_json:
        print_json(found)
        return
    rows = [
        [name, each.id, each.name, each.state, f"{each.updated:%Y-%m-%d %H:%M:%S}", each.problem or each.error or ""]
        for name, summaries in found.items()
        for each in summaries
    ]
    print_table("sagas", ["service", "id", "saga", "state", "updated", "problem"], rows, "No sagas.")


def of_one_saga(verb: Any) -> Any:
    """The argument and the options of a verb that is about one saga."""
    for each in (json_option, service_option, placement_option, system_option, click.argument("saga_id")):
        verb = each(verb)
    return verb


@sagas.command()
@of_one_saga
@click.option("--values", is_flag=True, help="Show input, replies and result; they may be private.")
def show(
    saga_id: str, target: str | None, placement: Path | None, service: str | None, *, values: bool, as_json: bool
) -> None:
    """Show a saga with its steps."""
    details: SagaDetails = _of_one(
        saga_id, target, placement, service, lambda store, found: store.show(found, values=values)
    )
    if as_json:
        print_json(details)
        return
    saga = details.saga
    click.secho(f"{saga.name} {saga.id}: {saga.state}", bold=True)
    for line in (saga.problem, saga.error, details.input, details.result):
        if line:
            click.echo(f"  {line}")
    rows = [
        [each.position, each.kind, each.name, each.state, str(each.attempts), _milliseconds(each.seconds), _note(each)]
        for each in details.steps
    ]
    if (now := details.under_way) is not None:
        where = f"at {now.replica}" if now.replica else "at no replica that lives"
        rows.append([now.position or "", "", "", "under way", "", "", f"since {now.since:%Y-%m-%d %H:%M:%S} {where}"])
    print_table("steps", ["step", "kind", "name", "state", "attempts", "ms", ""], rows, "No step yet.")


@sagas.command()
@of_one_saga
def retry(saga_id: str, target: str | None, placement: Path | None, service: str | None, *, as_json: bool) -> None:
    """Let a parked saga go on where it stopped."""
    saga: SagaSummary = _of_one(saga_id, target, placement, service, lambda store, found: store.retry(found))
    _tell(saga, f"is {saga.state} and goes on as soon as its service runs", as_json=as_json)


@sagas.command()
@of_one_saga
def cancel(saga_id: str, target: str | None, placement: Path | None, service: str | None, *, as_json: bool) -> None:
    """Have a saga undo what it did."""
    saga: SagaSummary = _of_one(saga_id, target, placement, service, lambda store, found: store.cancel(found))
    _tell(saga, "will be undone as soon as its service runs", as_json=as_json)


def _tell(saga: SagaSummary, news: str, *, as_json: bool) -> None:
    if as_json:
        print_json(saga)
    else:
        click.echo(f"{saga.name} {saga.id} {news}.")


def _of_one(prefix: str, target: str | None, placement: Path | None, service: str | None, work: Any) -> Any:
    """The answer for the one saga whose id begins so; a wrong argument otherwise, or where its state forbids it."""
    blueprint, directory = load_blueprint(target, placement)

    async def look(_: str, database: Database) -> Sequence[str]:
        return await SagaStore(database).ids(prefix) if prefix else []

    found = [(name, each) for name, ids in in_each(blueprint, directory, service, look).items() for each in ids]
    if not found:
        text = "no service has a saga of this id; `meristem sagas list` shows them"
        raise click.BadParameter(text, param_hint="SAGA_ID")
    if len(found) > 1:
        several = ", ".join(each for _, each in found)
        raise click.BadParameter(f"several sagas begin so: {several}; write more of it", param_hint="SAGA_ID")
    ((owner, saga_id),) = found

    async def ask(_: str, database: Database) -> Any:
        try:
            return await work(SagaStore(database), saga_id)
        except CallError as error:
            raise click.BadParameter(error.message, param_hint="SAGA_ID") from None

    return in_each(blueprint, directory, owner, ask)[owner]


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"


def _note(step: Any) -> str:
    return step.error or step.reply or ""
