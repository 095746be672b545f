"""A service whose contract is patient, and one that calls it: what a placement says of both is seen in the answers."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Protocol

from meristem import Contract, Retry, Service, System, current, idempotent, safe


class Bank(Contract, Protocol, package="parity.governed.v1"):
    @safe(timeout=30.0)
    async def hang(self) -> None: ...

    @safe(timeout=0.2)
    async def left(self) -> float: ...

    @safe(timeout=30.0)
    def drip(self) -> AsyncIterator[int]: ...


class Shop(Contract, Protocol, package="parity.governed.v1"):
    @safe(timeout=30.0)
    async def pay(self) -> None: ...


class Desk(Contract, Protocol, package="parity.governed.v1"):
    @safe(timeout=60.0)
    async def hold(self) -> None: ...

    @idempotent(timeout=60.0, retry=Retry(base=0.0, cap=0.0))
    async def work(self) -> None: ...


class BankService(Bank, Service):
    async def hang(self) -> None:
        await asyncio.Event().wait()

    async def left(self) -> float:
        deadline = current().deadline
        return 0.0 if deadline is None else deadline - time.monotonic()

    async def drip(self) -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()


class ShopService(Shop, Service):
    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    async def pay(self) -> None:
        await self.bank.hang()


class DeskService(Desk, Service):
    async def hold(self) -> None:
        await asyncio.Event().wait()

    async def work(self) -> None:
        pass


system = System("governed", services=[ShopService, BankService, DeskService])
