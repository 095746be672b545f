"""`meristem sagas`: list sagas, show one step by step and what it waits for, retry or cancel one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import click

from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_option
from meristem.cli.output import counted, print_json, print_table
from meristem.cli.progress import CountingProgress, telling_interrupts
from meristem.cli.saga_answers import SagaAnswers
from meristem.cli.saga_forking import fork
from meristem.cli.saga_journals import export, replay
from meristem.cli.saga_listing import list_
from meristem.cli.saga_lookup import ask_one, check_saga, of_one_saga, service_option, shown_state, shown_time
from meristem.cli.saga_patches import drain_check
from meristem.cli.saga_signals import signal
from meristem.cli.verb_groups import VerbGroup
from meristem.sagas.records import SagaState
from meristem.sagas.saga_views import Diagnosis, SagaDetails, SagaSummary, StepSummary


@click.group(cls=VerbGroup)
def sagas() -> None:
    """List and show sagas, let them go on or end, and try new code with them."""


for _verb in (list_, export, fork, replay, drain_check, signal):
    sagas.add_command(_verb)


@sagas.command()
@of_one_saga
@click.option("--values", is_flag=True, help="Show input, replies and result; they may be private.")
def show(
    saga_id: str, target: str | None, placement: Path | None, service: str | None, *, values: bool, as_json: bool
) -> None:
    """Show a saga with its steps, what it waits for, and what helps."""
    details: SagaDetails = ask_one(
        saga_id, target, placement, service, lambda sagas, of, found: sagas.show(of, found, values=values)
    )
    if as_json:
        print_json(details)
        return
    saga = details.saga
    click.secho(f"{saga.name} {saga.id}: {shown_state(saga)}", bold=True)
    of = f", forked from {details.fork_of}" if details.fork_of else ""
    of += f", by step {details.parent.position} of {details.parent.id}" if details.parent else ""
    click.echo(f"  began {shown_time(saga.created)}, version {saga.version}{of}")
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
    if details.signals:
        rows = [[each.name, shown_time(each.received), each.body or ""] for each in details.signals]
        print_table("signals that it has not read", ["signal", "came", ""], rows, "")


def _print_diagnosis(found: Diagnosis) -> None:
    until = "" if found.until is None else f", until {shown_time(found.until)}"
    click.echo(f"  waits: {found.text}, since {shown_time(found.since)}{until}")
    if found.error:
        click.echo(f"  error: {found.error}")
    click.echo(f"  helps: {found.helps}")


def _of_one_or_all(which: str) -> Callable[[Any], Any]:
    """The argument and the options of a verb that is about one saga, or about all that are as it takes them."""

    def with_options(verb: Any) -> Any:
        for option in reversed((
            click.argument("saga_id", required=False),
            system_option,
            placement_option,
            service_option,
            click.option("--all", "everything", is_flag=True, help=which),
            click.option("--saga", "name", metavar="NAME", help="With --all: those of this name."),
            json_option,
        )):  # fmt: skip
            verb = option(verb)
        return verb

    return with_options


@sagas.command()
@_of_one_or_all("Every parked saga.")
def retry(
    saga_id: str | None, target: str | None, placement: Path | None, service: str | None, name: str | None, *,
    everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """Let a parked saga go on where it stopped, or all of them."""
    _check_which("retry", saga_id, name, everything=everything)
    if saga_id is not None:
        saga = ask_one(saga_id, target, placement, service, lambda sagas, of, found: sagas.retry(of, found))
        _tell(saga, f"is {saga.state} and goes on as soon as its service runs", as_json=as_json)
        return
    retried = _change_all("retry", target, placement, service, name)
    _tell_all(retried, "will go on as soon as the services run", as_json=as_json)


@sagas.command()
@_of_one_or_all("Every saga that goes on or is parked, and is not undone already.")
def cancel(
    saga_id: str | None, target: str | None, placement: Path | None, service: str | None, name: str | None, *,
    everything: bool, as_json: bool,
) -> None:  # fmt: skip
    """Have a saga undo what it did, or all of them."""
    _check_which("cancel", saga_id, name, everything=everything)
    if saga_id is None:
        cancelled = _change_all("cancel", target, placement, service, name)
        _tell_all(cancelled, "will be undone as soon as the services run", as_json=as_json)
        return
    saga = ask_one(saga_id, target, placement, service, lambda sagas, of, found: sagas.cancel(of, found))
    # One that was cancelled before may have come further by now.
    if saga.state is SagaState.PARKED:
        text = f"{saga.name} {saga.id} is undone already, and parked meanwhile: `meristem sagas retry` it"
        raise click.BadParameter(text, param_hint="SAGA_ID")
    news = {SagaState.FAILED: "was cancelled before, and is undone", SagaState.UNDOING: "is being undone"}
    _tell(saga, news.get(saga.state, "will be undone as soon as its service runs"), as_json=as_json)


def _check_which(verb: str, saga_id: str | None, name: str | None, *, everything: bool) -> None:
    if (saga_id is None) != everything or (name is not None and not everything):
        raise click.UsageError(f"which? sagas {verb} SAGA_ID, or --all, of which --saga NAME takes those of one name")


def _change_all(
    verb: Literal["retry", "cancel"], target: str | None, placement: Path | None, service: str | None, name: str | None
) -> dict[str, list[SagaSummary]]:
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    told = CountingProgress({"retry": "let go on", "cancel": "cancelled"}[verb])
    with telling_interrupts("what is done stays so; the same command goes on with the others"):
        changed = SagaAnswers(blueprint, directory, service).change_all(verb, name, told.tell)
    if name is not None and not any(changed.values()):
        check_saga(blueprint, name)
    return changed


def _tell_all(changed: dict[str, list[SagaSummary]], news: str, *, as_json: bool) -> None:
    if as_json:
        print_json(changed)
    else:
        click.echo(f"{counted(sum(map(len, changed.values())), 'saga')} {news}.")


def _tell(saga: SagaSummary, news: str, *, as_json: bool) -> None:
    if as_json:
        print_json(saga)
    else:
        click.echo(f"{saga.name} {saga.id} {news}.")


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.1f}"


def _note(step: StepSummary) -> str:
    return step.error or step.reply or ""
