"""`meristem run` without a placement: the whole system in this process."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import click

from meristem.cli.companions import LocalCompanions, Told
from meristem.cli.dashboards import dashboard_of
from meristem.cli.progress import TerminalProgress
from meristem.cli.serving import Faces, ports_of, run_on_loop, shown
from meristem.cli.settings import note_settings
from meristem.lifecycle import Stack
from meristem.operators.server import OperatorAddresses, OperatorServer
from meristem.runtime.introspection import SingleProcess
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process, serve
from meristem.runtime.resolution import resolver_for
from meristem.supervision.overview import SupervisedInstance
from meristem.supervision.ports import free_port
from meristem.supervision.succession import succeed
from meristem.system.addresses import base_address, run_directory, socket_of
from meristem.system.placement import ALONE
from meristem.system.state_directory import StateDirectory, prepare_run_directory, remove_run_directory
from meristem.telemetry.logging import show

if TYPE_CHECKING:
    from pathlib import Path

    from meristem.discovery.resolver import Resolver
    from meristem.system.blueprint import Blueprint
    from meristem.system.plan import Plan


def run_alone(blueprint: Blueprint, directory: Path, faces: Faces, began: float, told: Told) -> None:
    """Run until it is told to end."""
    state = StateDirectory(directory, blueprint.system.name)
    state.prepare()
    # First of all: of two runs in one folder, one alone may wait for what a former one left, and remove it.
    state.claim()
    sockets = run_directory(state.path, blueprint.plan)
    try:
        asyncio.run(succeed(state, sockets, click.echo))
        prepare_run_directory(sockets)
        try:
            # Chosen before anything listens there: programs and apps are told the address as they start.
            faces = faces._replace(port=faces.port or free_port(faces.host))
            beside = LocalCompanions(blueprint, directory, _address(blueprint, faces), state, told)
            run_on_loop(_run(blueprint, directory, state, faces, beside, began))
        finally:
            remove_run_directory(sockets)
    finally:
        state.release()
    click.echo("Stopped.")


async def _run(
    blueprint: Blueprint, directory: Path, state: StateDirectory, faces: Faces, beside: LocalCompanions, began: float
) -> None:
    note_settings(blueprint, ALONE, 0, beside.environment, state, os.getpid())
    plan, address = blueprint.plan, _address(blueprint, faces)
    resolver = resolver_for(plan, blueprint.placement, ALONE, environment=beside.environment, run=beside.run)
    process = _process(blueprint, directory, state, faces, beside, resolver)
    parts = [SupervisedInstance(each, plan) for each in beside.companions.parts]
    overview = SingleProcess(process, address, beside=parts)
    wanted = OperatorAddresses.of(faces.operators, faces.host, ports_of(plan, faces.port))
    make = dashboard_of(state, os.environ, blueprint.placement.operator)
    dashboard = None if make is None else make(overview)
    if dashboard is not None:
        show(dashboard.observatory.lines_of(ALONE, 0).event)
    operators = OperatorServer(overview, wanted.and_socket(beside.run), dashboard)

    def started(_: Process) -> None:
        # Only now: whoever reads it (`meristem call`) may call at once.
        beside.announce(operators.addresses)
        _print_started(plan, address)
        for name, where in shown(plan, address, operators, api_page=faces.api_page):
            click.echo(f"  {name:<10}{where}")
        click.secho(f"{plan.system} runs at {address}", bold=True, nl=False)
        click.echo(f"  (started in {time.perf_counter() - began:.2f} s, Ctrl-C stops it)")

    async with Stack() as stack:
        await stack.start(operators)  # first: what does not get ready can be looked at, too
        await stack.start(beside)
        await stack.start(resolver)
        await serve(process, started)


def _process(
    blueprint: Blueprint,
    directory: Path,
    state: StateDirectory,
    faces: Faces,
    beside: LocalCompanions,
    resolver: Resolver,
) -> Process:
    companions, tokens = beside.companions, state.tokens(os.environ)
    options = Options(
        progress=TerminalProgress(),
        environment=beside.environment,
        directory=directory,
        state=state.path,
        apps=beside.apps,
        resolver=resolver,
        sign=tokens.prove,
        secret=state.secret(os.environ).encode(),
        development=faces.development,
    )
    listen = [Listen(f"tcp://{faces.host}:{faces.port}", public=True)]
    if companions.apps.parts:  # they call the services of this process
        listen.append(Listen(f"unix:{socket_of(beside.run, ALONE, 0)}", public=False))
    return Process(
        blueprint,
        ALONE,
        options=options,
        listen=listen,
        tokens=tokens,
        before=[companions.called],
        needed=[companions.apps],
        beside=[companions.others],
        api_page=faces.api_page,
    )


def _address(blueprint: Blueprint, faces: Faces) -> str:
    return base_address(faces.host, faces.port, secure=blueprint.placement.is_secure)


def _print_started(plan: Plan, address: str) -> None:
    for process in plan.processes:
        if process.services:
            click.echo(f"  services  {', '.join(process.services)}")
        for app in plan.apps:
            if app.name in process.apps:
                click.echo(f"  app       {app.name} at {address}{app.mount}")
