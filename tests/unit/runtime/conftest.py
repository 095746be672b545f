"""A system that serves on a real port of this test's own loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from meristem import System
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE, Placement


@pytest.fixture
def serving(tmp_path: Path):
    """`async with serving(system) as browser:` gives an HTTP client of the running system."""

    @asynccontextmanager
    async def serve(
        system: System, *, placement: Placement | None = None, **options: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        made = Options(**{"environment": {}, "database": "sqlite://", "directory": tmp_path, **options})
        listen = [Listen("tcp://127.0.0.1:0", public=True)]
        process = Process(Blueprint(system, placement), ALONE, options=made, listen=listen, tokens=Tokens(new_secret()))
        try:
            await process.start()
            base = process.addresses[0].replace("tcp://", "http://")
            async with httpx.AsyncClient(base_url=base, timeout=30) as browser:
                yield browser
            await process.drain()
        finally:
            await process.stop()

    return serve
