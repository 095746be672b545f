"""Third parties under test run as in life: behind a real server on a free port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx
import pytest
import uvicorn


class _Server(uvicorn.Server):
    """A server in a thread that says when it is ready, and why it could not start."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextmanager
def serving(app: Any, **options: Any) -> Iterator[str]:
    server = _Server(uvicorn.Config(app, log_level="warning", ws="none", **options))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        assert server.ready.wait(20), "the server did not start"
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive(), "the server did not stop"


@pytest.fixture
def serve() -> Iterator[Callable[..., httpx.Client]]:
    """``serve(app)`` gives an HTTP client of ``app``, which stops when the test ends."""
    with ExitStack() as stack:

        def start(app: Any, **options: Any) -> httpx.Client:
            url = stack.enter_context(serving(app, **options))
            return stack.enter_context(httpx.Client(base_url=url, timeout=20))

        yield start
