"""`meristem events`: which there are, what waits to be delivered, dead letters, and their way back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from meristem.cli.databases import names_with_database
from meristem.cli.event_answers import EventAnswers
from meristem.cli.event_flow import asyncapi, list_events, publish
from meristem.cli.event_replay import replay
from meristem.cli.event_tail import tail
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument, system_option
from meristem.cli.output import counted, print_json, print_table
from meristem.cli.running_or_databases import warn_of
from meristem.cli.verb_groups import VerbGroup
from meristem.errors import CallError, Code, OperationError
from meristem.operators.event_contract import ChosenLetters, LettersLike

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.operators.event_contract import DeadLetterView

service_option = click.option("--service", help="Only events that this service published.")


@click.group(cls=VerbGroup)
def events() -> None:
    """Show what there is, what waits and what is dead, publish, and deliver again."""


events.add_command(list_events)
events.add_command(publish)
events.add_command(replay)
events.add_command(tail)
events.add_command(asyncapi)


@events.command()
@system_argument
@placement_option
@service_option
@json_option
def dead(target: str | None, placement: Path | None, service: str | None, *, as_json: bool) -> None:
    """List the events that a subscriber could not handle."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    found = EventAnswers(blueprint, directory, service).letters(values=as_json)
    if as_json:
        print_json({publisher: [_plain(each) for each in letters] for publisher, letters in found.items()})
        return
    rows = [
        [publisher, str(each.id), each.type, each.subscriber, str(each.attempts), each.error or ""]
        for publisher, letters in found.items()
        for each in letters
    ]
    columns = ["publisher", "id", "event", "subscriber", "attempts", "error"]
    print_table("dead letters", columns, rows, "No dead letters.")


@events.command()
@system_argument
@placement_option
@service_option
@json_option
def waiting(target: str | None, placement: Path | None, service: str | None, *, as_json: bool) -> None:
    """List what waits to be delivered, and why: a subscriber that is away, or an outage of what it needs."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    overview = EventAnswers(blueprint, directory, service).overview()
    warn_of(overview.silent)
    found = {each.service: each.waiting for each in overview.outboxes}
    if as_json:
        print_json(found)
        return
    rows = [
        [
            publisher,
            each.subscriber,
            str(each.count),
            moment(each.oldest),
            str(each.failed),
            moment(each.due_at),
            each.error or "",
        ]
        for publisher, subscribers in found.items()
        for each in subscribers
    ]
    columns = ["publisher", "subscriber", "events", "since", "failed", "next attempt", "error"]
    print_table("waiting events", columns, rows, "No events wait.")


def _plain(letter: DeadLetterView) -> dict[str, Any]:
    """A letter without the publisher, under which it stands."""
    told: dict[str, Any] = msgspec.to_builtins(letter)
    del told["service"]
    return told


def moment(seconds: float | None) -> str:
    """A time in seconds since the epoch as people read it, in UTC."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(" ", "seconds")


def _which(verb: Any) -> Any:
    """The options that say which dead letters a verb is about."""
    options = (
        click.argument("numbers", type=int, nargs=-1, metavar="[NUMBER]..."),
        system_option,
        placement_option,
        service_option,
        click.option("--subscriber", help="Only those of this subscriber."),
        click.option("--all", "everything", is_flag=True, help="All of them."),
        json_option,
    )
    for option in reversed(options):
        verb = option(verb)
    return verb


@events.command()
@_which
def redrive(numbers: tuple[int, ...], *, everything: bool, **options: Any) -> None:
    """Deliver dead letters again: some by their numbers, those of a subscriber, or all."""
    _apply("redrive", numbers, everything=everything, **options)


@events.command()
@_which
def discard(numbers: tuple[int, ...], *, everything: bool, **options: Any) -> None:
    """Give dead letters up for good; of a subscriber that the system has no more also what still waits for it."""
    _apply("discard", numbers, everything=everything, **options)


def _apply(
    verb: str,
    numbers: tuple[int, ...],
    *,
    target: str | None,
    placement: Path | None,
    service: str | None,
    subscriber: str | None,
    everything: bool,
    as_json: bool,
) -> None:
    if not numbers and subscriber is None and not everything:
        raise click.UsageError(f"which? events {verb} NUMBER --service NAME, --subscriber NAME or --all")
    if numbers and everything:
        raise click.UsageError(f"some or all? events {verb} NUMBER means those letters alone, --all every one")
    if numbers and service is None:
        raise click.UsageError("numbers are each publisher's own: add --service, the publisher that `dead` shows")
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    answers = EventAnswers(blueprint, directory, service)
    chosen = ChosenLetters(like=LettersLike(service=service or "", subscriber=subscriber or ""))
    if numbers and service is not None:
        chosen = ChosenLetters(numbers={service: [*numbers]})
        _check_subscriber(answers, service, numbers, subscriber and blueprint.plan.called_now(subscriber))
    try:
        told = answers.change(verb, chosen)
    except CallError as error:
        if error.code is not Code.INVALID_ARGUMENT:
            raise
        raise click.BadParameter(error.message, param_hint="--subscriber") from None
    found = {name: told.changed.get(name, 0) for name in names_with_database(blueprint, service)}
    if numbers and not any(found.values()):
        text = f"{service} has no dead letter {' or '.join(map(str, numbers))}; `meristem events dead` shows them"
        raise click.BadParameter(text, param_hint="NUMBER")
    if as_json:
        print_json(found)
    else:
        done = {"redrive": "to be delivered again", "discard": "discarded"}[verb]
        click.echo(f"{counted(sum(found.values()), 'event')} {done}.")
    if told.silent:
        services = ", ".join(told.silent)
        raise OperationError(f"{services} did not answer: look by `meristem events dead` what is left there")


def _check_subscriber(answers: EventAnswers, service: str, numbers: Sequence[int], subscriber: str | None) -> None:
    """Refuse letters of others than the one that was named, if one was: nothing is done then."""
    whose = {} if subscriber is None else answers.subscribers(service, numbers)
    if others := [f"{number} is {name}'s" for number, name in whose.items() if name != subscriber]:
        text = f"not all of these letters are {subscriber}'s: {', '.join(others)}; leave it out to mean their numbers"
        raise click.BadParameter(text, param_hint="--subscriber")
