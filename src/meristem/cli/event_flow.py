"""`meristem events list` and `publish`: which events there are and how they are doing, and one more of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import msgspec

from meristem.cli.databases import names_with_database
from meristem.cli.event_answers import EventAnswers
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument, system_option
from meristem.cli.output import print_json, print_table
from meristem.cli.running_or_databases import warn_of
from meristem.errors import CallError, Code
from meristem.operators.event_contract import EventTypeView, SubscriberView
from meristem.system.event_flow import event_classes, flows_of, owners

if TYPE_CHECKING:
    from meristem.system.blueprint import Blueprint

HINTS: Final = {Code.NOT_FOUND: "TYPE", Code.INVALID_ARGUMENT: "JSON"}  # which argument a refusal is about


@click.command("list")
@system_argument
@placement_option
@json_option
def list_events(target: str | None, placement: Path | None, *, as_json: bool) -> None:
    """List the events, who publishes and who hears them, and what each subscriber has waiting, behind and dead."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    listing = EventAnswers(blueprint, directory, asks_broker=True).overview()
    warn_of(listing.silent)
    if as_json:
        print_json(EventListing(listing.events, listing.subscribers, listing.unreachable, listing.unread))
        return
    for service, why in listing.unread.items():
        click.echo(f"{service} can't be imported here, events of its code alone are not listed: {why}", err=True)
    if listing.unreachable is not None:
        click.echo(f"{listing.unreachable}; the lag is not known", err=True)
    rows = [
        [
            each.type,
            ", ".join((*each.publishers, *(f"outside ({role})" for role in each.accepted_from))),
            ", ".join((*each.subscribers, *(f"{name} (outside)" for name in each.webhooks))),
        ]
        for each in listing.events
    ]
    print_table("events", ["event", "published by", "heard by"], rows, "No events.")
    if listing.subscribers:
        figures = [
            [each.name, str(each.waiting), str(each.failed), "" if each.lag is None else str(each.lag), str(each.dead)]
            for each in listing.subscribers
        ]
        click.echo()
        print_table("subscribers", ["subscriber", "waiting", "failed", "lag", "dead"], figures, "")


class EventListing(msgspec.Struct):
    """What `list` tells; `unreachable` says why a broker could not be asked, `unread` which code is not importable."""

    events: list[EventTypeView]
    subscribers: list[SubscriberView]
    unreachable: str | None
    unread: dict[str, str]


@click.command()
@system_argument
@placement_option
def asyncapi(target: str | None, placement: Path | None) -> None:
    """Write the events as AsyncAPI 3.0, for those who publish or hear them from outside."""
    from meristem.system.asyncapi import document  # noqa: PLC0415 - only this verb writes AsyncAPI

    blueprint, _ = load_blueprint(target, placement)
    classes, unread = event_classes(blueprint)
    for service, why in unread.items():
        click.echo(f"{service} can't be imported here, events of its code alone are missing: {why}", err=True)
    system = blueprint.system
    click.echo(document(flows_of(blueprint, classes), classes, name=system.name, about=system.about))


@click.command()
@click.argument("event_type", metavar="TYPE")
@click.argument("data", metavar="JSON")
@system_option
@placement_option
@click.option("--service", help="Who publishes it; by default the service that has a contract in its package.")
@json_option
def publish(
    event_type: str, data: str, target: str | None, placement: Path | None, service: str | None, *, as_json: bool
) -> None:
    """Publish an event: put it into the outbox of the service that owns its package, and say its id."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    answers = EventAnswers(blueprint, directory)
    publisher = _publisher(answers, blueprint, event_type, service)
    try:
        published = answers.publish(publisher, event_type, data)
    except CallError as error:
        if error.code is Code.FAILED_PRECONDITION:  # nobody would get it
            raise click.UsageError(error.message) from None
        if error.code not in HINTS:
            raise
        unseen = _unseen(answers) if error.code is Code.NOT_FOUND else ""
        raise click.BadParameter(f"{error.message}{unseen}", param_hint=HINTS[error.code]) from None
    if as_json:
        print_json(published)
    else:
        to = ", ".join(map(blueprint.plan.called_now, published.destinations))
        click.echo(f"{published.id} is published by {publisher}, to {to}.")


def _unseen(answers: EventAnswers) -> str:
    """Whose events may be missing among those that there are."""
    unread = answers.unread
    return f"; {', '.join(unread)} can't be imported here" if unread else ""


def _keepers(blueprint: Blueprint) -> list[str]:
    return [each.name for each in blueprint.plan.services if each.database]


def _publisher(answers: EventAnswers, blueprint: Blueprint, event_type: str, service: str | None) -> str:
    if service is not None:
        [found] = names_with_database(blueprint, service)
        return found
    known = owners(blueprint, event_type)
    if len(known) == 1:
        return known[0]
    if event_type not in answers.classes:
        there_are = f"there are {', '.join(sorted(answers.classes)) or 'none'}{_unseen(answers)}"
        raise click.BadParameter(f"no event {event_type!r}; {there_are}", param_hint="TYPE")
    package = event_type.rpartition(".")[0]
    who = f"{', '.join(known)} all have" if known else "no service with a database has"
    raise click.UsageError(f"{who} a contract in {package}; add --service, one of {', '.join(_keepers(blueprint))}")
