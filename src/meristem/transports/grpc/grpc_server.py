"""The gRPC server of a process: its contracts with health checking and reflection, on every address it listens on."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from meristem.contracts.protobuf.binary import ProtoCodec
from meristem.descriptors import remedy
from meristem.errors import ConfigurationError
from meristem.resilience.limits import Limits
from meristem.transports.authorize import Authorizer
from meristem.transports.grpc.credentials import server_credentials
from meristem.transports.grpc.grpc_port import GrpcPort
from meristem.transports.grpc.handlers import ContractHandlers, PortCalls
from meristem.transports.grpc.health_checking import SERVICE as HEALTH
from meristem.transports.grpc.health_checking import Health
from meristem.transports.grpc.library import aio
from meristem.transports.grpc.methods import GrpcMethod
from meristem.transports.grpc.reflection import Reflection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from meristem.contracts.call import ServedOperation
    from meristem.contracts.operation import Operation
    from meristem.transports.authorize import Authenticate, Verify

LONG: Final = 10**9  # seconds: a drain is ended by who asked for it
TURNS: Final = 100  # of the loop, for handlers that were cancelled to end


class BoundPort(NamedTuple):
    """An address that is open."""

    address: str
    server: Any
    health: Health
    calls: PortCalls


class GrpcServer:
    """Serves the operations of `routes` (path `/pkg.Service/Method` to endpoint) in binary protobuf.

    `verify` tells who stands behind a `meristem-token`, `authenticate` whose a bearer token is, as for HTTP. `state`
    says how the process fares, for health checking.
    """

    def __init__(
        self,
        routes: Mapping[str, ServedOperation],
        *,
        limits: Limits | None = None,
        verify: Verify | None = None,
        authenticate: Authenticate | None = None,
        state: Callable[[], str] = lambda: "ready",
    ) -> None:
        self._limits = limits or Limits()
        self._verify = verify
        self._authenticate = authenticate
        self._state = state
        known: dict[str, list[Operation]] = {}
        for endpoint in routes.values():
            known.setdefault(endpoint.operation.contract, []).append(endpoint.operation)
        self._codecs = {contract: ProtoCodec(operations) for contract, operations in known.items()}
        self._methods = {
            path: GrpcMethod(each, self._codecs[each.operation.contract], self._limits) for path, each in routes.items()
        }
        self._bound: list[BoundPort] = []

    async def start(
        self,
        address: str,
        *,
        public: bool = False,
        port: GrpcPort | None = None,
        reflection: bool = False,
        shared: bool = False,
    ) -> None:
        """Listen on one more address, `host:port` or `unix:/path`; port 0 takes a free one.

        `port` says how; `shared` lets other processes listen there, too. Raises ConfigurationError when it is taken.
        """
        settings = port or GrpcPort(address)
        calls = PortCalls(
            Authorizer(self._verify, self._authenticate, trusted=not public),
            compressed=settings.compression is not None,
        )
        health = Health(self._state, self._codecs)
        handlers: list[Any] = [ContractHandlers(self._methods, calls), health.handlers()]
        if reflection if settings.reflection is None else settings.reflection:
            described = {name: codec.descriptors for name, codec in self._codecs.items()}
            handlers += Reflection(described, [HEALTH]).handlers()
        server = aio.server(handlers=handlers, options=self._options(settings, shared=shared))
        try:
            if settings.certificate is not None:
                number = server.add_secure_port(address, server_credentials(settings))
            else:
                number = server.add_insecure_port(address)
        except RuntimeError as error:
            raise ConfigurationError(f"cannot listen for gRPC on {address}: {_reason(address, error)}") from error
        if address.startswith("unix:"):
            os.chmod(address.removeprefix("unix:"), 0o600)  # noqa: PTH101 - as the HTTP server's sockets
            bound = address
        else:
            bound = f"{address.rpartition(':')[0]}:{number}"
        self._bound.append(BoundPort(bound, server, health, calls))
        await server.start()

    @property
    def addresses(self) -> list[str]:
        """Where the server listens, with the ports it was given."""
        return [each.address for each in self._bound]

    async def drain(self) -> None:
        """Accept no more and answer what is in flight: clients are told to go elsewhere with what comes next."""
        for each in self._bound:
            each.health.leave()
        await asyncio.gather(*(each.server.stop(LONG) for each in self._bound))

    async def stop(self) -> None:
        """Cut every call and connection and free the addresses; returns when no handler runs any more."""
        bound, self._bound = self._bound, []
        for each in bound:
            each.health.leave()
            await each.server.stop(None)
        # grpcio waits for what it has sent, not for the handlers that it has cancelled (grpc/grpc#37239).
        for _ in range(TURNS):
            if not any(each.calls.in_flight for each in bound):
                return
            await asyncio.sleep(0)

    def _options(self, port: GrpcPort, *, shared: bool) -> list[tuple[str, int]]:
        limits = self._limits
        options = [
            # Else the kernel lets two programs listen at once, and gives each of them some of the connections.
            ("grpc.so_reuseport", int(shared)),
            ("grpc.max_receive_message_length", limits.body_bytes),
            ("grpc.max_send_message_length", -1),
            # From the first on calls are refused by chance, from the second on always.
            ("grpc.max_metadata_size", limits.head_bytes),
            ("grpc.absolute_max_metadata_size", limits.head_bytes * 2),
            ("grpc.max_concurrent_streams", port.streams),
            ("grpc.max_allowed_incoming_connections", limits.connections),
            ("grpc.server_handshake_timeout_ms", round(limits.head_seconds * 1000)),
            ("grpc.keepalive_time_ms", round(port.keepalive * 1000)),
            ("grpc.keepalive_timeout_ms", 20_000),
            # Many clients ask more often than grpcio's five minutes, and are then cut off for it; those that ask every
            # ten seconds, the least that Go's take, are not for a question that comes a moment early.
            ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
        if port.age is not None:
            options.append(("grpc.max_connection_age_ms", round(port.age * 1000)))
        return options


def _reason(address: str, error: RuntimeError) -> str:
    """Why it cannot listen there: grpcio says of every reason that it failed to bind, so it is tried once more."""
    if "Failed to bind" not in str(error):
        return str(error)
    try:
        _bind(address)
    except OSError as refused:
        return f"{(refused.strerror or str(refused)).lower()}{remedy(refused) or '; choose another'}"
    return "address already in use; choose another"  # by one that has gone meanwhile, or that shares it


def _bind(address: str) -> None:
    host, _, port = address.rpartition(":")
    if host == "unix":
        with socket.socket(socket.AF_UNIX) as probe:
            probe.bind(port)
            Path(port).unlink()
        return
    family, kind, protocol, _, place = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.bind(place)
