"""A test reaches the parts of a system that it asks for, and runs as few of them as it likes."""

from typing import Protocol

import pytest

from meristem import CallError, Code, Contract, Database, MisuseError, Service, System, idempotent, safe
from meristem.testing import running

BOTH = pytest.mark.parametrize("where", ["local", "wire"])


class Stock(Contract, Protocol, package="parts.v1"):
    @safe
    async def left(self, item: str) -> int: ...


class Bank(Contract, Protocol, package="parts.v1"):
    @idempotent
    async def charge(self, cents: int) -> str: ...


class Orders(Contract, Protocol, package="parts.v1"):
    @safe
    async def can_order(self, item: str) -> bool: ...

    @idempotent
    async def order(self, item: str) -> str: ...


class StockService(Stock, Service):
    def __init__(self) -> None:
        self.items = {"chair": 1}

    async def left(self, item: str) -> int:
        return self.items.get(item, 0)


class BankService(Bank, Service):
    async def charge(self, cents: int) -> str:
        return "paid"


class OrdersService(Orders, Service):
    def __init__(self, stock: Stock, bank: Bank, database: Database) -> None:
        self.stock, self.bank, self.database = stock, bank, database

    async def can_order(self, item: str) -> bool:
        return await self.stock.left(item) > 0

    async def order(self, item: str) -> str:
        return await self.bank.charge(100)


class Broke:
    async def charge(self, cents: int) -> str:
        return "declined"


SYSTEM = System("parts", services=[StockService, BankService, OrdersService])


@BOTH
async def test_a_service_s_object_and_its_database_are_found_by_its_class(where):
    async with running(SYSTEM, where=where) as app:
        app.service(StockService).items["chair"] = 0
        assert not await app.client(Orders).can_order("chair")
        assert app.database(OrdersService) is app.database("orders") is app.service(OrdersService).database


async def test_what_is_not_there_is_refused_with_what_is():
    async with running(SYSTEM, fakes={Bank: Broke()}) as app:
        with pytest.raises(MisuseError, match="stock has no database"):
            app.database(StockService)
        with pytest.raises(MisuseError, match=r"app\.client\(Stock\) gives a client"):
            app.service(Stock)
        with pytest.raises(MisuseError, match="BankService does not run here: an object in fakes= stands for it"):
            app.service(BankService)
        with pytest.raises(MisuseError, match="shop does not run here: of 'parts' there run orders, stock"):
            app.database("shop")


async def test_into_another_process_a_test_can_not_reach():
    async with running("systems.bouncing:system", where="processes") as app:
        with pytest.raises(MisuseError, match=r'left does not run here: it runs in another process.*where="local"'):
            app.database("left")


@BOTH
async def test_a_service_runs_with_some_of_its_dependencies_and_the_rest_faked(where):
    async with running(SYSTEM, where=where, only=[OrdersService, StockService], fakes={Bank: Broke()}) as app:
        assert await app.client(Orders).can_order("chair")
        assert await app.client(Orders).order("chair") == "declined"


@BOTH
async def test_what_is_neither_run_nor_faked_refuses_each_call_and_says_how_to_fake_it(where, caplog):
    async with running(SYSTEM, where=where, only=["orders"]) as app:
        with pytest.raises(CallError) as refused:
            await app.client(Stock).left("chair")
        assert refused.value.code is Code.UNIMPLEMENTED
        assert "Stock.left has nobody to answer it: StockService is not in only=" in refused.value.message
        assert "fakes={Stock: …} with an object that has left()" in refused.value.message
        with pytest.raises(MisuseError, match="StockService does not run here: of 'parts' there run orders"):
            app.service(StockService)
        with pytest.raises(CallError):
            await app.client(Orders).order("chair")


@pytest.mark.parametrize(
    ("only", "told"),
    [
        (["shop"], r"only=\['shop'\]: no service of 'parts' is that; it has StockService, BankService, OrdersService"),
        ([Broke], r"only=\[Broke\]: no service"),
        ([], r"only=\[\]: name the services of 'parts' that run"),
    ],
)
async def test_only_names_services_of_the_system(only, told):
    with pytest.raises(MisuseError, match=told):
        async with running(SYSTEM, only=only):
            pass


async def test_in_processes_all_services_run():
    with pytest.raises(MisuseError, match="`only` is for services in this process"):
        async with running("systems.bouncing:system", where="processes", only=["left"]):
            pass
