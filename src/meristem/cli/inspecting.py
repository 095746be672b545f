"""`meristem ps` and `meristem reload`: look at a running system and start it anew."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click
import msgspec

from meristem.cli.loading_system import json_option, system_argument
from meristem.cli.output import print_json, print_table
from meristem.cli.renewal import ask_to_reload, reload_and_wait
from meristem.cli.running_operators import ask_running
from meristem.cli.running_systems import running_systems, supervised_system
from meristem.operators.operator_contract import Operator
from meristem.system.process_memory import memory_of

if TYPE_CHECKING:
    from meristem.operators.operator_contract import ProcessView
    from meristem.system.system_status import ReplicaStatus, SystemStatus

EXTERNAL: Final = "external"


class Row(msgspec.Struct, frozen=True):
    """A process or program of a system as `meristem ps` shows it: `uptime` in seconds in its state, `memory` in bytes.

    A system of another team has neither, for nobody here knows how it fares.
    """

    system: str
    name: str
    replica: int
    pid: int | None
    state: str
    restarts: int
    uptime: float | None
    memory: int | None
    address: str | None


@click.command()
@system_argument
@json_option
def ps(target: str | None, *, as_json: bool) -> None:
    """Show the processes of the systems that run from this project's folder."""
    rows = [row for state, running in running_systems(target) for row in rows_of(state.path.name, running, time.time())]
    if as_json:
        print_json(rows)
        return
    columns = ["process", "replica", "pid", "state", "restarts", "uptime", "memory"]
    cells = [_cells(row) for row in rows]
    if len({row.system for row in rows}) > 1:  # whose each is; of the one there is nothing to tell apart
        columns, cells = ["system", *columns], [[row.system, *own] for row, own in zip(rows, cells, strict=True)]
    print_table("", columns, cells, "Nothing runs from here.")


@click.command()
@system_argument
@click.option("--name", help="Which system, where several run from here; `meristem ps` shows them.")
@click.option("--wait", is_flag=True, help="End when the new processes are ready, or with what kept one from it.")
@click.option("--gateway", is_flag=True, help="Take the [gateway] of the placement anew, and start no process.")
def reload(target: str | None, *, name: str | None, wait: bool, gateway: bool) -> None:
    """Start every process of a running system anew, one replica after the other; no request is lost."""
    state, running = supervised_system(target, name)
    if gateway:
        from meristem.cli.gateway_renewal import renew_gateway  # noqa: PLC0415 - a plan takes time to import

        renew_gateway(state, running, target)
    elif wait:
        reload_and_wait(state)
    else:
        ask_to_reload(running)
        click.echo(f"asked process {running.pid}; its log tells how it goes")


def rows_of(system: str, running: SystemStatus, now: float) -> list[Row]:
    """The rows of one system: as it tells its operators, or as it has written down last where it does not answer."""
    told = ask_running(running, Operator, lambda operator: operator.processes())
    found = [_row_of_view(system, each, now) for each in told or ()]
    found = found or [_row_of_status(system, each, now) for each in running.replicas]
    return found + [Row(system, name, 0, None, EXTERNAL, 0, None, None, where)
                    for name, where in running.external.items()]  # fmt: skip


def _row_of_view(system: str, told: ProcessView, now: float) -> Row:
    memory = memory_of(told.pid) if told.memory is None and told.pid is not None else told.memory
    uptime = max(0.0, now - told.since)
    return Row(
        system, told.name, told.replica, told.pid, told.status, told.restarts, uptime, memory, told.address or None
    )


def _row_of_status(system: str, told: ReplicaStatus, now: float) -> Row:
    memory = memory_of(told.pid) if told.pid is not None else None
    uptime = max(0.0, now - told.since)
    return Row(system, told.process, told.replica, told.pid, told.state, told.restarts, uptime, memory, told.address)


def _cells(row: Row) -> list[str]:
    memory = "" if row.memory is None else f"{row.memory / 2**20:.0f} MiB"
    pid = "" if row.pid is None else str(row.pid)
    if row.uptime is None:
        return [row.name, "", "", f"{row.state} at {row.address}" if row.address else row.state, "", "", ""]
    return [row.name, str(row.replica), pid, row.state, str(row.restarts), _duration(row.uptime), memory]


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
