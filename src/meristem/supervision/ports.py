"""The public TCP ports of a system: opened once, so that no connection is lost while those behind them start anew."""

from __future__ import annotations

import contextlib
import errno
import random
import socket
from typing import TYPE_CHECKING, Final

import msgspec

from meristem.errors import ConfigurationError
from meristem.system.addresses import LOOPBACK, edge

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from meristem.system.plan import Plan, ProgramPlan

BACKLOG: Final = 1024  # connections that wait while no process accepts
LEFT_ALONE: Final = range(20_000, 30_000)  # below those that Linux gives to who asks for any (`ip_local_port_range`)


class Ports:
    """Holds the listening sockets between `open` and `close`."""

    def __init__(self) -> None:
        self._sockets: dict[str, socket.socket] = {}
        self._reserved: list[socket.socket] = []
        self._grpc: dict[str, str] = {}

    def open(self, plan: Plan, host: str, port: int) -> Plan:
        """Listen for the edge on `port`, for others on their own; the plan with the ports that they have now.

        0 takes a free port. A process without a port of its own is reached by the edge.
        """
        last = edge(plan)
        found = []
        for process in plan.processes:
            wanted = process.port
            if wanted is None and process.name == last.name:
                wanted = port
            if process.grpc is not None:
                self._reserve(process.name, process.grpc.address(host))
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

    def _reserve(self, process: str, address: str) -> None:
        """Keep a port that the replicas open themselves, each beside the others, for no other program.

        grpcio takes no socket that is open already. So the port is shared among those of this user that say so, and
        that nobody else has it is known by binding it once without saying so.
        """
        host, _, port = address.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            with socket.socket(family) as probe:
                probe.bind((host.strip("[]"), int(port)))
            made = socket.socket(family)
            self._reserved.append(made)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise ConfigurationError(
                f"{process}: cannot listen for gRPC on {address}: {error.strerror}; choose another in the placement"
            ) from None
        self._grpc[process] = address

    def grpc(self, process: str) -> str | None:
        """Where replicas of the process listen for gRPC."""
        return self._grpc.get(process)

    def descriptor(self, process: str) -> int | None:
        """What replicas of the process inherit to accept connections at its public port."""
        found = self._sockets.get(process)
        return None if found is None else found.fileno()

    def close(self) -> None:
        """Free the ports."""
        for each in self._sockets.values():
            each.close()
        for each in self._reserved:
            each.close()
        self._sockets.clear()
        self._reserved.clear()


def program_ports(programs: Sequence[ProgramPlan]) -> dict[str, tuple[int, ...]]:
    """The ports of the replicas of each program: its own, or else free ones."""
    fixed = {each.port for each in programs if each.port is not None}
    wanted = sum(each.replicas for each in programs if each.port is None)
    with contextlib.ExitStack() as held:  # until all are chosen, so that none is chosen twice
        free = iter([_free_beside(fixed, held) for _ in range(wanted)])
        return {
            each.name: (each.port,) if each.port is not None else tuple(next(free) for _ in range(each.replicas))
            for each in programs
        }


def _free_beside(fixed: Collection[int], held: contextlib.ExitStack) -> int:
    while True:
        probe = held.enter_context(socket.socket())
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        if port not in fixed:
            return port


def is_taken(port: int) -> bool:
    """Whether a program of this host listens at a port."""
    with socket.socket() as probe:
        # As a server does, whose port is free again as soon as it has ended.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:  # one that is not allowed to this user may be to the program
            return error.errno == errno.EADDRINUSE
    return False


def free_port(host: str = "127.0.0.1") -> int:
    """A port that no program listens on now.

    It is one that systems give to nobody who asks for just any: else a connection or a server could have it before the
    program that it is meant for.
    """
    for port in random.sample(LEFT_ALONE, 20):
        with contextlib.suppress(OSError):
            return _bound(host, port)
    return _bound(host, 0)


def _bound(host: str, port: int) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, port))
        found: int = probe.getsockname()[1]
        return found
