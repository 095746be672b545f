"""A bank, a shop that charges there, and those who hear of it: answers kept once, events and sagas between services."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from meristem import (
    CallError,
    Clock,
    Code,
    Contract,
    Database,
    Event,
    Fault,
    Flow,
    Message,
    SagaHandle,
    Service,
    Settings,
    System,
    current,
    every,
    idempotent,
    on,
    once,
    operation,
    safe,
    saga,
    start_saga,
)  # fmt: skip

Found = TypeVar("Found")
bank_tables = MetaData()
DEBITS = Table(
    "debits", bank_tables,
    Column("id", Integer, primary_key=True), Column("account", String, nullable=False),
    Column("amount", Integer, nullable=False), Column("key", String),
)  # fmt: skip
shop_tables = MetaData()
SALES = Table(
    "sales", shop_tables, Column("id", Integer, primary_key=True), Column("account", String), Column("note", String)
)
post_tables = MetaData()
LETTERS = Table(
    "letters", post_tables,
    Column("id", Integer, primary_key=True), Column("account", String), Column("number", Integer),
)  # fmt: skip


class Refused(Fault, code=Code.FAILED_PRECONDITION):
    """The bank refuses."""

    reason: str


class Sold(Event, package="parity.shop.v1", key="account"):
    account: str
    number: int


class Paid(Event, package="parity.shop.v1", key="account"):
    account: str


class Receipt(Message):
    debit: int
    amount: int


class Bank(Contract, Protocol, package="parity.bank.v1"):
    @once(raises=[Refused], timeout=20.0)
    async def debit(self, account: str, amount: int) -> Receipt: ...

    @once(timeout=20.0)
    async def held(self, account: str) -> int: ...

    @operation
    async def release(self, account: str) -> None: ...

    @once(timeout=20.0)
    async def undo(self, receipt: Receipt) -> None: ...

    @safe
    async def debits(self, account: str) -> list[int]: ...

    @safe
    async def keys(self, account: str) -> list[str]: ...

    @operation(timeout=20.0)
    async def until(self, account: str, count: int) -> int: ...


class Approval(Message):
    by: str


class Shop(Contract, Protocol, package="parity.shop.v1"):
    @once(raises=[Refused], timeout=20.0)
    async def sell(self, account: str, amounts: list[int]) -> list[int]: ...

    @idempotent(timeout=20.0)
    async def sell_again(self, account: str) -> int: ...

    @operation(timeout=20.0)
    async def publish(self, account: str, numbers: list[int], *, roll_back: bool = False) -> None: ...

    @operation(timeout=20.0)
    async def pay(self, account: str) -> None: ...

    @safe
    async def sales(self, account: str) -> list[str]: ...

    @once(raises=[Refused], timeout=30.0)
    async def order(self, account: str, amount: int, *, fail: bool = False) -> str: ...

    @once(timeout=30.0)
    async def patient(self, account: str) -> str: ...

    @once(timeout=30.0)
    async def approved(self, account: str) -> list[str]: ...

    @once
    async def approve(self, saga_id: str, by: str) -> None: ...

    @operation
    async def setting(self) -> dict[str, str]: ...

    @operation(timeout=20.0)
    async def ticks(self, at_least: int) -> int: ...


class Post(Contract, Protocol, package="parity.post.v1"):
    @operation(timeout=20.0)
    async def letters(self, account: str, at_least: int) -> list[int]: ...

    @operation
    async def now(self, account: str) -> list[int]: ...


class Counting:
    """Wakes those who wait for the next change."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()

    def tell(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def until(self, holds: Callable[[], Awaitable[Found]]) -> Found:
        while True:
            changed = self.changed
            if found := await holds():
                return found
            await changed.wait()


class BankService(Bank, Service, tables=bank_tables):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.counting = Counting()
        self.gates: dict[str, asyncio.Event] = {}

    async def _debit(self, account: str, amount: int) -> Receipt:
        async with self.database.begin() as tx:
            row = insert(DEBITS).values(account=account, amount=amount, key=current().key).returning(DEBITS.c.id)
            number = await tx.fetch_value(row)
            tx.after_commit(self.counting.tell)
            if amount > 100:
                raise Refused(reason=f"{amount} is too much")
            if amount == 13:
                raise RuntimeError("the bank burns")
        return Receipt(debit=number, amount=amount)

    async def debit(self, account: str, amount: int) -> Receipt:
        return await self._debit(account, amount)

    async def held(self, account: str) -> int:
        receipt = await self._debit(account, 1)
        await self.gates.setdefault(account, asyncio.Event()).wait()
        return receipt.debit

    async def release(self, account: str) -> None:
        self.gates.setdefault(account, asyncio.Event()).set()

    async def undo(self, receipt: Receipt) -> None:
        account = await self.database.fetch_value(select(DEBITS.c.account).where(DEBITS.c.id == receipt.debit))
        await self._debit(account, -receipt.amount)

    async def debits(self, account: str) -> list[int]:
        found = select(DEBITS.c.amount).where(DEBITS.c.account == account).order_by(DEBITS.c.id)
        return [row["amount"] for row in await self.database.fetch_all(found)]

    async def keys(self, account: str) -> list[str]:
        found = select(DEBITS.c.key).where(DEBITS.c.account == account).order_by(DEBITS.c.id)
        return [row["key"] for row in await self.database.fetch_all(found)]

    async def until(self, account: str, count: int) -> int:
        if not count:
            return 0

        async def enough() -> int:
            found = len(await self.debits(account))
            return found if found >= count else 0

        return await self.counting.until(enough)


class ShopSettings(Settings):
    greeting: str = "hello"
    limit: int = 3
    colours: dict[str, str] = {}


class ShopService(Shop, Service, tables=shop_tables):
    def __init__(self, bank: Bank, database: Database, settings: ShopSettings, clock: Clock) -> None:
        self.bank = bank
        self.database = database
        self.settings = settings
        self.clock = clock
        self.counting = Counting()
        self.count = 0

    async def sell(self, account: str, amounts: list[int]) -> list[int]:
        receipts = [await self.bank.debit(account, amount) for amount in amounts]
        await self.database.execute(insert(SALES).values(account=account, note="sold"))
        if account.startswith("fails-after") and not self.count_failure(account):
            raise RuntimeError("the shop burns once, after it charged")
        return [receipt.debit for receipt in receipts]

    def count_failure(self, account: str) -> bool:
        seen = getattr(self, "_seen", set())
        known = account in seen
        self._seen = {*seen, account}
        return known

    async def sell_again(self, account: str) -> int:
        return (await self.bank.debit(account, 7)).debit

    async def publish(self, account: str, numbers: list[int], *, roll_back: bool = False) -> None:
        async with self.database.begin() as tx:
            await tx.execute(insert(SALES).values(account=account, note="published"))
            for number in numbers:
                await tx.publish(Sold(account=account, number=number))
            if roll_back:
                raise CallError(Code.ABORTED, "rolled back")

    async def pay(self, account: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Paid(account=account))

    async def sales(self, account: str) -> list[str]:
        found = select(SALES.c.note).where(SALES.c.account == account).order_by(SALES.c.id)
        return [row["note"] for row in await self.database.fetch_all(found)]

    @saga
    async def order(self, flow: Flow, account: str, amount: int, *, fail: bool = False) -> str:
        receipt = await flow.with_undo(self.bank.debit(account, amount), self.bank.undo)
        await flow.step(self._note, account, "ordered")
        if fail:
            await self.bank.debit(account, 1000)
        return f"order of {receipt.amount}"

    @saga(waits=[Paid])
    async def patient(self, flow: Flow, account: str) -> str:
        await self.bank.debit(account, 5)
        paid = await flow.wait_for(Paid, key=account, timeout=20)
        return f"paid by {paid.account}"

    @saga(signals=[Approval])
    async def approved(self, flow: Flow, account: str) -> list[str]:
        return [(await flow.wait_for_signal(Approval, timeout=20)).by for _ in range(2)]

    async def approve(self, saga_id: str, by: str) -> None:
        await SagaHandle.of(self.approved, saga_id).signal(Approval(by=by))

    async def _note(self, account: str, note: str) -> None:
        await self.database.execute(insert(SALES).values(account=account, note=note))

    async def setting(self) -> dict[str, str]:
        settings = self.settings
        return {"greeting": settings.greeting, "limit": str(settings.limit), **settings.colours}

    @every(seconds=0.02)
    async def tick(self) -> None:
        self.count += 1
        self.counting.tell()

    async def ticks(self, at_least: int) -> int:
        async def enough() -> int:
            return self.count if self.count >= at_least else 0

        return await self.counting.until(enough)


class PostService(Post, Service, tables=post_tables):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.counting = Counting()
        self.failed: set[tuple[str, int]] = set()

    @on(Sold, base=0.01, cap=0.05)
    async def write(self, event: Sold) -> None:
        async with self.database.begin() as tx:
            await tx.execute(insert(LETTERS).values(account=event.account, number=event.number))
            tx.after_commit(self.counting.tell)
        if event.account.startswith("flaky") and (event.account, event.number) not in self.failed:
            self.failed.add((event.account, event.number))
            raise RuntimeError("the pen breaks at the first attempt")

    async def now(self, account: str) -> list[int]:
        found = select(LETTERS.c.number).where(LETTERS.c.account == account).order_by(LETTERS.c.id)
        return [row["number"] for row in await self.database.fetch_all(found)]

    async def letters(self, account: str, at_least: int) -> list[int]:
        async def enough() -> list[int]:
            found = await self.now(account)
            return found if len(found) >= at_least else []

        return await self.counting.until(enough)


class Audit(Contract, Protocol, package="parity.audit.v1"):
    @operation(timeout=20.0)
    async def heard(self, account: str, at_least: int) -> int: ...

    @once(timeout=30.0)
    async def approve(self, account: str) -> list[str]: ...


class AuditService(Audit, Service):
    """Hears the same events as the post: one copy each."""

    def __init__(self, shop: Shop, database: Database) -> None:
        self.shop = shop
        self.database = database
        self.counting = Counting()
        self.counts: dict[str, int] = {}

    @on(Sold)
    async def note(self, event: Sold) -> None:
        self.counts[event.account] = self.counts.get(event.account, 0) + 1
        self.counting.tell()

    @saga
    async def approve(self, flow: Flow, account: str) -> list[str]:
        handle = await start_saga(self.shop.approved, account)
        for name in ("Ada", "Bob"):
            await handle.signal(Approval(by=name))
        return [*await handle.result(), await handle.state()]

    async def heard(self, account: str, at_least: int) -> int:
        async def enough() -> int:
            count = self.counts.get(account, 0)
            return count if count >= at_least else 0

        return await self.counting.until(enough)


system = System("keeping", services=[BankService, ShopService, PostService, AuditService])
