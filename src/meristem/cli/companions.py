"""What runs beside the only process of a system, as `meristem run` starts it, and what is announced of both."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

import click
import msgspec

from meristem.cli.progress import TerminalProgress
from meristem.cli.serving import offer, program_labels
from meristem.supervision.companions import CompanionEnvironment, Companions
from meristem.supervision.console import Console, is_coloured
from meristem.supervision.environments import PYTHON, Environments
from meristem.supervision.interpreters import Interpreters, interpreters
from meristem.supervision.overview import row
from meristem.supervision.ports import program_ports
from meristem.supervision.replica import ADDRESS, RUN
from meristem.system.addresses import (
    FOREIGN,
    app_addresses,
    environment_for,
    label_of,
    part_addresses,
    program_addresses,
    run_directory,
)
from meristem.system.external_access import addresses_outside
from meristem.system.placement import ALONE
from meristem.system.state_directory import SECRET
from meristem.system.system_status import ReplicaStatus, SystemStatus
from meristem.telemetry.console_lines import readable

if TYPE_CHECKING:
    from pathlib import Path

    from meristem.system.blueprint import Blueprint
    from meristem.system.state_directory import StateDirectory


class Told(NamedTuple):
    """What the command was told that its own processes are told, too: which system, and how it logs."""

    target: str | None
    log_level: str
    log_format: str
    development: bool


class LocalCompanions:
    """The companions of the only process of a system, at the public `address`; `environment` is for that process.

    They find each other by variables, and so do the apps in this process.
    """

    def __init__(self, blueprint: Blueprint, directory: Path, address: str, state: StateDirectory, told: Told) -> None:
        self._blueprint, self._address, self._state = blueprint, address, state
        plan, self.run = blueprint.plan, run_directory(state.path, blueprint.plan)
        given = {**os.environ, PYTHON: sys.executable}
        found = interpreters(plan, blueprint.placement, directory, Environments(directory, given, TerminalProgress()))
        ports = program_ports(plan.programs)
        self.apps = app_addresses(plan, address) | program_addresses(ports)
        known = {**environment_for(self.apps), **given, FOREIGN: ",".join(found.foreign)}
        ours = {SECRET: state.secret(os.environ), RUN: str(self.run), ADDRESS: address, "PYTHONUNBUFFERED": "1"}
        # As it was before `offer` adds addresses of the public side.
        programs = environment_for(program_addresses(ports))
        self.environment = {**programs, **os.environ, FOREIGN: known[FOREIGN]}
        addresses = part_addresses(plan, address, ports)
        offer(environment_for(addresses))
        presence = state.presence.descriptor
        # Companions hold the run's lock as well: the next run waits until the last of them has ended.
        held = () if presence is None else (presence,)
        around = CompanionEnvironment({**known, **ours}, addresses, ports, self.run, directory, held)
        labels = [label_of(each.name, 0) for each in plan.processes if each.name != ALONE]
        screen = sys.stdout.buffer
        shown = readable(colours=is_coloured(screen, os.environ)) if told.log_format == "console" else bytes
        self.companions = Companions(
            plan,
            ALONE,
            around,
            arguments=_Arguments(told, found),
            foreign=found.foreign,
            wrote=Console(screen, [*labels, *program_labels(plan)], os.environ, shown).write,
            say=lambda message: click.secho(message, fg="yellow", err=True),
            changed=self._announce,
        )
        self._announced: SystemStatus | None = None

    async def start(self) -> None:
        await self.companions.start()

    async def drain(self) -> None:
        await self.companions.drain()

    async def stop(self) -> None:
        await self.companions.stop()
        self._announced = None

    def announce(self, operators: tuple[str, ...]) -> None:
        """Write down where the system answers, from now on with every change."""
        outside = addresses_outside(self._blueprint.plan, self._blueprint.placement, os.environ)
        self._announced = SystemStatus(
            os.getpid(), self._address, time.time(), operators=operators, external=outside, alone=True
        )
        self._announce()

    def _announce(self) -> None:
        if (known := self._announced) is not None:
            main = ReplicaStatus(ALONE, 0, known.pid, "ready", 0, known.started, known.address)
            replicas = (main, *map(row, self.companions.parts))
            self._state.announce(msgspec.structs.replace(known, replicas=replicas))


class _Arguments:
    """The command line of the process of an app that lives apart: `meristem process`."""

    def __init__(self, told: Told, found: Interpreters) -> None:
        self._told = told
        self._found = found

    def __call__(self, process: str, replica: int, listen: str) -> list[str]:
        told = self._told
        named = [told.target] if told.target else []
        flags = ["--development"] if told.development else []
        which = ["--process", process, "--replica", str(replica), "--listen", listen]
        # What people read of it is made here, as of all that writes to this screen.
        logs = ["--log-level", told.log_level, "--log-format", "json"]
        return [self._found.pythons[process], "-m", "meristem", "process", *named, *which, *flags, *logs]
