"""Starlette on uvicorn, its bodies read and written by msgspec: the least that is written by hand."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from benchmarks.peers.asgi import serve_app
from benchmarks.peers.structs import ROWS, Query, Quote, Quotes

JSON = "application/json"
ENCODE = msgspec.json.Encoder().encode
QUOTE, QUERY = msgspec.json.Decoder(Quote).decode, msgspec.json.Decoder(Query).decode


async def echo(request: Request) -> Response:
    return Response(ENCODE(QUOTE(await request.body())), media_type=JSON)


async def search(request: Request) -> Response:
    query = QUERY(await request.body())
    return Response(ENCODE(Quotes(items=ROWS[: query.count])), media_type=JSON)


async def serve(address: str, ready: Callable[[], None]) -> None:
    """Serve until the process is ended."""
    app = Starlette(routes=[Route("/echo", echo, methods=["POST"]), Route("/search", search, methods=["POST"])])
    await serve_app(app, address, ready)
