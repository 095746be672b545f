"""The standard health service (`grpc.health.v1`): each contract is served while the process is ready."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from meristem.transports.grpc.library import grpc, health_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

SERVICE: Final = "grpc.health.v1.Health"
LOOK: Final = 0.5  # seconds between two looks for who watches
Status: Final = health_pb2.HealthCheckResponse


class Health:
    """Tells of `services`, and of the whole as the service "", what `state` says: `ready`, or else why not."""

    def __init__(self, state: Callable[[], str], services: Collection[str]) -> None:
        self._state = state
        self._services = {"", *services}
        self._leaving = asyncio.Event()

    def handlers(self) -> Any:
        """What a server is given."""
        read, write = health_pb2.HealthCheckRequest.FromString, Status.SerializeToString
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(self.check, read, write),
            "Watch": grpc.unary_stream_rpc_method_handler(self.watch, read, write),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def leave(self) -> None:
        """Tell all who watch that this process serves no more, and end their streams: a drain would wait for them."""
        self._leaving.set()

    async def check(self, request: Any, context: Any) -> Any:
        """How a service fares; `not_found` for one that is not here."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service!r} is served here")
        return Status(status=self._status(request.service))

    async def watch(self, request: Any, context: Any) -> None:
        """How a service fares, and again whenever that changes."""
        told = None
        while True:
            leaving, status = self._leaving.is_set(), self._status(request.service)
            if status != told:
                await context.write(Status(status=status))
                told = status
            if leaving:
                return
            try:
                async with asyncio.timeout(LOOK):
                    await self._leaving.wait()
            except TimeoutError:
                pass  # the state is nobody's to tell of: it is looked at

    def _status(self, service: str) -> Any:
        if service not in self._services:
            return Status.SERVICE_UNKNOWN
        is_serving = self._state() == "ready" and not self._leaving.is_set()
        return Status.SERVING if is_serving else Status.NOT_SERVING
