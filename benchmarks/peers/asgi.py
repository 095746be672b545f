"""Serves an ASGI app by uvicorn on the running loop, as `uvicorn app:app` does; the access log must be asked for."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import uvicorn
import uvloop


class Server(uvicorn.Server):
    """Says when it accepts connections."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()


async def serve_app(app: Any, address: str, ready: Callable[[], None], *, logged: bool = False) -> None:
    """Serve at `http://host:port` until the process is ended."""
    host, _, port = address.removeprefix("http://").partition(":")
    level = "info" if logged else "warning"
    config = uvicorn.Config(app, host=host, port=int(port), log_level=level, access_log=logged, http="httptools")
    await Server(config, ready).serve()


def run(app: Any) -> None:
    """Be a process that serves at PORT (of HOST, the loopback interface) and says when it is ready."""
    address = f"{os.environ.get('HOST', '127.0.0.1')}:{os.environ['PORT']}"
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve_app(app, address, lambda: print("ready", flush=True)))
