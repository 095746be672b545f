"""grpc.aio at both ends, on uvloop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from benchmarks.peers.protobufs import QUERY, QUOTE, SERVICE, OffersService, Query, Quote, Quotes


async def serve(address: str, ready: Callable[[], None]) -> None:
    """Serve until the process is ended."""
    offers = OffersService()
    methods = {
        name: grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=request.FromString, response_serializer=reply.SerializeToString
        )
        for name, function, request, reply in (
            ("Echo", offers.echo, Quote, Quote),
            ("Search", offers.search, Query, Quotes),
        )
    }
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    server.add_insecure_port(address)
    await server.start()
    ready()
    await server.wait_for_termination()


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[dict[str, Any]]:
    async with grpc.aio.insecure_channel(address) as channel:

        def method(name: str, request: Any, reply: Any) -> Any:
            return channel.unary_unary(
                f"/{SERVICE}/{name}",
                request_serializer=request.SerializeToString,
                response_deserializer=reply.FromString,
            )

        echo, search = method("Echo", Quote, Quote), method("Search", Query, Quotes)

        async def call_echo() -> Any:
            return await echo(QUOTE, timeout=5.0)

        async def call_search() -> Any:
            return await search(QUERY, timeout=5.0)

        yield {"echo": call_echo, "list": call_search}
