"""An edge and the processes of its apps, all in this test's own loop, over real sockets."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from meristem import App, System
from meristem.discovery.static import StaticResolver
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_tables import Supervision

PATIENCE = 60.0  # seconds for what takes one on an idle machine
SECRET = new_secret()


class Divided:
    """A system whose apps live apart: `browser` speaks to the edge, `replicas` are the processes of the apps."""

    def __init__(
        self, directory: Path, system: System, server: Mapping[str, Any], away: float, gateway: GatewayTable | None
    ) -> None:
        processes: dict[str, Any] = {f"of-{app.name}": (app.name,) for app in system.apps}
        supervision = Supervision(away=away)
        self.placement = Placement(
            processes={"edge": (), **processes}, server=dict(server), supervision=supervision, gateway=gateway
        )
        self.system = system
        self.directory = directory
        self.resolver = StaticResolver({app.name: () for app in system.apps})
        self.replicas: dict[str, Process] = {}
        self.browser: httpx.AsyncClient
        self.edge: Process

    def socket(self, app: str, number: int = 0) -> Path:
        return self.directory / f"{app}-{number}.sock"

    async def begin(self, app: str, number: int = 0) -> Process:
        """Start a replica of an app's process, which the edge finds."""
        path = self.socket(app, number)
        process = self._process(f"of-{app}", [Listen(f"unix:{path}", public=False)])
        await process.start()
        self.replicas[f"{app}-{number}"] = process
        self.resolver.put(app, {*self.resolver.addresses(app), f"unix:{path}"})
        return process

    async def end(self, app: str, number: int = 0, *, drains: bool = True) -> None:
        """End a replica; its address stays known."""
        process = self.replicas.pop(f"{app}-{number}")
        if drains:
            await process.drain()
        await process.stop()

    async def begin_edge(self) -> None:
        self.edge = self._process("edge", [Listen("tcp://127.0.0.1:0", public=True)])
        await self.edge.start()

    @property
    def base(self) -> str:
        return self.edge.addresses[0].replace("tcp://", "http://")

    @property
    def port(self) -> int:
        return int(self.base.rpartition(":")[2])

    def _process(self, name: str, listen: list[Listen]) -> Process:
        tokens = Tokens(SECRET)
        options = Options(
            environment={}, database="sqlite://", directory=self.directory, resolver=self.resolver, sign=tokens.prove
        )
        return Process(Blueprint(self.system, self.placement), name, options=options, listen=listen, tokens=tokens)


@pytest.fixture
def divided(tmp_path: Path):
    """`async with divided(App(…), …, replicas=2) as system:` serves apps in processes of their own, behind an edge."""

    @asynccontextmanager
    async def made(
        *apps: App,
        replicas: int = 1,
        away: float = 5.0,
        system: System | None = None,
        gateway: GatewayTable | None = None,
        **server: Any,
    ) -> AsyncIterator[Divided]:
        found = Divided(tmp_path, system or System("divided", apps=apps), server, away, gateway)
        try:
            for app in found.system.apps:
                for number in range(replicas):
                    await found.begin(app.name, number)
            await found.begin_edge()
            async with httpx.AsyncClient(base_url=found.base, timeout=PATIENCE) as found.browser:
                yield found
            await found.edge.drain()
        finally:
            await found.edge.stop()
            for process in found.replicas.values():
                await process.stop()

    return made


@pytest.fixture
def together(tmp_path: Path):
    """`async with together(App(…)) as browser:` serves the same in one process."""

    @asynccontextmanager
    async def made(*apps: App) -> AsyncIterator[httpx.AsyncClient]:
        options = Options(environment={}, database="sqlite://", directory=tmp_path)
        listen = [Listen("tcp://127.0.0.1:0", public=True)]
        process = Process(
            Blueprint(System("divided", apps=apps)), "main", options=options, listen=listen, tokens=Tokens(SECRET)
        )
        try:
            await process.start()
            base = process.addresses[0].replace("tcp://", "http://")
            async with httpx.AsyncClient(base_url=base, timeout=PATIENCE) as browser:
                yield browser
            await process.drain()
        finally:
            await process.stop()

    return made
