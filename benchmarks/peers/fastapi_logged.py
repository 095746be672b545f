"""FastAPI on uvicorn with the access log that uvicorn has by default."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.peers.asgi import serve_app
from benchmarks.peers.fastapi_httpx import create_app


async def serve(address: str, ready: Callable[[], None]) -> None:
    """Serve until the process is ended."""
    await serve_app(create_app(), address, ready, logged=True)
