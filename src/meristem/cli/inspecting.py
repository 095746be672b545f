"""`meristem ps` and `meristem reload`: look at a running system and start it anew."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

import click
import msgspec

from meristem.cli.loading_system import json_option, system_argument
from meristem.cli.output import print_json, print_table
from meristem.cli.renewal import ask_to_reload, reload_and_wait
from meristem.config.project import check_there, find
from meristem.errors import ConfigurationError, OperationError
from meristem.hints import meant
from meristem.system.process_memory import memory_of
from meristem.system.state_directory import HOME, StateDirectory, SystemStatus

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
    rows = [row for state, running in _states(target) for row in rows_of(state.path.name, running, time.time())]
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
def reload(target: str | None, *, name: str | None, wait: bool) -> None:
    """Start every process of a running system anew, one replica after the other; no request is lost."""
    state, running = _supervised(target, name)
    if wait:
        reload_and_wait(state)
    else:
        ask_to_reload(running)
        click.echo(f"asked process {running.pid}; its log tells how it goes")


def _supervised(target: str | None, name: str | None) -> tuple[StateDirectory, SystemStatus]:
    """The one system that is meant of those that run from here under a supervisor."""
    known = {state.path.name: (state, running) for state, running in _states(target) if not running.alone}
    if not known:
        raise OperationError("no supervised system runs from here; start one with: meristem run --placement FILE")
    names = ", ".join(known)
    if name is None and len(known) > 1:
        raise click.UsageError(f"several systems run from here: give one with --name ({names})")
    if name is not None and name not in known:
        hint = meant(name, known, f"there is {names}")
        raise click.UsageError(f"no supervised system {name!r} runs from here; {hint}")
    return known[name or names]


def _states(target: str | None) -> list[tuple[StateDirectory, SystemStatus]]:
    """What runs from the project's folder: it need not be imported to be asked about."""
    states = [StateDirectory.at(path) for path in sorted(_homes(target).glob("*")) if path.is_dir()]
    return [(state, running) for state in states if (running := state.running()) is not None]


def _homes(target: str | None) -> Path:
    """The folder in which the systems of a project keep their state."""
    here = Path.cwd()
    try:
        reference = find(target, here)
    except ConfigurationError:
        # Nothing says which system: then it is what was run from this folder.
        if target is None and (here / HOME).is_dir():
            return here / HOME
        raise
    check_there(reference)
    return reference.root / HOME


def rows_of(system: str, running: SystemStatus, now: float) -> list[Row]:
    """The rows of one system."""
    return [
        Row(
            system,
            each.process,
            each.replica,
            each.pid,
            each.state,
            each.restarts,
            max(0.0, now - each.since),
            memory_of(each.pid) if each.pid is not None else None,
            each.address,
        )
        for each in running.replicas
    ] + [Row(system, name, 0, None, EXTERNAL, 0, None, None, where) for name, where in running.external.items()]


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
