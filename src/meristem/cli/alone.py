"""`meristem run` without a placement: the whole system in this process."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from typing import TYPE_CHECKING

from meristem.cli.output import say
from meristem.cli.progress import TerminalProgress
from meristem.cli.serving import Faces, offer, ports_of, run_on_loop, shown
from meristem.cli.settings import note_settings
from meristem.lifecycle import Stack
from meristem.operators.server import OperatorAddresses, OperatorServer
from meristem.runtime.introspection import SingleProcess
from meristem.runtime.options import Options
from meristem.runtime.process import Listen, Process, serve
from meristem.supervision.console import Console
from meristem.supervision.overview import program_instances
from meristem.supervision.ports import free_port
from meristem.supervision.programs import Programs, program_ports, program_urls
from meristem.supervision.succession import succeed
from meristem.system.addresses import app_addresses, base_address, environment_for, run_directory
from meristem.system.placement import ALONE
from meristem.system.state_directory import (
    StateDirectory,
    SystemStatus,
    prepare_run_directory,
    remove_run_directory,
)

if TYPE_CHECKING:
    from pathlib import Path

    from meristem.system.blueprint import Blueprint
    from meristem.system.plan import Plan


def run_alone(blueprint: Blueprint, directory: Path, faces: Faces, began: float) -> None:
    """Run until it is told to end."""
    state = StateDirectory(directory, blueprint.system.name)
    state.prepare()
    # First of all: of two runs in one folder, one alone may wait for what a former one left, and remove it.
    state.claim()
    sockets = run_directory(state.path, blueprint.plan)
    try:
        asyncio.run(succeed(state, sockets, say))
        prepare_run_directory(sockets)
        try:
            # Chosen before anything listens there: programs and apps are told the address as they start.
            faces = faces._replace(port=faces.port or free_port(faces.host))
            run_on_loop(_run(blueprint, directory, state, faces, began))
        finally:
            remove_run_directory(sockets)
    finally:
        state.release()
    say("Stopped.")


async def _run(blueprint: Blueprint, directory: Path, state: StateDirectory, faces: Faces, began: float) -> None:
    note_settings(blueprint, ALONE, 0, os.environ, state, os.getpid())
    plan, address = blueprint.plan, base_address(faces.host, faces.port)
    programs = _programs(plan, directory, address, state)
    process = _process(blueprint, directory, state, faces, programs)
    overview = SingleProcess(process, address, beside=program_instances(programs, plan))
    wanted = OperatorAddresses.of(faces.operators, faces.host, ports_of(plan, faces.port))
    operators = OperatorServer(overview, wanted.and_socket(run_directory(state.path, plan)))

    def started(_: Process) -> None:
        # Only now: whoever reads it (`meristem call`) may call at once.
        state.announce(SystemStatus(os.getpid(), address, time.time(), operators=operators.addresses))
        _print_started(plan, address)
        for name, where in shown(plan, address, operators, api_page=faces.api_page):
            say(f"  {name:<10}{where}")
        say(f"{plan.system} runs at {address}", bold=True, nl=False)
        say(f"  (started in {time.perf_counter() - began:.2f} s, Ctrl-C stops it)")

    async with Stack() as stack:
        await stack.start(operators)  # first: what does not get ready can be looked at, too
        await serve(process, started)


def _process(blueprint: Blueprint, directory: Path, state: StateDirectory, faces: Faces, programs: Programs) -> Process:
    options = Options(
        progress=TerminalProgress(),
        directory=directory,
        apps=app_addresses(blueprint.plan, base_address(faces.host, faces.port)),
        secret=state.secret(os.environ).encode(),
        development=faces.development,
    )
    return Process(
        blueprint,
        ALONE,
        options=options,
        listen=[Listen(f"tcp://{faces.host}:{faces.port}", public=True)],
        tokens=state.tokens(os.environ),
        beside=[programs],
        api_page=faces.api_page,
    )


def _programs(plan: Plan, directory: Path, address: str, state: StateDirectory) -> Programs:
    """What runs the programs of the system; they and the apps of this process find each other by variables."""
    ports, presence = program_ports(plan.programs), state.presence.descriptor
    offer(environment_for(plan, address) | program_urls(ports))
    console = Console(sys.stdout.buffer, [each.name for each in plan.programs], os.environ)
    return Programs(
        plan.programs,
        ports,
        environment=os.environ,
        directory=directory,
        wrote=console.write,
        say=lambda message: say(message, fg="yellow", err=True),
        # Programs hold the run's lock as well: the next run waits until the last of them has ended.
        held=() if presence is None else (presence,),
    )


def _print_started(plan: Plan, address: str) -> None:
    for process in plan.processes:
        if process.services:
            say(f"  services  {', '.join(process.services)}")
        for app in plan.apps:
            if app.name in process.apps:
                say(f"  app       {app.name} at {address}{app.mount}")
