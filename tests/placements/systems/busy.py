"""A bank whose own code says that it is busy, and a till whose server turns calls away."""

import asyncio
from typing import Protocol

from meristem import CallError, Code, Contract, Fault, Retry, Service, System, idempotent, once, operation, safe
from meristem.errors import StorageUnavailable

SOON = Retry(attempts=100, base=0.0, cap=0.0)


class Passing(Fault, code=Code.UNAVAILABLE):
    """It will work in a while."""


class Exhausted(Fault, code=Code.RESOURCE_EXHAUSTED):
    """There is no more of it now."""


class Conflict(Fault, code=Code.ABORTED):
    """Somebody else was faster."""


FAULTS = [Passing, Exhausted, Conflict]


class Bank(Contract, Protocol, package="parity.busy.v1"):
    """Each operation fails as it is told: by a code, `bug`, `locked` or the name of a fault."""

    @safe(raises=FAULTS)
    async def read(self, how: str, *, happened: bool | None) -> None: ...

    @idempotent(raises=FAULTS)
    async def put(self, how: str, *, happened: bool | None) -> None: ...

    @once(raises=FAULTS)
    async def charge(self, how: str, *, happened: bool | None) -> None: ...

    @operation(raises=FAULTS)
    async def plain(self, how: str, *, happened: bool | None) -> None: ...

    @operation
    async def tried(self) -> int: ...


class Broker(Contract, Protocol, package="parity.busy.v1"):
    """Lets pass what the bank says."""

    @once
    async def charge(self, how: str) -> None: ...


class Till(Contract, Protocol, package="parity.busy.v1"):
    """Works on one call at a time, where a wire is before it."""

    @safe(timeout=60.0)
    async def hold(self) -> None: ...

    @safe(timeout=60.0, retry=SOON)
    async def read(self) -> str: ...

    @idempotent(timeout=60.0, retry=SOON)
    async def put(self) -> str: ...

    @once(timeout=60.0, retry=SOON)
    async def charge(self) -> str: ...

    @operation(timeout=60.0, retry=SOON)
    async def plain(self) -> str: ...


class Gate(Contract, Protocol, package="parity.busy.v1"):
    """Holds up the one call that the till works on."""

    @safe(timeout=60.0)
    async def wait(self) -> None: ...

    @safe(timeout=60.0)
    async def entered(self) -> None: ...

    @idempotent
    async def open(self) -> None: ...


class BankService(Bank, Service):
    def __init__(self) -> None:
        self.calls = 0

    async def read(self, how: str, *, happened: bool | None) -> None:
        self._fail(how, happened)

    async def put(self, how: str, *, happened: bool | None) -> None:
        self._fail(how, happened)

    async def charge(self, how: str, *, happened: bool | None) -> None:
        self._fail(how, happened)

    async def plain(self, how: str, *, happened: bool | None) -> None:
        self._fail(how, happened)

    async def tried(self) -> int:
        return self.calls

    def _fail(self, how: str, happened: bool | None) -> None:
        self.calls += 1
        if how == "bug":
            raise ValueError("a bug")
        if how == "locked":
            raise StorageUnavailable("another process holds the write lock")
        for fault in FAULTS:
            if fault.__name__ == how:
                raise fault
        raise CallError(Code(how), "the bank is busy", may_have_happened=happened)


class BrokerService(Broker, Service):
    def __init__(self, bank: Bank) -> None:
        self.bank = bank

    async def charge(self, how: str) -> None:
        await self.bank.charge(how, happened=False)


class TillService(Till, Service):
    def __init__(self, gate: Gate) -> None:
        self.gate = gate

    async def hold(self) -> None:
        await self.gate.wait()

    async def read(self) -> str:
        return "read"

    async def put(self) -> str:
        return "put"

    async def charge(self) -> str:
        return "charged"

    async def plain(self) -> str:
        return "done"


class GateService(Gate, Service):
    def __init__(self) -> None:
        self.has_entered = asyncio.Event()
        self.is_open = asyncio.Event()

    async def wait(self) -> None:
        self.has_entered.set()
        await self.is_open.wait()

    async def entered(self) -> None:
        await self.has_entered.wait()

    async def open(self) -> None:
        self.is_open.set()


system = System("busy", services=[BrokerService, BankService, TillService, GateService])
