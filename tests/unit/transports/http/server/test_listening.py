"""An address that another took in the same moment."""

import asyncio
from types import SimpleNamespace

import pytest

from meristem.errors import ConfigurationError
from meristem.transports.http.server.http_server import HttpServer


async def test_a_port_that_another_listens_at_since_it_was_bound_is_taken(monkeypatch):
    closed = []
    server = SimpleNamespace(sockets=[None], close=lambda: closed.append(True))  # as uvloop's is then

    async def create_server(*_: object, **__: object) -> SimpleNamespace:
        return server

    monkeypatch.setattr(asyncio.get_running_loop(), "create_server", create_server, raising=False)
    with pytest.raises(ConfigurationError, match="cannot listen on tcp://127.0.0.1:8001: .* already in use; choose"):
        await HttpServer({}).start("tcp://127.0.0.1:8001")
    assert closed
