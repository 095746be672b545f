"""Where the processes of a placed system answer on one host, computed from the plan: no socket is opened here."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from meristem.discovery.environment import url_variable

if TYPE_CHECKING:
    from meristem.system.plan import Plan, ProcessPlan

LONGEST: Final = 100  # bytes of a Unix socket's path: Linux takes 107, macOS 103
GENERATION: Final = ".0000000.sock"  # the longest ending of a socket's name


def run_directory(state: Path, plan: Plan) -> Path:
    """The folder of the sockets: `run` in the state directory, or a short one where that path would be too long."""
    inside = state.absolute() / "run"
    longest = max((len(each.name) + len(str(each.replicas)) + 1 for each in plan.processes), default=0)
    if len(os.fsencode(inside)) + 1 + longest + len(GENERATION) <= LONGEST:
        return inside
    # Told apart by project and user. Where another user has made it, the run is refused (`prepare_run_directory`).
    digest = hashlib.sha256(os.fsencode(state.absolute())).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"meristem-{os.getuid()}-{digest}"


def label_of(process: str, replica: int) -> str:
    """How people name a replica: `search-0`."""
    return f"{process}-{replica}"


def socket_of(run: Path, process: str, replica: int) -> Path:
    """The socket at which others find a replica."""
    return run / f"{label_of(process, replica)}.sock"


def sockets(plan: Plan, run: Path) -> dict[str, tuple[str, ...]]:
    """The addresses of the replicas of each process."""
    return {
        each.name: tuple(f"unix:{socket_of(run, each.name, index)}" for index in range(each.replicas))
        for each in plan.processes
    }


def service_addresses(plan: Plan, run: Path) -> dict[str, tuple[str, ...]]:
    """The addresses of the replicas of each service."""
    found = sockets(plan, run)
    return {service: found[process.name] for process in plan.processes for service in process.services}


def edge(plan: Plan) -> ProcessPlan:
    """The process that serves the public: with the app at `/`, or else with any app, or else the first."""
    root = {app.name for app in plan.apps if app.mount.rstrip("/") == ""}
    with_root = [each for each in plan.processes if root & set(each.apps)]
    with_app = [each for each in plan.processes if each.apps]
    return (with_root or with_app or plan.processes)[0]


def public_addresses(plan: Plan, public: str) -> dict[str, str]:
    """The base address of each process that has a public port; `public` is that of the edge."""
    host = urlsplit(public).hostname or "127.0.0.1"
    own = {each.name: base_address(host, each.port) for each in plan.processes if each.port is not None}
    return {**own, edge(plan).name: public}


def base_address(host: str, port: int) -> str:
    """`http://127.0.0.1:8000`, or `http://[::1]:8000`."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def environment_for(plan: Plan, public: str) -> dict[str, str]:
    """What hosted apps and programs find in their environment: `SEARCH_URL` of every service and app.

    A part whose process has a port of its own is there; every other is behind the edge.
    """
    bases = public_addresses(plan, public)
    found = {url_variable(app): address for app, address in app_addresses(plan, public).items()}
    for process in plan.processes:
        base = bases.get(process.name, public).rstrip("/")
        found.update({url_variable(service): base for service in process.services})
    return found


def app_addresses(plan: Plan, public: str) -> dict[str, str]:
    """The base address of each hosted app."""
    bases = public_addresses(plan, public)
    return {
        app.name: bases.get(plan.process_of(app.name).name, public).rstrip("/") + app.mount.rstrip("/")
        for app in plan.apps
    }
