"""What grpcio calls for each RPC: handlers of raw bytes in front of the one answerer."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, ClassVar, Final

from meristem.contracts.undeclared import undeclared
from meristem.head_fields import POSITIONS
from meristem.position_fields import grown
from meristem.transports.errors import shield, written
from meristem.transports.grpc.items_source import ItemsSource
from meristem.transports.grpc.library import grpc
from meristem.transports.grpc.methods import GrpcMethod, GrpcRequest
from meristem.transports.grpc.status import FailedStatus
from meristem.transports.unary import answer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meristem.transports.authorize import Authorizer

COMPRESSED: Final = 1024
"""A reply from this size on is compressed, where that is wanted: less grows by it, or stays as it was."""


class PortCalls:
    """What the calls of a port share: `in_flight` counts those whose handlers have not ended."""

    def __init__(self, authorizer: Authorizer, *, compressed: bool) -> None:
        self.authorizer = authorizer
        self.compressed = compressed
        self.in_flight = 0


class RpcHandler:
    """One RPC as grpcio's `RpcMethodHandler` has it, without classes of protobuf.

    It is made for each, because the metadata is at hand when grpcio looks for a handler: to ask it once more would be
    to read all of it once more.
    """

    __slots__ = ("_calls", "_fields", "_method")

    request_streaming: ClassVar = False
    response_streaming: ClassVar = False
    request_deserializer: ClassVar = None
    response_serializer: ClassVar = None

    def __init__(self, calls: PortCalls, method: GrpcMethod, fields: Sequence[tuple[str, Any]]) -> None:
        self._calls = calls
        self._method = method
        self._fields = fields

    async def unary_unary(self, body: bytes, context: Any, source: ItemsSource | None = None) -> bytes:
        """Answer a call by one reply."""
        calls, method = self._calls, self._method
        calls.in_flight += 1
        try:
            request = GrpcRequest.of(self._fields, body, context.time_remaining(), method.limits, source)
            if calls.compressed and source is not None:  # which may begin the answer, and that says so
                context.set_compression(grpc.Compression.Gzip)
            try:
                outcome = await answer(method, request, calls.authorizer)
            except asyncio.CancelledError as error:
                outcome = _cancelled(method, request, error)
            if source is not None:
                await source.settle()
            if isinstance(outcome, FailedStatus):
                await context.abort(*outcome)
            if (text := grown(request.context)) is not None:
                context.set_trailing_metadata(((POSITIONS.decode(), text.decode()),))
            if calls.compressed and source is None and len(outcome) >= COMPRESSED:
                context.set_compression(grpc.Compression.Gzip)
                await context.send_initial_metadata(())  # what is sent with the reply would not say so
            reply: bytes = outcome
            return reply
        finally:
            calls.in_flight -= 1


def _cancelled(method: GrpcMethod, request: GrpcRequest, error: asyncio.CancelledError) -> FailedStatus:
    """The status of work that was cancelled from within; raises `error` where it was its caller or the server."""
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise error
    # grpcio would tell the client what it tells of calls that were not served.
    return method.failure(request, undeclared(method.operation, error))


class StreamHandler(RpcHandler):
    """An RPC that is answered by a stream."""

    __slots__ = ()

    response_streaming: ClassVar = True

    async def unary_stream(self, body: bytes, context: Any) -> None:
        """Answer a call by one reply after the other; each is taken by the connection before the next is asked for."""
        await self._replies(body, context)

    async def _replies(self, body: bytes, context: Any, source: ItemsSource | None = None) -> None:
        calls, method = self._calls, self._method
        calls.in_flight += 1
        try:
            request = GrpcRequest.of(self._fields, body, context.time_remaining(), method.limits, source)
            if calls.compressed:
                context.set_compression(grpc.Compression.Gzip)
            try:
                outcome = await answer(method, request, calls.authorizer)
            except asyncio.CancelledError as error:
                outcome = _cancelled(method, request, error)
            if not isinstance(outcome, FailedStatus):
                async with aclosing(outcome) as items:
                    outcome = await self._sent(request, aiter(items), source or context)
            if source is not None:
                await source.settle()
            if outcome is not None:
                await context.abort(*outcome)
        finally:
            calls.in_flight -= 1

    async def _sent(self, request: GrpcRequest, items: Any, sent: Any) -> FailedStatus | None:
        """Send all items; the status of what broke off, if something did."""
        method = self._method
        while True:
            # Only what the service does is a failure of the service: that of a write is of the connection.
            try:
                body = method.write(await anext(items))
            except StopAsyncIteration:
                return None
            except Exception as error:  # a boundary: whatever fails is logged by `shield` and answered
                told = shield(method.operation, error)
                return written(method.operation, told, lambda each: method.failure(request, each))
            await sent.write(body)


class ItemsHandler(RpcHandler):
    """An RPC whose request is a stream."""

    __slots__ = ()

    request_streaming: ClassVar = True

    async def stream_unary(self, _requests: Any, context: Any) -> bytes:
        """Answer a stream of items by one reply."""
        return await self.unary_unary(b"", context, ItemsSource(context))


class ExchangeHandler(StreamHandler):
    """An RPC both sides of which stream."""

    __slots__ = ()

    request_streaming: ClassVar = True

    async def stream_stream(self, _requests: Any, context: Any) -> None:
        """Answer a stream of items by a stream of replies."""
        await self._replies(b"", context, ItemsSource(context))


KINDS: Final = {
    (False, False): RpcHandler,
    (False, True): StreamHandler,
    (True, False): ItemsHandler,
    (True, True): ExchangeHandler,
}
"""By whether the request is a stream, and the reply."""


class ContractHandlers:
    """Finds the handler of an RPC by its path, as grpcio's `GenericRpcHandler` does."""

    def __init__(self, methods: Mapping[str, GrpcMethod], calls: PortCalls) -> None:
        self._calls = calls
        self._kinds = {
            path: (KINDS[method.operation.takes_stream, method.operation.stream], method)
            for path, method in methods.items()
        }

    def service(self, details: Any) -> RpcHandler | None:
        """The handler, None for a path that nothing here answers."""
        found = self._kinds.get(details.method)
        return None if found is None else found[0](self._calls, found[1], details.invocation_metadata)
