"""How a changed `[gateway]` table gets into processes that run: asked by a signal, answered by a note."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from meristem.cli.supervising import plan_of
from meristem.errors import ConfigurationError, OperationError
from meristem.supervision.restartable import StartError
from meristem.supervision.signals import RELOAD
from meristem.system.addresses import edge, label_of
from meristem.system.gateway_note import GatewayNote, read_note, write_note
from meristem.system.placement import Placement

if TYPE_CHECKING:
    from meristem.runtime.process import Process
    from meristem.system.state_directory import StateDirectory
    from meristem.system.system_status import SystemStatus

logger = logging.getLogger(__name__)
AGAIN: Final = 0.05  # seconds until a note is looked at again
PATIENCE: Final = 30.0  # seconds for a process to take a table


def renew_gateway(state: StateDirectory, running: SystemStatus, target: str | None) -> None:
    """Have the edges of a running system take the `[gateway]` of its placement; no process is started anew.

    What the file says is checked first. Raises StartError where an edge does not take it: the old one stays in force.
    """
    if running.placement is None:
        raise OperationError("this run has no placement, so it has no [gateway]")
    plan = plan_of(target, Path(running.placement))
    public = {edge(plan).name, *(each.name for each in plan.processes if each.port is not None)}
    asked: dict[str, GatewayNote] = {}
    for each in running.replicas:
        if each.process in public and each.pid is not None:
            label = label_of(each.process, each.replica)
            asked[label] = read_note(state.path, label, each.pid)
            os.kill(each.pid, RELOAD)
    problems = {label: _answer(state.path, label, before) for label, before in asked.items()}
    if wrong := {label: problem for label, problem in problems.items() if problem is not None}:
        told = "; ".join(f"{label}: {problem}" for label, problem in wrong.items())
        raise StartError(f"the gateway is as it was: {told}", lasting=True)
    click.echo(f"the gateway has been taken anew by {', '.join(problems)}")


def _answer(state: Path, label: str, before: GatewayNote) -> str | None:
    """What kept an edge from taking the table; None where nothing did."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        note = read_note(state, label, before.pid)
        if note.number > before.number:
            return note.problem
        time.sleep(AGAIN)
    return f"it has not answered within {PATIENCE:.0f} s"


class GatewayRenewal:
    """Has a process take the table of its placement file each time that it is asked to."""

    def __init__(self, process: Process, placement: Path, state: Path, label: str) -> None:
        self._process = process
        self._placement = placement
        self._state = state
        self._label = label
        self._number = 0

    async def start(self) -> None:
        asyncio.get_running_loop().add_signal_handler(RELOAD, self._take)

    async def drain(self) -> None:
        """Nothing is in flight here."""

    async def stop(self) -> None:
        asyncio.get_running_loop().remove_signal_handler(RELOAD)

    def _take(self) -> None:
        problem = None
        try:
            self._process.renew_gateway(Placement.read(self._placement).gateway)
        except ConfigurationError as error:
            problem = str(error)
            logger.warning("the gateway is as it was: %s", error)
        else:
            logger.info("the gateway is as %s says now", self._placement)
        self._number += 1
        write_note(self._state, self._label, GatewayNote(os.getpid(), self._number, problem))
