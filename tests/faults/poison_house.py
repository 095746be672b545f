"""Processes of a system with poison in it, each of which is started again as often as it ends."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from meristem.security.tokens import new_secret
from meristem.supervision.ports import free_port
from tests.suites.postgresql import schema_of_its_own

PLACEMENT: Final = """
[processes]
main = {{ services = ["*"], replicas = 2 }}
[resources]
database = "{database}"
bus = "{bus}"
"""
COMMAND: Final = (sys.executable, "-m", "meristem")


class Restarted:
    """Replicas that are started again whenever they end themselves; `ends` counts that, `log` is what they write."""

    def __init__(self, folder: Path, module: str, database: str, bus: str = "direct") -> None:
        self.folder = folder
        self.log = folder / "log"
        self.ends = 0
        self.secret = new_secret().hex()
        self.system = (module, "--placement", "main.toml")
        self._ports = [free_port(), free_port()]
        self._keeping: list[asyncio.Task[None]] = []
        shutil.copy(Path(__file__).with_name(module), folder)
        (folder / "main.toml").write_text(PLACEMENT.format(database=database, bus=bus))

    @property
    def addresses(self) -> list[str]:
        """Where those that were started are called."""
        return [f"http://127.0.0.1:{port}" for port in self._ports[: len(self._keeping)]]

    def start(self, replica: int) -> None:
        self._keeping.append(asyncio.create_task(self._keep(replica)))

    async def stop(self) -> None:
        for each in self._keeping:
            each.cancel()
        await asyncio.gather(*self._keeping, return_exceptions=True)

    async def command(self, *arguments: str) -> str:
        """What a command line says of the system."""
        listing = await self._begin(*arguments, stdout=asyncio.subprocess.PIPE)
        text, _ = await listing.communicate()
        return text.decode()

    async def _keep(self, replica: int) -> None:
        while True:
            with self.log.open("ab") as log:
                process = await self._begin(
                    "process", *self.system, "--process", "main", "--replica", str(replica),
                    "--listen", f"tcp://127.0.0.1:{self._ports[replica]}", stdout=log, stderr=log,
                )  # fmt: skip
            try:
                assert await process.wait() == 9, self.log.read_text()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            self.ends += 1

    async def _begin(self, *arguments: str, **streams: object) -> asyncio.subprocess.Process:
        environment = os.environ | {"MERISTEM_SECRET": self.secret}
        return await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, cwd=self.folder, env=environment, stdin=asyncio.subprocess.DEVNULL, **streams
        )


@asynccontextmanager
async def database_of(kind: str) -> AsyncIterator[str]:
    if kind == "sqlite":
        yield "sqlite:///{service}.db"
    else:
        async with schema_of_its_own() as url:
            yield url
