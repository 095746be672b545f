"""The small shop served by gRPC, and clients of it: our own, and grpcio's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
import uvloop
from grpc import aio

from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.contract import operations
from meristem.contracts.protobuf.binary import ProtoCodec
from meristem.resilience.limits import Limits
from meristem.transports.grpc.grpc_client import GrpcClient
from meristem.transports.grpc.grpc_server import GrpcServer
from tests.suites.shop import Rooms, RoomsHandlers, authenticate, everything, verify

T = TypeVar("T")
PATIENCE = 30  # seconds


class GrpcShop:
    """Servers and clients of one test."""

    everything = staticmethod(everything)

    def __init__(self, path: Path) -> None:
        self.handlers = RoomsHandlers()
        self.operations = operations(Rooms)
        self.proto = ProtoCodec(self.operations.values())
        self.state = "ready"
        self._path = path
        self._open: list[Any] = []

    async def server(
        self, address: str = "", *, secured: bool = False, limits: Limits | None = None, **options: Any
    ) -> GrpcServer:
        server = GrpcServer(
            self.handlers.endpoints(),
            limits=limits,
            verify=verify if secured else None,
            authenticate=authenticate,
            state=lambda: self.state,
        )
        self._open.append(server)
        await server.start(address or f"unix:{self._path}/{len(self._open)}.sock", **options)
        return server

    def client(self, server: GrpcServer | str, **options: Any) -> GrpcClient:
        address = server if isinstance(server, str) else server.addresses[0]
        if "//" not in address:
            address = f"grpc+{address}" if address.startswith("unix:") else f"grpc://{address}"
        client = GrpcClient(address, **options)
        self._open.append(client)
        return client

    def stock(self, server: GrpcServer, credentials: Any = None, **options: Any) -> aio.Channel:
        """A channel of grpcio."""
        if credentials is None:
            channel = aio.insecure_channel(server.addresses[0], **options)
        else:
            channel = aio.secure_channel(server.addresses[0], credentials, **options)
        self._open.append(Closing(channel))
        return channel

    async def pair(self, **options: Any) -> tuple[GrpcServer, GrpcClient]:
        server = await self.server(**options)
        return server, self.client(server)

    def call(self, name: str, context: Context | None = None, **values: Any) -> Call:
        found = self.operations[name]
        return Call(found, found.request(**values), context or Context())

    def method(self, channel: aio.Channel, name: str) -> Any:
        """A method as a generated stub has it."""
        known = self.operations[name]
        kind = channel.unary_stream if known.stream else channel.unary_unary
        request, reply = self.proto.request_class(known), self.proto.reply_class(known)
        return kind(known.path, request.SerializeToString, reply.FromString)

    def request(self, name: str, **values: Any) -> Any:
        """A request as a class that is generated has it."""
        return self.proto.request_class(self.operations[name])(**values)

    async def failed(self, work: Awaitable[Any]) -> aio.AioRpcError:
        """The error of a call of grpcio's."""
        with pytest.raises(grpc.RpcError) as caught:
            await self.within(work)
        return caught.value

    async def within(self, work: Awaitable[T]) -> T:
        """Await what may take long on a machine that stalls, and not for ever."""
        return await asyncio.wait_for(work, PATIENCE)

    async def stop(self) -> None:
        for each in reversed(self._open):
            await each.stop()


class Closing:
    def __init__(self, channel: aio.Channel) -> None:
        self._channel = channel

    async def stop(self) -> None:
        await self._channel.close()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[GrpcShop]:
    made = GrpcShop(tmp_path)
    yield made
    await made.stop()


def pytest_asyncio_loop_factories() -> dict[str, Any]:
    """Every test runs on both event loops."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
