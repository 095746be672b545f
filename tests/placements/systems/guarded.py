"""A bank and a till that can be told to stall, each behind a breaker where a wire is between."""

import asyncio
from typing import Protocol

from meristem import CallError, Code, Contract, Service, System, idempotent, operation, safe


class Till(Contract, Protocol, package="parity.guarded.v1"):
    @safe(timeout=0.1)
    async def stall(self) -> None: ...

    @operation
    async def refuse(self, code: str) -> None: ...

    @operation
    async def crash(self) -> None: ...

    @idempotent(timeout=60.0)
    async def put(self) -> None: ...


class Bank(Till, Protocol, package="parity.guarded.v1"):
    """The same, behind a breaker of another policy."""


class Desk(Till, Protocol, package="parity.guarded.v1"):
    """The same, behind a breaker that opens at once."""


class TillService(Till, Service):
    async def stall(self) -> None:
        await asyncio.Event().wait()

    async def refuse(self, code: str) -> None:
        raise CallError(Code(code), "closed")

    async def crash(self) -> None:
        raise ValueError("a bug")

    async def put(self) -> None:
        await asyncio.sleep(0.02)


class BankService(Bank, TillService):
    pass


class DeskService(Desk, TillService):
    pass


system = System("guarded", services=[BankService, TillService, DeskService])
