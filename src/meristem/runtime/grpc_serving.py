"""The gRPC side of a process; grpcio is loaded when an address asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from meristem.contracts.call import Call, Handler, ServedOperation
from meristem.telemetry.observing import WIRE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meristem.runtime.assembly import Assembly
    from meristem.runtime.listen import Listen
    from meristem.security.tokens import Tokens
    from meristem.transports.grpc.grpc_server import GrpcServer


def grpc_server(
    assembly: Assembly,
    routes: Mapping[str, ServedOperation],
    tokens: Tokens,
    state: Callable[[], str] = lambda: "ready",
) -> GrpcServer:
    """A server of `routes` for callers that the process knows as its HTTP server does."""
    from meristem.transports.grpc.grpc_server import GrpcServer  # noqa: PLC0415 - an extra, and 15 MB

    return GrpcServer(
        {path: ServedOperation(each.operation, _by_grpc(each.handler)) for path, each in routes.items()},
        limits=assembly.limits,
        verify=tokens.verify,
        authenticate=assembly.blueprint.system.authenticate,
        state=state,
    )


def _by_grpc(handler: Handler) -> Handler:
    async def named(call: Call) -> Any:
        WIRE.set("grpc")  # each call has a task of its own, which ends with it
        return await handler(call)

    return named


class GrpcServing:
    """A gRPC server as a component; `described` tells at public addresses what is served, unless their port says."""

    def __init__(self, server: GrpcServer, listen: Sequence[Listen], *, described: bool = False) -> None:
        self.server = server
        self._listen = listen
        self._described = described

    @property
    def addresses(self) -> list[str]:
        """Where it listens, with the ports it was given."""
        return [f"grpc+{each}" if each.startswith("unix:") else f"grpc://{each}" for each in self.server.addresses]

    async def start(self) -> None:
        for each in self._listen:
            await self.server.start(
                each.address.removeprefix("grpc+").removeprefix("grpc://"),
                public=each.public,
                port=each.port,
                # Who reaches the others belongs to the system, and may ask.
                reflection=self._described or not each.public,
                shared=each.shared,
            )

    async def drain(self) -> None:
        await self.server.drain()

    async def stop(self) -> None:
        await self.server.stop()
