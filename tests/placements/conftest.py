"""One running system for the tests of a module, in each of the three placements in turn."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from meristem.runtime.assembly import Assembly
from meristem.testing.running import running


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["local", "wire", "processes"])
async def app(request: pytest.FixtureRequest) -> AsyncIterator[Assembly]:
    """The system of the module (`SYSTEM = "systems.…:system"`), placed three times."""
    options: dict[str, Any] = getattr(request.module, "OPTIONS", {})
    async with running(request.module.SYSTEM, where=request.param, **options) as system:
        yield system


@pytest.fixture
def where(request: pytest.FixtureRequest) -> str:
    """The placement that the test runs in."""
    return request.node.callspec.params["app"]


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Callable[[str], Awaitable[str]]:
    """Waits until a line with a text is logged, here or in another process; gives the whole record with traceback."""
    arrived = asyncio.Event()
    caplog.set_level(logging.DEBUG)
    emit = caplog.handler.emit

    def noticed(record: logging.LogRecord) -> None:
        emit(record)
        arrived.set()

    caplog.handler.emit = noticed  # type: ignore[method-assign]

    async def wait_for(text: str) -> str:
        async with asyncio.timeout(60):
            while True:
                for record in caplog.records:
                    if text in record.getMessage():
                        return caplog.handler.format(record)
                arrived.clear()
                await arrived.wait()

    return wait_for
