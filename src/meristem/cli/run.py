"""`meristem run`: bring a system to life."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from meristem.cli.loading_system import load_system, placement_option, system_argument
from meristem.cli.progress import TerminalProgress
from meristem.lifecycle import end
from meristem.supervision.lifeline import hold
from meristem.supervision.ports import free_port
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from meristem.lifecycle import Component
    from meristem.system.plan import Plan


@click.command()
@system_argument
@placement_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=8000, show_default=True, help="The port to listen on; 0 takes a free one.")
@click.option("--reload", is_flag=True, help="Start again whenever a file of the project changes.")
@click.option("--log-level", default="info", show_default=True, help="debug, info, warning or error.")
@click.option("--log-format", type=click.Choice(["console", "json"]), default="console", show_default=True)
def run(
    target: str | None, placement: Path | None, host: str, port: int, *, reload: bool, log_level: str, log_format: Any
) -> None:
    """Run a system: all in one process, or as a placement says."""
    hold(os.environ)
    if reload:
        _run_reloading()
        return
    if placement is not None:
        from meristem.cli.supervising import run_placed  # noqa: PLC0415 - a process alone does without it

        logs = ["--log-level", log_level, "--log-format", log_format]
        run_placed(target, placement, host, port, logs)
        return
    from meristem.telemetry.logging import configure  # noqa: PLC0415 - only a process's main configures logging

    began = time.perf_counter()
    configure(format=log_format, level=log_level)
    system, reference = load_system(target)
    _run_alone(Blueprint(system), reference.root, host, port or free_port(host), began)


def _run_alone(blueprint: Blueprint, directory: Path, host: str, port: int, began: float) -> None:
    from meristem.runtime.options import Options  # noqa: PLC0415
    from meristem.runtime.process import Listen, Process, serve  # noqa: PLC0415
    from meristem.system.addresses import app_addresses  # noqa: PLC0415
    from meristem.system.state_directory import StateDirectory, SystemStatus  # noqa: PLC0415 - what serves takes time to import

    home = StateDirectory(directory, blueprint.system.name)
    home.prepare()
    home.claim()
    address = f"http://{host}:{port}"
    options = Options(
        progress=TerminalProgress(),
        directory=directory,
        apps=app_addresses(blueprint.plan, address),
        secret=home.secret(os.environ).encode(),
    )
    listen = [Listen(f"tcp://{host}:{port}", public=True)]
    programs = _programs(blueprint.plan, directory, address)
    tokens = home.tokens(os.environ)
    process = Process(blueprint, ALONE, options=options, listen=listen, tokens=tokens, beside=programs)

    def started(_: Process) -> None:
        home.announce(SystemStatus(os.getpid(), address, time.time()))
        _print_started(blueprint.plan, address, time.perf_counter() - began)

    try:
        run_on_loop(serve(process, started))
    finally:
        home.release()
    click.echo("Stopped.")


def _programs(plan: Plan, directory: Path, address: str) -> list[Component]:
    """What runs the programs of the system; they and the apps of this process find each other by variables."""
    from meristem.supervision.console import Console  # noqa: PLC0415
    from meristem.supervision.programs import Programs, program_ports, program_urls  # noqa: PLC0415
    from meristem.system.addresses import environment_for  # noqa: PLC0415 - as above

    ports = program_ports(plan.programs)
    offer(environment_for(plan, address) | program_urls(ports))
    if not plan.programs:
        return []
    console = Console(sys.stdout.buffer, [each.name for each in plan.programs], os.environ)
    programs = Programs(
        plan.programs,
        ports,
        environment=os.environ,
        directory=directory,
        wrote=console.write,
        say=lambda message: click.secho(message, fg="yellow", err=True),
    )
    return [programs]


def _print_started(plan: Plan, address: str, seconds: float) -> None:
    for process in plan.processes:
        if process.services:
            click.echo(f"  services  {', '.join(process.services)}")
        for app in plan.apps:
            if app.name in process.apps:
                click.echo(f"  app       {app.name} at {address}{app.mount}")
    click.secho(f"{plan.system} runs at {address}", bold=True, nl=False)
    click.echo(f"  (started in {seconds:.2f} s, Ctrl-C stops it)")


def _run_reloading() -> None:
    from watchfiles import DefaultFilter, run_process  # noqa: PLC0415 - watching is for development

    arguments = [each for each in sys.argv[1:] if each != "--reload"]
    ignored = (*DefaultFilter.ignore_dirs, ".meristem", ".venv")
    command = shlex.join([sys.executable, "-m", "meristem", *arguments])
    run_process(
        Path.cwd(),
        target=command,
        target_type="command",
        watch_filter=DefaultFilter(ignore_dirs=ignored),
        callback=lambda changes: click.secho(f"{len(changes)} files changed; starting again", fg="yellow"),
        sigint_timeout=30,
    )


def offer(variables: Mapping[str, str]) -> None:
    """Let hosted apps, which know only the environment, find the other parts; what is set already stays."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def run_on_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run to the end on uvloop, on asyncio's own loop where there is no uvloop."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_to_the_end(work))


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Run, and leave behind what ignores that it is cancelled: asyncio would wait for it without end."""
    await work
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if await end(others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
