"""The order in which a process comes to life."""

import asyncio
from typing import Protocol

import pytest

from meristem import Contract, Database, Event, Service, System, on, safe
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE


class Opened(Event, package="shop.v1"):
    """The shop opened."""


class Shop(Contract, Protocol, package="shop.v1"):
    """Opens once."""

    @safe(timeout=60.0)
    async def heard(self) -> bool:
        """Whether the opening was heard of."""
        ...


class ShopService(Shop, Service):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.hearing = asyncio.Event()

    async def start(self) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Opened())

    async def heard(self) -> bool:
        return self.hearing.is_set()

    @on(Opened)
    async def opened(self, _: Opened) -> None:
        self.hearing.set()


async def test_what_works_by_itself_begins_only_when_all_that_it_may_reach_is_up(tmp_path):
    # given services that answer, with an event that is owed to one of them
    options = Options(environment={}, directory=tmp_path)
    assembly = Assembly(Blueprint(System("shop", services=[ShopService])), ALONE, options)
    await assembly.start()
    try:
        shop = assembly.instances["shop"].service
        with pytest.raises(TimeoutError):  # a moment in which it would come, if it came
            async with asyncio.timeout(0.3):
                await shop.hearing.wait()
        assert await assembly.client(Shop).heard() is False

        # when the apps and the server are up
        await assembly.activate()

        # then it is delivered
        async with asyncio.timeout(30):
            await shop.hearing.wait()
        assert await assembly.client(Shop).heard() is True
    finally:
        await assembly.stop()
