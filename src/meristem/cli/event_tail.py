"""`meristem events tail`: what passes of events in a running system, as it passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import click
import msgspec

from meristem.cli.loading_system import json_option, load_blueprint, placement_option, system_argument
from meristem.errors import OperationError
from meristem.events.bus import BROKER
from meristem.operators.passing import PATH
from meristem.runtime.event_tap import Passage, Passed
from meristem.supervision.readiness import fetched
from meristem.system.state_directory import StateDirectory

if TYPE_CHECKING:
    from meristem.system.system_status import SystemStatus

_PAUSE: Final = 0.1  # seconds between two looks
_HOWS: Final = {"published": "by", "delivered": "to", "retried": "to", "dead": "of"}


@click.command()
@system_argument
@placement_option
@click.option("--type", "event_type", help="Only events of this type.")
@click.option("--service", help="Only what this service publishes or is handed.")
@json_option
def tail(
    target: str | None, placement: Path | None, event_type: str | None, service: str | None, *, as_json: bool
) -> None:
    """Show events as they are published and handed over, until Ctrl-C."""
    blueprint, directory = load_blueprint(target, placement, as_it_runs=True)
    state = StateDirectory(directory, blueprint.system.name)
    _running(state)
    called = blueprint.plan.called_now

    def show(passed: Passed) -> None:
        named = msgspec.structs.replace(passed, service=called(passed.service).removeprefix(BROKER))
        if (event_type or named.type) == named.type and called(service or named.service) == named.service:
            click.echo(msgspec.json.encode(named).decode() if as_json else _line(named))

    asyncio.run(_follow(state, show))


async def _follow(state: StateDirectory, show: Callable[[Passed], None]) -> None:
    seen: dict[str, str] = {}
    while True:
        address = _socket(_running(state))
        try:
            body = await fetched(address, f"{PATH}?{urlencode({'after': msgspec.json.encode(seen).decode()})}")
        except OSError:  # it ends, or is just starting again: the next look tells
            await asyncio.sleep(_PAUSE)
            continue
        told = msgspec.json.decode(body, type=dict[str, Passage])
        if lost := sum(each.lost for each in told.values()):
            click.echo(f"{lost} more have passed than could be shown", err=True)
        for passed in _in_order(told.values()):
            show(passed)
        seen |= {name: each.after for name, each in told.items()}
        await asyncio.sleep(_PAUSE)


def _running(state: StateDirectory) -> SystemStatus:
    running = state.running()
    if running is None:
        raise OperationError(f"{state.path.name} does not run from here: start it, then look at its events")
    return running


def _socket(running: SystemStatus) -> str:
    if running.operator_socket is None:
        raise OperationError("events are told at a Unix socket alone, and there are none where this system runs")
    return running.operator_socket


def _in_order(told: Iterable[Passage]) -> list[Passed]:
    return sorted((passed for each in told for passed in each.events), key=lambda passed: passed.at)


def _line(passed: Passed) -> str:
    at = datetime.fromtimestamp(passed.at, UTC).strftime("%H:%M:%S.%f")[:-3]
    parts = [at, f"{passed.what:<9}", passed.type, _HOWS[passed.what], passed.service]
    if passed.what == "delivered" and passed.seconds is not None:
        parts.append(f"after {passed.seconds * 1000:.0f} ms")
    if passed.attempt is not None and passed.attempt > 1:
        parts.append(f"(attempt {passed.attempt})")
    parts.append(bytes(passed.data).decode() if passed.data else passed.error or "")
    return " ".join(parts).rstrip()
