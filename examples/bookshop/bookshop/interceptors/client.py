"""The client's half: interceptors of grpc.aio that log what calls fail with, and leave nothing but statuses.

channel = grpc.aio.insecure_channel("127.0.0.1:50051", interceptors=client_interceptors())
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from time import perf_counter
from typing import Any

from grpc import aio

from bookshop.interceptors.statuses import label_of, level_of, status_of

logger = logging.getLogger(__name__)


def client_interceptors() -> list[aio.ClientInterceptor]:
    """One for each kind of call, as grpc.aio asks for them: of one that is of two kinds it sees the first."""
    return [MonitoredCalls(), MonitoredStreams(), MonitoredUploads(), MonitoredExchanges()]


class MonitoredCalls(aio.UnaryUnaryClientInterceptor):
    """Calls with one reply."""

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        """Wait for the reply; whatever comes in its place is a status, and has a line in the log."""
        return await _replied(continuation, client_call_details, request)


class MonitoredStreams(aio.UnaryStreamClientInterceptor):
    """Calls with a stream of replies."""

    async def intercept_unary_stream(
        self, continuation: Any, client_call_details: Any, request: Any
    ) -> AsyncIterator[Any]:
        """Hand the replies on; where they break off, that is a status, too."""
        return await _streamed(continuation, client_call_details, request)


class MonitoredUploads(aio.StreamUnaryClientInterceptor):
    """Calls with a stream of requests, and one reply."""

    async def intercept_stream_unary(self, continuation: Any, client_call_details: Any, request_iterator: Any) -> Any:
        """As with one request."""
        return await _replied(continuation, client_call_details, request_iterator)


class MonitoredExchanges(aio.StreamStreamClientInterceptor):
    """Calls with a stream of requests, and one of replies."""

    async def intercept_stream_stream(
        self, continuation: Any, client_call_details: Any, request_iterator: Any
    ) -> AsyncIterator[Any]:
        """As with one request."""
        return await _streamed(continuation, client_call_details, request_iterator)


async def _replied(continuation: Any, details: Any, asked: Any) -> Any:
    begun = perf_counter()
    try:
        call = await continuation(details, asked)
        await call
    except Exception as error:  # the boundary to the network: whoever called has one class to expect
        raise _told(error, details, begun) from error
    return call


async def _streamed(continuation: Any, details: Any, asked: Any) -> AsyncIterator[Any]:
    begun = perf_counter()
    try:  # here and not in the generator: grpcio wants to have a call before somebody asks for its first reply
        call = await continuation(details, asked)
    except Exception as error:  # as above
        raise _told(error, details, begun) from error
    return _replies(call, details, begun)


async def _replies(call: Any, details: Any, begun: float) -> AsyncIterator[Any]:
    try:
        async for reply in call:
            yield reply
    except Exception as error:  # as above
        raise _told(error, details, begun) from error


def _told(error: Exception, details: Any, begun: float) -> aio.AioRpcError:
    """Log a failure; gives the status, which an exception on this side of the wire did not have yet."""
    label, seconds = label_of(details.method), perf_counter() - begun
    if isinstance(error, aio.AioRpcError):
        level, code = level_of(error.code()), error.code().name
        logger.log(level, "%s was answered %s after %.3f s: %s", label, code, seconds, error.details())
        return error
    code = status_of(error)
    logger.log(level_of(code), "%s failed as %s before it had an answer", label, code.name, exc_info=error)
    return aio.AioRpcError(code, aio.Metadata(), aio.Metadata(), f"{label} failed on the caller's side: {error!r}")
