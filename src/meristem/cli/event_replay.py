"""`meristem events replay`: a service hears again what a broker keeps."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from meristem.cli.databases import in_each, open_database
from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.cli.moments import Moment
from meristem.cli.output import print_json
from meristem.errors import OperationError
from meristem.events.brokers.broker import BrokerBus
from meristem.events.bus_positions import BusPositions, Replay
from meristem.runtime.schema import running_on
from meristem.system.event_flow import bus_of

if TYPE_CHECKING:
    from meristem.storage.database import Database

FIRST = "first"


@click.command()
@click.option("--subscriber", required=True, help="The service that is to hear events again.")
@click.option(
    "--since", type=Moment(), help="From this time on, or from so long ago: 2h, 7d; UTC unless it says otherwise."
)
@click.option("--from", "position", help="From a position of a NATS stream on, or from the `first` that is kept.")
@click.option("--again", is_flag=True, help="Also those that it has handled.")
@system_argument
@placement_option
@json_option
def replay(
    subscriber: str,
    since: datetime | None,
    position: str | None,
    target: str | None,
    placement: Path | None,
    *,
    again: bool,
    as_json: bool,
) -> None:
    """Have a service take in again what a broker keeps: it handles what it has not, and with --again all of it."""
    past = _past(since, position, again=again)
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    subscriber = blueprint.plan.called_now(subscriber)
    hears = [each.name for each in blueprint.plan.services if each.hears]
    if subscriber not in hears:
        there_are = ", ".join(hears) or "none"
        raise click.BadParameter(
            f"no service {subscriber!r} hears events; there are {there_are}", param_hint="--subscriber"
        )
    bus = bus_of(blueprint)
    if not isinstance(bus, BrokerBus):
        text = (
            "this system's bus keeps no event that was handled, so there is nothing to replay; brokers do: nats, kafka"
        )
        raise click.UsageError(text)
    kept = open_database(blueprint, directory, subscriber)
    if kept.is_temporary or not kept.exists():
        raise OperationError(f"{subscriber} has no database that lasts yet: run the system once, then replay")

    async def rewind(name: str, database: Database) -> str:
        if bus.rewinds_at_rest and (replicas := await running_on(database)):
            raise OperationError(f"{name} runs ({', '.join(replicas)}): stop it, so that this counts; then replay")
        return await bus.rewind(blueprint.plan.service(name).kept_as, BusPositions(database), past)

    [begins] = in_each(blueprint, directory, subscriber, rewind, make=True).values()
    if as_json:
        print_json({"subscriber": subscriber, "from": begins, "again": again})
    else:
        known = "all of it again" if again else "what it has not handled yet"
        click.echo(f"{subscriber} takes in from {begins}, and handles {known}.")


def _past(since: datetime | None, position: str | None, *, again: bool) -> Replay:
    if (since is None) == (position is None):
        raise click.UsageError("from where? give one of --since TIME and --from POSITION")
    if since is not None:
        return Replay(since=since.astimezone(UTC), again=again)
    if position == FIRST:
        return Replay(again=again)
    if position is None or not position.isdecimal() or not int(position):
        text = f"{position!r} is no position; give a number from 1, or {FIRST}"
        raise click.BadParameter(text, param_hint="--from")
    return Replay(position=int(position), again=again)
