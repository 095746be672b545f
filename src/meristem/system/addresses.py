"""Where the processes of a placed system answer on one host, computed from the plan: no socket is opened here."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.discovery.environment import url_variable
from meristem.errors import ConfigurationError
from meristem.system.plan import ProcessPlan
from meristem.system.state_directory import SOCKETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meristem.system.plan import Plan, ProgramPlan

EDGE: Final = "edge"  # the process that serves the public, where no app at `/` says which one does
FOREIGN: Final = "MERISTEM_FOREIGN"  # which apps are no processes of ours: they speak plain HTTP at their sockets
LOOPBACK: Final = "127.0.0.1"  # where programs listen
LONGEST: Final = 100  # bytes of a Unix socket's path: Linux takes 107, macOS 103
GENERATION: Final = ".0000000.grpc.sock"  # the longest ending of a socket's name


def run_directory(state: Path, plan: Plan) -> Path:
    """The folder of the sockets: `run` in the state directory, or a short one where that path would be too long."""
    inside = state.absolute() / SOCKETS
    longest = max((len(each.name) + len(str(each.replicas)) + 1 for each in plan.processes), default=0)
    if len(os.fsencode(inside)) + 1 + longest + len(GENERATION) <= LONGEST:
        return inside
    # Told apart by project and user. Where another user has made it, the run is refused (`prepare_run_directory`).
    digest = hashlib.sha256(os.fsencode(state.absolute())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"meristem-{os.getuid()}-{digest}"


def label_of(process: str, replica: int) -> str:
    """How people name a replica: `search-0`."""
    return f"{process}-{replica}"


def label_of_program(program: ProgramPlan, replica: int) -> str:
    """How people name a replica of a program: by the program alone where it has one."""
    return program.name if program.replicas == 1 else label_of(program.name, replica)


def writers(plan: Plan) -> dict[str, tuple[str, int]]:
    """The name and number of each replica of a process or program, by how people name it."""
    processes = {
        label_of(each.name, index): (each.name, index) for each in plan.processes for index in range(each.replicas)
    }
    return processes | {
        label_of_program(each, index): (each.name, index) for each in plan.programs for index in range(each.replicas)
    }


def socket_of(run: Path, process: str, replica: int) -> Path:
    """The socket at which others find a replica."""
    return run / f"{label_of(process, replica)}.sock"


def grpc_socket_of(run: Path, process: str, replica: int) -> Path:
    """The socket at which others find a replica by gRPC."""
    return run / f"{label_of(process, replica)}.grpc.sock"


def sockets(plan: Plan, run: Path) -> dict[str, tuple[str, ...]]:
    """The addresses of the replicas of each process."""
    return {
        each.name: tuple(f"unix:{socket_of(run, each.name, index)}" for index in range(each.replicas))
        for each in plan.processes
    }


def service_addresses(plan: Plan, run: Path) -> dict[str, tuple[str, ...]]:
    """The addresses of the replicas of each service."""
    found, transports = sockets(plan, run), {each.name: each.transport for each in plan.services}
    return {
        service: _grpc_sockets(process, run) if transports[service] == "grpc" else found[process.name]
        for process in plan.processes
        for service in process.services
    }


def app_sockets(plan: Plan, run: Path) -> dict[str, tuple[str, ...]]:
    """The addresses of the replicas of each app, at which the edge finds it."""
    found = sockets(plan, run)
    return {app: found[process.name] for process in plan.processes for app in process.apps}


def _grpc_sockets(process: ProcessPlan, run: Path) -> tuple[str, ...]:
    paths = (grpc_socket_of(run, process.name, index) for index in range(process.replicas))
    return tuple(f"grpc+unix:{path}?kept=true" for path in paths)


def called_by_grpc(process: ProcessPlan, plan: Plan) -> tuple[str, ...]:
    """The services of a process that the others call by gRPC."""
    return tuple(each.name for each in plan.services if each.name in process.services and each.transport == "grpc")


def edge(plan: Plan) -> ProcessPlan:
    """The process that serves the public: with the app at `/`, or else the one that is named `edge`.

    A plan of several processes has one of these (`with_edge`); one process alone is its own edge. What an app has for
    itself is none, for nobody else is there.
    """
    candidates = _shared(plan)
    named = [each for each in candidates if each.name == EDGE]
    return (_with_root(plan) or named or candidates or plan.processes)[0]


def with_edge(plan: Plan) -> Plan:
    """The plan with a process more that serves the public, where none of its own is there for it.

    It holds no service and no app, so nobody calls it: it starts last, when all that it needs is ready. Raises
    ConfigurationError where an app that has a process for itself has taken its name.
    """
    candidates = _shared(plan)
    if len(candidates) == 1 or _with_root(plan) or any(each.name == EDGE for each in candidates):
        return plan
    if any(each.name == EDGE for each in plan.processes):
        raise ConfigurationError(
            f"the app {EDGE!r} has the name of the process that serves the public: call it otherwise"
        )
    return msgspec.structs.replace(plan, processes=(*plan.processes, ProcessPlan(EDGE, (), ())))


def _shared(plan: Plan) -> list[ProcessPlan]:
    """The processes that no app has for itself."""
    apart = {app.name for app in plan.apps if app.is_apart}
    return [each for each in plan.processes if not apart & set(each.apps)]


def _with_root(plan: Plan) -> list[ProcessPlan]:
    root = {app.name for app in plan.apps if app.mount.rstrip("/") == ""}
    return [each for each in _shared(plan) if root & set(each.apps)]


def base_address(host: str, port: int, *, secure: bool = False) -> str:
    """`http://127.0.0.1:8000`, or `http://[::1]:8000`; `https://…` for a `secure` one."""
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def foreign_apps(environment: Mapping[str, str]) -> frozenset[str]:
    """The apps that are served by an interpreter without Meristem, as who started this process says."""
    return frozenset(filter(None, environment.get(FOREIGN, "").split(",")))


def environment_for(addresses: Mapping[str, str]) -> dict[str, str]:
    """What hosted apps and programs find in their environment: `SEARCH_URL` of every part."""
    return {url_variable(name): address for name, address in addresses.items()}


def part_addresses(plan: Plan, public: str, ports: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """The base address of each app, service and program; those of a program's replicas have commas between.

    Apps and services are behind the edge, whose address `public` is. `ports` are those of programs.
    """
    services = (name for process in plan.processes for name in process.services)
    return app_addresses(plan, public) | dict.fromkeys(services, public.rstrip("/")) | program_addresses(ports)


def program_addresses(ports: Mapping[str, Sequence[int]]) -> dict[str, str]:
    """The base address of each program, of whose replicas these are the ports."""
    return {name: ",".join(base_address(LOOPBACK, each) for each in known) for name, known in ports.items()}


def app_addresses(plan: Plan, public: str) -> dict[str, str]:
    """The base address of each hosted app, wherever it lives: the edge's, whose address `public` is."""
    return {app.name: public.rstrip("/") + app.mount.rstrip("/") for app in plan.apps}
