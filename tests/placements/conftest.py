"""One running system for the tests of a module, in each of the four placements in turn."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from interpreters import ANOTHER, KEPT, REQUIREMENTS
from msgspec.structs import replace

from meristem.runtime.assembly import Assembly
from meristem.supervision.environments import PLACE
from meristem.system.placement import REST, Placement
from meristem.system.placement_tables import ProcessTable
from meristem.system.system import System
from meristem.testing.running import load_system, running


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["local", "wire", "processes", "named"])
async def app(request: pytest.FixtureRequest) -> AsyncIterator[Assembly]:
    """The system of the module (`SYSTEM = "systems.…:system"`), placed four times.

    `named` are processes, too: the services are named by text, and the first of them has an interpreter and packages
    of its own.
    """
    options: dict[str, Any] = getattr(request.module, "OPTIONS", {})
    named: str = request.module.SYSTEM
    where = request.param
    if where == "named":
        where, options = "processes", {**options, "placement": _apart(load_system(named), options.get("placement"))}
        named = named.replace("systems.", "systems.named:").removesuffix(":system")
        os.environ.setdefault(PLACE, str(KEPT))
    async with running(named, where=where, **options) as system:
        yield system


def _apart(system: System, placement: Placement | None) -> Placement:
    """Each service in a process of its own, the first by another interpreter with other packages."""
    first, *rest = [each.service_name for each in system.services]
    own = ProcessTable((first,), python=ANOTHER[1], requirements=str(REQUIREMENTS))
    processes: dict[str, Any] = {first: own, **{name: (name,) for name in rest}}
    if system.apps:
        processes["apps"] = (REST,)
    return replace(placement or Placement(), processes=processes)


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
