"""One running system for the tests of a module, in each of its placements in turn."""

import asyncio
import itertools
import logging
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from interpreters import KEPT
from placed import BY_GRPC, apart, by_grpc
from skewed import RELEASES, write_release

from meristem.runtime.assembly import Assembly
from meristem.supervision.environments import PLACE
from meristem.system.system import System
from meristem.testing import running
from meristem.testing.harness import load_system
from meristem.transports.http.client.multiplexed import ClientChannel
from meristem.transports.http.client.pool import Pool
from tests.suites.postgresql import services_of_their_own

PLACEMENTS = ("local", "wire", "grpc", "processes", "processes by grpc", "skewed", "named")
HERE = Path(__file__).parent
ON_POSTGRESQL = "tests.suites.on_postgresql"  # which places what this process opens; others are told by their URL
SEVERAL = PLACEMENTS[3:]  # which start processes, and take most of the time of all tests
SEED = os.environ["PARITY_SEED"]  # set by the conftest.py of all, for all workers
"""Which of `SEVERAL` the system of a module is placed in, from day to day another; `whole` is all four."""


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=PLACEMENTS)
async def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Assembly]:
    """The system of the module (`SYSTEM = "systems.…:system"`), placed four times: in one of `SEVERAL`, by `SEED`.

    By gRPC is as `wire`, or as `processes`, with gRPC between the services. `skewed` are processes of other releases
    than the test's: every other service is of the one after it, the rest are of the one before. `named` are processes,
    too: the services are named by text, and the first of them has an interpreter and packages of its own.
    """
    options: dict[str, Any] = getattr(request.module, "OPTIONS", {})
    named: str = request.module.SYSTEM
    where = request.param
    if where in BY_GRPC:
        options = {**options, "placement": by_grpc(load_system(named), options.get("placement"))}
        where = "wire" if where == "grpc" else "processes"
    if where == "named":
        where, options = "processes", {**options, "placement": apart(load_system(named), options.get("placement"))}
        named = named.replace("systems.", "systems.named:").removesuffix(":system")
        os.environ.setdefault(PLACE, str(KEPT))
    async with AsyncExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        # Not where the interpreter of the first service has packages of its own: asyncpg is not among them.
        if request.param in SEVERAL[:-1] and request.config.pluginmanager.has_plugin(ON_POSTGRESQL):
            services = [each.service_name for each in load_system(named).services]
            made = await stack.enter_async_context(services_of_their_own(*services))
            options = {**options, "database": f"{made}&pool=2&server_pool=4"}
        if where == "skewed":
            where = "processes"
            _skew(patch, load_system(named), tmp_path_factory.mktemp("skewed"))
        if where == "wire":
            _by_turns(patch)
        async with running(named, where=where, **options) as system:
            yield system


def _skew(patch: pytest.MonkeyPatch, system: System, folder: Path) -> None:
    """Have the processes take their modules from two other releases."""
    names = [each if isinstance(each, str) else each.service_name for each in system.services]
    first = len(system.name) % 2  # so that callers are of the newer one in some systems, and callees in others
    for number, release in enumerate(RELEASES):
        write_release(release, folder / release)
        patch.setenv(f"PARITY_{release.upper()}", ",".join(names[(first + number) % 2 :: 2]))
    patch.setenv("PARITY_RELEASES", str(folder))


def _by_turns(patch: pytest.MonkeyPatch) -> None:
    """Send every other call on the connection that many share, which tests would hardly use: they make one at a time.

    A call that is repeated goes both ways, and has to give the same.
    """
    has_room, turns = ClientChannel.has_room, itertools.count()
    patch.setattr(Pool, "_is_busy", lambda _pool: True)
    patch.setattr(ClientChannel, "has_room", lambda *given: next(turns) % 2 == 0 and has_room(*given))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the seed leaves out."""
    out = [each for each in items if not _is_drawn(each)]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [each for each in items if _is_drawn(each)]


def _is_drawn(item: pytest.Item) -> bool:
    placed = getattr(item, "callspec", None)
    where = None if placed is None else placed.params.get("app")
    if SEED == "whole" or where not in SEVERAL or item.path.parent != HERE:
        return True
    return where == random.Random(f"{SEED} {item.path.stem}").choice(SEVERAL)


def pytest_itemcollected(item: pytest.Function) -> None:
    """Have the tests of one running system in one worker: each other worker would start it once more."""
    placed = getattr(item, "callspec", None)
    if placed is not None and "app" in placed.params:
        item.add_marker(pytest.mark.xdist_group(f"{item.path.stem}-{placed.params['app']}"))


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
