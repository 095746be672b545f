"""A service that is called before its process has ever been ready is waited for, as while a system starts."""

import asyncio
from pathlib import Path
from typing import Protocol

import pytest

from meristem import CallError, Code, Contract, Service, System, idempotent
from meristem.discovery.static import StaticResolver
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_tables import Supervision

PATIENCE = 60.0
SECRET = new_secret()


class Stock(Contract, Protocol, package="tests.unborn.v1"):
    @idempotent(timeout=PATIENCE)
    async def take(self) -> int: ...


class StockService(Stock, Service):
    def __init__(self) -> None:
        self.left = 5

    async def take(self) -> int:
        self.left -= 1
        return self.left


class Till(Contract, Protocol, package="tests.unborn.v1"):
    @idempotent(timeout=PATIENCE)
    async def sell(self) -> int: ...


class TillService(Till, Service):
    def __init__(self, stock: Stock) -> None:
        self.stock = stock

    async def sell(self) -> int:
        return await self.stock.take()


def process(name: str, directory: Path, away: float) -> Process:
    tokens = Tokens(SECRET)
    resolver = StaticResolver({each: [f"unix:{directory}/{each}.sock"] for each in ("stock", "till")})
    options = Options(environment={}, database="sqlite://", directory=directory, resolver=resolver, sign=tokens.prove)
    placement = Placement(processes={"till": ("till",), "stock": ("stock",)}, supervision=Supervision(away=away))
    blueprint = Blueprint(System("unborn", services=[TillService, StockService]), placement)
    listen = [Listen(f"unix:{directory}/{name}.sock", public=False)]
    return Process(blueprint, name, options=options, listen=listen, tokens=tokens)


async def test_calls_wait_for_its_first_readiness_and_none_is_refused(tmp_path: Path):
    till, stock = process("till", tmp_path, PATIENCE), process("stock", tmp_path, PATIENCE)
    await till.start()
    try:
        client = till.assembly.client(Till)
        selling = [asyncio.create_task(client.sell()) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert not any(each.done() for each in selling)
        await stock.start()
        sold = await asyncio.gather(*selling)
    finally:
        await till.stop()
        await stock.stop()

    assert sorted(sold) == [0, 1, 2, 3, 4]


async def test_what_does_not_come_is_refused_after_a_while_and_then_at_once(tmp_path: Path):
    till = process("till", tmp_path, 0.1)
    await till.start()
    try:
        client = till.assembly.client(Till)
        for _ in range(2):
            with pytest.raises(CallError) as refused:
                await client.sell()
            assert refused.value.code is Code.UNAVAILABLE
    finally:
        await till.stop()
