"""A service that tells which interpreter it runs in, which packages it has, and of which release it is."""

import importlib.metadata
import sys
from pathlib import Path
from typing import Protocol

from meristem import Contract, Service, System, safe


class Packages(Contract, Protocol, package="parity.packages.v1"):
    @safe(timeout=20.0)
    async def version(self, package: str) -> str: ...

    @safe(timeout=20.0)
    async def python(self) -> str: ...

    @safe(timeout=20.0)
    async def release(self) -> str: ...


class Asking(Contract, Protocol, package="parity.packages.v1"):
    @safe(timeout=20.0)
    async def version(self, package: str) -> str: ...

    @safe(timeout=20.0)
    async def releases(self) -> list[str]: ...


class PackagesService(Packages, Service):
    async def version(self, package: str) -> str:
        return importlib.metadata.version(package)

    async def python(self) -> str:
        return f"{sys.version_info.major}.{sys.version_info.minor} {sys.executable}"

    async def release(self) -> str:
        return Path(__file__).parent.name


class AskingService(Asking, Service):
    def __init__(self, packages: Packages) -> None:
        self.packages = packages

    async def version(self, package: str) -> str:
        return f"{importlib.metadata.version(package)} here, {await self.packages.version(package)} there"

    async def releases(self) -> list[str]:
        return [Path(__file__).parent.name, await self.packages.release()]


system = System("packages", services=[PackagesService, AskingService])
