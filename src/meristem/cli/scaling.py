"""`meristem scale`: run more or fewer replicas of a process, until the run ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from meristem.cli.loading_system import system_option
from meristem.cli.output import counted
from meristem.cli.progress import telling_interrupts
from meristem.cli.running_operators import ask_running
from meristem.cli.running_systems import supervised_system
from meristem.errors import OperationError
from meristem.operators.supervision_contract import MOST_REPLICAS, ProcessControl

if TYPE_CHECKING:
    from meristem.operators.supervision_contract import ChangeView
    from meristem.system.system_status import SystemStatus

NO_CONTRACT: Final = "does not answer its operators; does its placement say [operator] dashboard = false?"
AGAIN: Final = 0.2  # seconds until it is asked again how far it is


@click.command()
@click.argument("process")
@click.argument("replicas", type=click.IntRange(1, MOST_REPLICAS))
@system_option
@click.option("--name", help="Which system, where several run from here; `meristem ps` shows them.")
@click.option("--wait", is_flag=True, help="End when it has that many, or with what kept it from it.")
def scale(target: str | None, process: str, replicas: int, *, name: str | None, wait: bool) -> None:
    """Run so many replicas of a process until the run ends; no request is lost, and the placement file stays."""
    state, running = supervised_system(target, name)
    change = ask_running(running, ProcessControl, lambda system: system.scale(process, replicas))
    if change is None:
        raise OperationError(f"{state.path.name} {NO_CONTRACT}")
    if wait:
        with telling_interrupts("it goes on without being waited for; `meristem ps` shows its processes"):
            _wait_for(running, change)
        click.echo(f"process {process} has {counted(replicas, 'replica')}")
    else:
        click.echo(f"asked process {running.pid}; its log tells how it goes")


def _wait_for(running: SystemStatus, change: ChangeView) -> None:
    while change.state == "running":
        time.sleep(AGAIN)
        told = ask_running(running, ProcessControl, lambda system: system.supervision())
        if told is None:
            raise OperationError("the system has ended")
        change = next((each for each in told.changes if each.number == change.number), change)
    if change.state == "failed":
        raise OperationError(f"process {change.name} has as many replicas as before: {change.problem}")
