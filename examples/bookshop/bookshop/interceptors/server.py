"""The server's half: an interceptor of grpc.aio that turns exceptions into statuses, and logs them.

server = grpc.aio.server(interceptors=[Monitored()])
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from grpc import aio

from bookshop.interceptors.statuses import label_of, level_of, status_of

logger = logging.getLogger(__name__)

FACTORIES = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


class Monitored(aio.ServerInterceptor):
    """Whatever a method raises has a status that says what it means, and a line in the log that says what it was."""

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Wrap the method that is called; there is none where nobody has it, and grpcio says so."""
        handler: Any = await continuation(handler_call_details)
        if handler is None:
            return None
        kind, factory = FACTORIES[handler.request_streaming, handler.response_streaming]
        monitored = _monitored(getattr(handler, kind), label_of(handler_call_details.method))
        made: grpc.RpcMethodHandler = factory(monitored, handler.request_deserializer, handler.response_serializer)
        return made


def _monitored(method: Callable[..., Any], label: str) -> Callable[..., Any]:
    """The method, which is of the same kind: grpcio calls each in another way."""
    if inspect.isasyncgenfunction(method):
        return _streaming(method, label)
    if inspect.iscoroutinefunction(method):
        return _answering(method, label)
    raise TypeError(f"{label} is a plain function: write `async def`, or serve it by grpc.server(), which has threads")


def _answering(method: Callable[..., Any], label: str) -> Callable[..., Any]:
    async def answer(request: Any, context: aio.ServicerContext) -> Any:
        try:
            return await method(request, context)
        except Exception as error:  # the boundary of the service: whatever it is, the caller is told a status
            await _tell(error, label, context)

    return answer


def _streaming(method: Callable[..., Any], label: str) -> Callable[..., Any]:
    async def stream(request: Any, context: aio.ServicerContext) -> AsyncIterator[Any]:
        try:
            async for each in method(request, context):
                yield each
        except Exception as error:  # as above
            await _tell(error, label, context)

    return stream


async def _tell(error: Exception, label: str, context: aio.ServicerContext) -> None:
    """Log an error and end the call by its status; the text may be private, so it stays in the log."""
    if isinstance(error, aio.AbortError):  # the method has ended the call itself
        code = context.code()
        logger.log(level_of(code), "%s answered %s: %s", label, code.name, context.details())
        raise error
    code = status_of(error)
    logger.log(level_of(code), "%s answered %s", label, code.name, exc_info=error)
    await context.abort(code, f"{label} failed; the log says why")
