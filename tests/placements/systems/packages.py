"""A service that tells which interpreter it runs in and which packages it has."""

import importlib.metadata
import sys
from typing import Protocol

from meristem import Contract, Service, System, safe


class Packages(Contract, Protocol, package="parity.packages.v1"):
    @safe(timeout=20.0)
    async def version(self, package: str) -> str: ...

    @safe(timeout=20.0)
    async def python(self) -> str: ...


class Asking(Contract, Protocol, package="parity.packages.v1"):
    @safe(timeout=20.0)
    async def version(self, package: str) -> str: ...


class PackagesService(Packages, Service):
    async def version(self, package: str) -> str:
        return importlib.metadata.version(package)

    async def python(self) -> str:
        return f"{sys.version_info.major}.{sys.version_info.minor} {sys.executable}"


class AskingService(Asking, Service):
    def __init__(self, packages: Packages) -> None:
        self.packages = packages

    async def version(self, package: str) -> str:
        return f"{importlib.metadata.version(package)} here, {await self.packages.version(package)} there"


system = System("packages", services=[PackagesService, AskingService])
