"""The connectrpc package at both ends: its ASGI application on uvicorn, its client on pyqwest.

Compression is off, which is quicker for messages of this size.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from connectrpc.client import ConnectClient
from connectrpc.compat import google_protobuf_binary_codec, google_protobuf_codecs
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.server import ConnectASGIApplication, Endpoint

from benchmarks.peers.asgi import serve_app
from benchmarks.peers.protobufs import QUERY, QUOTE, SERVICE, OffersService, Query, Quote, Quotes


def _method(name: str, request: Any, reply: Any) -> MethodInfo[Any, Any]:
    return MethodInfo(
        name=name,
        service_name=SERVICE,
        input=request,
        output=reply,
        idempotency_level=IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.UNARY,
    )


ECHO, SEARCH = _method("Echo", Quote, Quote), _method("Search", Query, Quotes)


class OffersApplication(ConnectASGIApplication[OffersService]):
    """As its plugin generates it."""

    def __init__(self, service: OffersService) -> None:
        super().__init__(
            service=service,
            endpoints=lambda offers: {
                f"/{SERVICE}/Echo": Endpoint.unary(method=ECHO, function=offers.echo),
                f"/{SERVICE}/Search": Endpoint.unary(method=SEARCH, function=offers.search),
            },
            compressions=(),
            codecs=google_protobuf_codecs(),
        )

    @property
    def path(self) -> str:
        return f"/{SERVICE}"


async def serve(address: str, ready: Callable[[], None]) -> None:
    """Serve until the process is ended."""
    await serve_app(OffersApplication(OffersService()), address, ready)


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[dict[str, Any]]:
    codec = google_protobuf_binary_codec()
    client = ConnectClient(address, codec=codec, accept_compression=(), send_compression=None, timeout_ms=5000)
    async with client:

        async def call_echo() -> Any:
            return await client.execute_unary(request=QUOTE, method=ECHO)

        async def call_search() -> Any:
            return await client.execute_unary(request=QUERY, method=SEARCH)

        yield {"echo": call_echo, "list": call_search}
