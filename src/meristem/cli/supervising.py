"""`meristem run --placement FILE`: supervise the processes that a placement describes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from meristem.cli.dashboards import dashboard_of
from meristem.cli.progress import TerminalProgress
from meristem.cli.serving import Faces, ports_of, program_labels, shown
from meristem.config.project import find
from meristem.descriptors import raise_limit
from meristem.operators.server import OperatorAddresses
from meristem.supervision.console import Console, is_coloured
from meristem.supervision.environments import PYTHON, Environments
from meristem.supervision.interpreters import interpreters
from meristem.supervision.restarts import Restarts
from meristem.supervision.signals import supervise
from meristem.supervision.supervisor import NAME, Supervisor
from meristem.supervision.workplace import Workplace
from meristem.system.addresses import app_addresses, label_of
from meristem.system.databases import single_processes
from meristem.system.external_access import addresses_outside
from meristem.system.placement import Placement
from meristem.system.plan import Plan
from meristem.system.state_directory import StateDirectory
from meristem.system.system_map import system_parts
from meristem.telemetry.console_lines import readable


def run_placed(target: str | None, placement: Path, faces: Faces, *, log_level: str, log_format: str) -> None:
    """Run until it is told to end."""
    began = time.perf_counter()
    # Its folder without an import: the supervisor outlives what it starts, and holds none of its code.
    directory = find(target, Path.cwd()).root
    environment = {**os.environ, PYTHON: sys.executable}
    placed = Placement.read(placement)
    plan = plan_of(target, placement)
    pythons, foreign = interpreters(plan, placed, directory, Environments(directory, environment, TerminalProgress()))
    named = [target] if target else []
    flags = [*(["--api-page"] if faces.api_page else []), *(["--development"] if faces.development else [])]
    logs = ["--log-level", log_level, "--log-format", "json"]  # what people read of it is made here, once for all
    asked = placed.operator.addresses if faces.operators is None else faces.operators

    def arguments(process: str, replica: int, listen: str) -> list[str]:
        which = ["--placement", str(placement.absolute()), "--process", process, "--replica", str(replica)]
        return [*_meristem("process", pythons[process]), *named, *which, "--listen", listen, *flags, *logs]

    labels = [label_of(each.name, index) for each in plan.processes for index in range(each.replicas)]
    screen, names = sys.stdout.buffer, [NAME, *labels, *program_labels(plan)]
    as_console = readable(colours=is_coloured(screen, os.environ)) if log_format == "console" else bytes
    console = Console(screen, names, os.environ, as_console)
    state = StateDirectory(directory, plan.system)
    wanted = OperatorAddresses.of(asked, faces.host, ports_of(plan, faces.port))
    supervisor = Supervisor(
        plan,
        Workplace(
            state,
            directory,
            faces.host,
            faces.port,
            wanted,
            placement.absolute(),
            system_parts(plan, placed),
            dashboard_of(state, environment, placed.operator),
            single_processes(plan, placed.resources, directory),
            placed.is_secure,
        ),
        arguments=arguments,
        console=console,
        environment=environment,
        restarts=Restarts(hung=placed.supervision.hung, away=placed.supervision.away),
        external=addresses_outside(plan, placed, os.environ),
        foreign=foreign,
    )

    def started() -> None:
        for app, address in app_addresses(supervisor.plan, supervisor.address).items():
            supervisor.say(f"app {app} at {address}")
        assert supervisor.operators is not None  # it has started
        for process in supervisor.plan.processes:
            if process.grpc is not None:
                supervisor.say(f"gRPC at {process.grpc.address(faces.host)}")
        for name, where in shown(plan, supervisor.address, supervisor.operators, api_page=faces.api_page):
            supervisor.say(f"{name} at {where}")
        seconds = time.perf_counter() - began
        supervisor.say(f"{plan.system} runs at {supervisor.address} (started in {seconds:.2f} s, Ctrl-C stops it)")

    raise_limit()
    code = asyncio.run(supervise(supervisor, started))
    supervisor.say("stopped")
    sys.exit(code)


def plan_of(target: str | None, placement: Path) -> Plan:
    """The plan, made by a process of its own: this one never imports what the system does."""
    command = [*_meristem("graph"), *([target] if target else []), "--placement", str(placement), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as made:  # noqa: S603 - this very command
        try:
            told, _ = made.communicate()
        except BaseException:
            made.terminate()  # rather than killed: it ends what it has started to describe the services
            raise
    if made.returncode:
        sys.exit(made.returncode)  # it has said why
    return msgspec.json.decode(told, type=Plan)


def _meristem(verb: str, python: str = sys.executable) -> list[str]:
    return [python, "-m", "meristem", verb]
