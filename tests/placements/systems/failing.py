"""A service that fails in every way there is, and one that stands between it and its caller."""

import asyncio
from datetime import date
from decimal import Decimal
from typing import Protocol

from sqlalchemy import CheckConstraint, Column, MetaData, String, Table, insert

from meristem import (
    CallError,
    Code,
    Contract,
    Database,
    Fault,
    FieldViolation,
    Message,
    Service,
    System,
    current,
    operation,
)  # fmt: skip

tables = MetaData()
GUESTS = Table(
    "guests",
    tables,
    Column("email", String(80), primary_key=True),
    Column("password", String(80), CheckConstraint("length(password) > 4", name="long_enough"), nullable=False),
)


class Guest(Message):
    email: str
    password: str | None


class Money(Message):
    amount: Decimal
    currency: str = "EUR"


class Declined(Fault, code=Code.FAILED_PRECONDITION):
    """The bank refused the card."""

    reason: str
    missing: Money
    until: date | None = None
    tries: list[int] = []


class Gone(Fault, code=Code.NOT_FOUND):
    """It is not there any more."""


class Rare(Declined, code=Code.ABORTED):
    """A refusal of a special kind."""

    kind: str


class Undeclared(Fault):
    """Nobody expects it."""

    secret: str


class Failing(Contract, Protocol, package="parity.failing.v1"):
    @operation(raises=[Declined, Gone, Rare])
    async def fault(self, which: str) -> str: ...

    @operation(raises=[Gone])
    async def undeclared(self) -> str: ...

    @operation
    async def crash(self, secret: str) -> str: ...

    @operation(http="POST /guests")
    async def invite(self, guests: list[Guest]) -> None: ...

    @operation
    async def refuse(
        self, code: str, *, happened: bool | None, retry_after: float | None, fields: list[str]
    ) -> None: ...

    @operation
    async def say(self, what: str) -> None: ...

    @operation(timeout=0.2)
    async def late(self, wait: float) -> str: ...

    @operation
    async def remaining(self) -> float | None: ...

    @operation
    async def count(self) -> int: ...


class Middle(Contract, Protocol, package="parity.failing.v1"):
    """Passes on what it meets below."""

    @operation(raises=[Declined])
    async def fault(self, which: str) -> str: ...

    @operation
    async def refuse(self, code: str) -> None: ...

    @operation
    async def crash(self) -> str: ...

    @operation
    async def caught(self, which: str) -> str: ...


class FailingService(Failing, Service, tables=tables):
    def __init__(self, database: Database) -> None:
        self.calls = 0
        self.database = database

    async def fault(self, which: str) -> str:
        if which == "gone":
            raise Gone
        if which == "rare":
            raise Rare(reason="r", missing=Money(amount=Decimal("1.0")), kind="k")
        raise Declined(
            reason="no money é𝄞", missing=Money(amount=Decimal("12.50")), until=date(2030, 1, 2), tries=[1, 2]
        )

    async def undeclared(self) -> str:
        raise Undeclared(secret="s3cret")

    async def crash(self, secret: str) -> str:
        raise ValueError(f"the password is {secret}")

    async def invite(self, guests: list[Guest]) -> None:
        rows = [{"email": each.email, "password": each.password} for each in guests]
        async with self.database.begin() as tx:
            await tx.execute(insert(GUESTS), rows)

    async def refuse(self, code: str, *, happened: bool | None, retry_after: float | None, fields: list[str]) -> None:
        self.calls += 1
        raise CallError(
            Code(code),
            "refused é",
            may_have_happened=happened,
            retry_after=retry_after,
            violations=tuple(FieldViolation(field, f"{field} is wrong") for field in fields),
        )

    async def say(self, what: str) -> None:
        if what == "half a character":
            violations = (FieldViolation("name\ud800", "is \udfff"),)
            raise CallError(Code.OUT_OF_RANGE, "no \ud800 é", violations=violations)
        if what == "much":
            raise CallError(Code.OUT_OF_RANGE, "é" * 3_000_000)
        raise CallError(Code.OUT_OF_RANGE, "wait", retry_after=float(what))

    async def late(self, wait: float) -> str:
        await asyncio.sleep(wait)
        return "late"

    async def remaining(self) -> float | None:
        return current().remaining()

    async def count(self) -> int:
        return self.calls


class MiddleService(Middle, Service):
    def __init__(self, failing: Failing) -> None:
        self.failing = failing

    async def fault(self, which: str) -> str:
        return await self.failing.fault(which)

    async def refuse(self, code: str) -> None:
        await self.failing.refuse(code, happened=False, retry_after=1.5, fields=["a.b"])

    async def crash(self) -> str:
        return await self.failing.crash("s3cret")

    async def caught(self, which: str) -> str:
        try:
            return await self.failing.fault(which)
        except Declined as fault:
            return f"{type(fault).__name__} {fault.missing.amount} {fault.tries}"
        except Gone:
            return "gone"


system = System("failures", services=[FailingService, MiddleService])
