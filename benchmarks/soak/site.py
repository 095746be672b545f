"""The hotel site as it is for the public, each service in two processes; killed, its supervisor is followed."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.machine import descendants, free_port
from benchmarks.processes import output_of, python, started
from benchmarks.soak.network import Network
from benchmarks.soak.schedule import EDGE, REPLICAS, SERVICES
from meristem.system.system_status import ReplicaStatus, SystemStatus

STARTING = 180.0  # seconds in which sixteen processes start on a busy machine
LISTING = 60.0  # seconds
SYSTEM = "hotels.system:production"


def names() -> list[str]:
    """Every replica that has a namespace of its own."""
    return [f"{service}-{replica}" for service in SERVICES for replica in range(REPLICAS)]


def placement(database: str | None, interpreter: Path | None, bus: str | None = None) -> str:
    """The placement file: two replicas of the edge and of each service."""
    via = f', python = "{interpreter}"' if interpreter else ""
    lines = ["[processes]", f'{EDGE} = {{ services = ["web"], replicas = {REPLICAS} }}']
    lines += [f'{each} = {{ services = ["{each}"], replicas = {REPLICAS}{via} }}' for each in SERVICES]
    resources = {"database": database, "bus": bus}
    lines += ["[resources]", *(f'{name} = "{url}"' for name, url in resources.items() if url is not None)]
    return "\n".join(lines) + "\n"


class Site:
    """`meristem run` of the split hotel system, at one port all the time."""

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str],
        network: Network,
        database: str | None,
        log: Path,
        bus: str | None = None,
    ) -> None:
        self.address = ""
        self.supervisor = 0
        self.folder = folder
        self.placement = folder / "soak.toml"
        self._variables = variables
        self._log = log
        self._port = free_port()
        self._runs = ExitStack()
        interpreter = network.interpreter(folder) if network.divided else None
        self.placement.write_text(placement(database, interpreter, bus))

    def __enter__(self) -> Site:
        self._run()
        return self

    def __exit__(self, *_: object) -> None:
        self._runs.close()

    def _run(self) -> None:
        options = ["--port", str(self._port), "--placement", str(self.placement), "--log-level", "error"]
        command = python("meristem", "run", SYSTEM, "--no-development", *options)
        run = started(
            command,
            folder=self.folder,
            ready="runs at http",
            variables=self._variables,
            seconds=STARTING,
            log=self._log,
        )
        self.supervisor = self._runs.enter_context(run).pid
        self.address = f"http://127.0.0.1:{self._port}"

    def subscribers(self) -> list[dict[str, Any]]:
        """What `meristem events list` tells of each subscriber; its `lag` is None where the broker can't be reached."""
        command = python("meristem", "events", "list", SYSTEM, "--placement", str(self.placement), "--json")
        said = output_of(command, core=None, folder=self.folder, variables=self._variables, seconds=LISTING)
        found: list[dict[str, Any]] = json.loads(said)["subscribers"]
        return found

    def replicas(self) -> list[ReplicaStatus]:
        """The processes that the supervisor keeps; none while one supervisor follows another."""
        try:
            announced = (self.folder / ".meristem" / "hotels" / "running.json").read_bytes()
        except FileNotFoundError:
            return []
        return list(msgspec.json.decode(announced, type=SystemStatus).replicas)

    def follow(self) -> list[int]:
        """Kill the supervisor and run the site anew at once; the processes that it left alone."""
        orphans = descendants(self.supervisor)
        os.kill(self.supervisor, signal.SIGKILL)
        self._run()
        return orphans


def lives(pid: int) -> bool:
    """Whether a process runs, or is stopped: has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
