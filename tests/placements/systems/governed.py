"""A service whose contract is patient, and one that calls it: what a placement says of both is seen in the answers."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Protocol

from meristem import CallError, Code, Contract, Retry, Service, System, current, idempotent, operation, safe


class Bank(Contract, Protocol, package="parity.governed.v1"):
    @safe(timeout=30.0)
    async def hang(self) -> None: ...

    @safe(timeout=0.2)
    async def left(self) -> float: ...

    @safe(timeout=30.0)
    def drip(self) -> AsyncIterator[int]: ...

    @idempotent(retry=Retry(base=0.0, cap=0.0))
    async def refuse(self) -> None: ...

    @operation
    async def tried(self) -> int: ...


class Shop(Contract, Protocol, package="parity.governed.v1"):
    @safe(timeout=30.0)
    async def pay(self) -> None: ...


class BankService(Bank, Service):
    def __init__(self) -> None:
        self.count = 0

    async def hang(self) -> None:
        await asyncio.Event().wait()

    async def left(self) -> float:
        deadline = current().deadline
        return 0.0 if deadline is None else deadline - time.monotonic()

    async def drip(self) -> AsyncIterator[int]:
        yield 1
        await asyncio.Event().wait()

    async def refuse(self) -> None:
        self.count += 1
        raise CallError(Code.UNAVAILABLE, "the bank is closed")

    async def tried(self) -> int:
        return self.count


class ShopService(Shop, Service):
    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    async def pay(self) -> None:
        await self.bank.hang()


system = System("governed", services=[ShopService, BankService])
