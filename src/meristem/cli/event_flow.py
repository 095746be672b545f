"""`meristem events list` and `publish`: which events there are and how they are doing, and one more of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from meristem.cli.databases import in_each, open_database
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument, system_option
from meristem.cli.output import print_json, print_table
from meristem.clock import SystemClock
from meristem.context import Context
from meristem.contracts.codec import decoder, violation
from meristem.errors import OperationError
from meristem.events import statements
from meristem.events.brokers.broker import BrokerBus
from meristem.events.bus_positions import BusPositions
from meristem.events.delivery import Depth
from meristem.events.envelope import enclose
from meristem.events.outbox import Outbox
from meristem.events.waiting import waiting_in
from meristem.storage.lease import Lease
from meristem.system.event_flow import EventFlow, bus_of, destinations_of, event_classes, flows_of, owners

if TYPE_CHECKING:
    from meristem.contracts.message import Event
    from meristem.storage.database import Database
    from meristem.system.blueprint import Blueprint


class Subscriber(msgspec.Struct):
    """How a subscriber is doing: what waits for it in outboxes, what a broker still has for it, what is dead.

    `lag` is None where no broker has anything for it, or could not be asked; times are seconds since the epoch.
    """

    name: str
    waiting: int = 0
    oldest: float | None = None
    failed: int = 0
    lag: int | None = None
    dead: int = 0


class EventListing(msgspec.Struct):
    """What `list` tells; `unreachable` says why a broker could not be asked, `unread` which code is not importable."""

    events: list[EventFlow]
    subscribers: list[Subscriber]
    unreachable: str | None
    unread: dict[str, str]


class _Found(msgspec.Struct):
    """What the database of one service knows, with its own lag."""

    waiting: list[Any]
    dead: list[Depth]
    lag: int | None = None
    unreachable: str | None = None


@click.command("list")
@system_argument
@placement_option
@json_option
def list_events(target: str | None, placement: Path | None, *, as_json: bool) -> None:
    """List the events, who publishes and who hears them, and what each subscriber has waiting, behind and dead."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    listing = _listing(blueprint, directory)
    if as_json:
        print_json(listing)
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


def _listing(blueprint: Blueprint, directory: Path) -> EventListing:
    bus = bus_of(blueprint)
    hears = [each.name for each in blueprint.plan.services if each.hears]
    unreachable: str | None = None

    async def find(name: str, database: Database) -> _Found:
        nonlocal unreachable
        found = _Found(await waiting_in(database), list(await database.fetch_all(statements.DEAD, into=Depth)))
        if isinstance(bus, BrokerBus) and name in hears and unreachable is None:
            try:
                found.lag = await bus.lag_of(blueprint.plan.service(name).kept_as, BusPositions(database))
            except OperationError as error:
                unreachable = str(error)
        return found

    found = in_each(blueprint, directory, None, find)
    classes, unread = event_classes(blueprint)
    known = [*hears, *blueprint.placement.events.subscribers]
    subscribers = _subscribers(known, found, blueprint.plan.called_now)
    return EventListing(flows_of(blueprint, classes), subscribers, unreachable, unread)


def _subscribers(hears: Iterable[str], found: dict[str, _Found], called: Callable[[str], str]) -> list[Subscriber]:
    known = {name: Subscriber(name) for name in hears}
    for service, each in found.items():
        for waiting in each.waiting:
            name = called(waiting.subscriber)
            one = known.setdefault(name, Subscriber(name))
            one.waiting += waiting.count
            one.failed += waiting.failed
            one.oldest = waiting.oldest if one.oldest is None else min(one.oldest, waiting.oldest)
        for dead in each.dead:
            name = called(dead.subscriber)
            known.setdefault(name, Subscriber(name)).dead += dead.count
        if each.lag is not None:
            known[service].lag = each.lag
    return list(known.values())


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
    event = _event(blueprint, event_type, data)
    publisher = _publisher(blueprint, event_type, service)
    destinations = destinations_of(blueprint, event_type)
    if not destinations:
        raise click.UsageError(f"no service hears {event_type}: nothing was published")

    async def put(name: str, database: Database) -> str:
        clock, source = SystemClock(), f"//{blueprint.system.name}/{name}"
        outbox = Outbox(database, source, lambda _: destinations, clock, Lease(database, f"publish/{name}"))
        envelope = enclose(event, source, clock.now(), Context())
        async with database.unit() as unit:
            for each in destinations:
                await outbox.take_in(unit, each, [envelope])
        return envelope.id

    place = open_database(blueprint, directory, publisher) if publisher in _keepers(blueprint) else None
    if place is not None and (place.is_temporary or not place.exists()):
        raise OperationError(f"{publisher} has no database that lasts yet: run the system once, then publish")
    [(_, event_id)] = in_each(blueprint, directory, publisher, put, make=True).items()
    if as_json:
        print_json({"id": event_id, "type": event_type, "publisher": publisher, "destinations": destinations})
    else:
        to = ", ".join(map(blueprint.plan.called_now, destinations))
        click.echo(f"{event_id} is published by {publisher}, to {to}.")


def _event(blueprint: Blueprint, event_type: str, data: str) -> Event:
    classes, unread = event_classes(blueprint)
    if event_type not in classes:
        there_are = ", ".join(sorted(classes)) or "none"
        missing = f"; {', '.join(unread)} can't be imported here" if unread else ""
        raise click.BadParameter(f"no event {event_type!r}; there are {there_are}{missing}", param_hint="TYPE")
    event_class = classes[event_type]
    try:
        event: Event = decoder(event_class)(data.encode())
        given = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        found = violation(error)
        raise click.BadParameter(f"{found.field or 'the event'}: {found.reason}", param_hint="JSON") from None
    fields = [each.encode_name for each in msgspec.structs.fields(event_class)]
    # A reader ignores what it doesn't know; of who writes it is a mistake.
    if unknown := [name for name in given if name not in fields]:
        there_are = ", ".join(fields) or "none"
        raise click.BadParameter(f"{event_type} has no field {unknown[0]!r}; there are {there_are}", param_hint="JSON")
    return event


def _keepers(blueprint: Blueprint) -> list[str]:
    return [each.name for each in blueprint.plan.services if each.database]


def _publisher(blueprint: Blueprint, event_type: str, service: str | None) -> str:
    if service is not None:
        return service  # whether it has a database is seen where that is opened
    found = owners(blueprint, event_type)
    if len(found) == 1:
        return found[0]
    package = event_type.rpartition(".")[0]
    who = f"{', '.join(found)} all have" if found else "no service with a database has"
    raise click.UsageError(f"{who} a contract in {package}; add --service, one of {', '.join(_keepers(blueprint))}")
