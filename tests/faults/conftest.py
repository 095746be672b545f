"""A service, a caller in another process of the system, and proxies between them that can be told to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from meristem.discovery.static import StaticResolver
from meristem.resilience.policies import Policies
from meristem.runtime.assembly import Assembly
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint
from meristem.system.placement import REST, Placement
from meristem.system.placement_tables import Telemetry

from .chaos import Proxy
from .till import Effects, Till, till

try:
    import uvloop
except ImportError:  # not on Windows
    uvloop = None


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests that name loops run on those that are here; the others, whose servers are processes, on asyncio's."""
    marker = item.get_closest_marker("asyncio")
    named = marker is not None and "loop_factories" in marker.kwargs
    others = {"uvloop": uvloop.new_event_loop} if named and uvloop is not None else {}
    return {"asyncio": asyncio.new_event_loop, **others}


class Scene:
    """Opens the parts; `behind` is the process that serves, `front` the one that calls it through the proxies."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.effects = Effects()
        self.proxies: list[Proxy] = []
        self.resolver = StaticResolver()
        self._folder = folder
        self._stack = stack
        self.front: Assembly
        self.back: Process

    async def till(
        self, *, replicas: int = 1, policies: Policies | None = None, telemetry: Telemetry | None = None
    ) -> Till:
        """A client of the service, which it finds behind so many proxies."""
        placement = Placement(
            processes={"front": (REST,), "back": ("till",)},
            policies={"till": policies or Policies()},
            telemetry=telemetry or Telemetry(),
        )
        blueprint = Blueprint(till(self.effects), placement)
        tokens = Tokens(new_secret())
        server = f"unix:{self._folder}/server.sock"
        for number in range(replicas):
            proxy = Proxy(f"{self._folder}/proxy{number}.sock", server)
            self.proxies.append(await self._stack.enter_async_context(proxy.running()))
        self.resolver.put("till", [each.address for each in self.proxies])
        around = Options(database="sqlite://", environment={}, resolver=self.resolver, sign=tokens.prove)
        self.back = Process(blueprint, "back", options=around, listen=[Listen(server, public=False)], tokens=tokens)
        self.front = Assembly(blueprint, "front", around)
        for part in (self.back, self.front):
            self._stack.push_async_callback(part.stop)
            await part.start()
        return self.front.client(Till)

    async def disconnected(self) -> None:
        """End every connection, and wait until both sides know."""
        for proxy in self.proxies:
            await proxy.cut()
        pools = [each.client._pool for each in self.front._reached.dependencies["till"]._replicas.values()]
        async with asyncio.timeout(30):
            while self.back._server.connections or any(pool._open for pool in pools):
                await asyncio.sleep(0)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as stack:
        yield Scene(tmp_path, stack)
