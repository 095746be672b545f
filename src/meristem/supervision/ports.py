"""The public TCP ports of a system: opened once, so that no connection is lost while those behind them start anew."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import ConfigurationError
from meristem.system.addresses import edge

if TYPE_CHECKING:
    from meristem.system.plan import Plan

BACKLOG: Final = 1024  # connections that wait while no process accepts


class Ports:
    """Holds the listening sockets between `open` and `close`."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}

    def open(self, plan: Plan, host: str, port: int) -> Plan:
        """Listen for the edge on `port`, for others on their own; the plan with the ports that they have now.

        0 takes a free port, and so does another process than the edge that hosts apps: no other process can show them.
        """
        last = edge(plan)
        found = []
        for process in plan.processes:
            wanted = process.port
            if wanted is None and process.name == last.name:
                wanted = port
            elif wanted is None and process.apps:
                wanted = 0
            given = None if wanted is None else self._listen(process.name, host, wanted)
            found.append(msgspec.structs.replace(process, port=given))
        return msgspec.structs.replace(plan, processes=tuple(found))

    def _listen(self, process: str, host: str, port: int) -> int:
        try:
            made = socket.create_server(
                (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=BACKLOG
            )
        except OSError as error:
            raise ConfigurationError(
                f"{process}: cannot listen on {host}:{port}: {error.strerror}; choose another with --port"
            ) from None
        self._sockets[process] = made
        found: int = made.getsockname()[1]
        return found

    def descriptor(self, process: str) -> int | None:
        """What replicas of the process inherit to accept connections at its public port."""
        found = self._sockets.get(process)
        return None if found is None else found.fileno()

    def close(self) -> None:
        """Free the ports."""
        for each in self._sockets.values():
            each.close()
        self._sockets.clear()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that no program listens on now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
