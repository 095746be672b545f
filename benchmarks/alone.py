"""A system in this process as it runs in production: what a test's runner records costs nothing here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from meristem import System
from meristem.contracts.call import connected
from meristem.lifecycle import Stack
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE, Placement
from meristem.system.placement_tables import Resources


@asynccontextmanager
async def alone(system: System, *, database: str = "sqlite://", bus: str = "direct") -> AsyncIterator[Assembly]:
    """All services of a system, started, and stopped at the end."""
    blueprint = Blueprint(system, Placement(resources=Resources(bus=bus)))
    assembly = Assembly(blueprint, ALONE, Options(database=database))
    async with Stack() as stack:
        await stack.start(assembly)
        await assembly.activate()
        with connected(assembly):
            yield assembly
        await stack.drain()
