"""What a user writes: a contract, a service, events, a saga, a system. Both type checkers accept it."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Annotated, Protocol, assert_type

from msgspec import Meta
from sqlalchemy import Column, Integer, MetaData, Table, insert, select

from meristem import (
    App, Clock, Code, Contract, Database, Event, Fault, Flow, Message, Program, Service, Settings, System, Travelling,
    connect, every, idempotent, on, once, operation, safe, saga, block_on,
)  # fmt: skip
from meristem.testing import running

metadata = MetaData()
PAYMENTS = Table("payments", metadata, Column("id", Integer, primary_key=True), Column("cents", Integer))


class Money(Message):
    amount: Annotated[Decimal, Meta(ge=0)]
    currency: str = "EUR"


class CardUnknown(Fault, code=Code.NOT_FOUND):
    """No bank knows the card."""

    digits: str


class CardDeclined(Fault, code=Code.FAILED_PRECONDITION, status=402):
    """The bank refused the card; nothing was charged."""

    reason: str


class Charge(Message):
    booking_id: str
    amount: Money


class Payment(Message):
    payment_id: int
    amount: Money


class PaymentTaken(Event, package="hotels.payments.v1", key="booking_id"):
    booking_id: str
    payment: Payment


class Bank(Contract, Protocol, package="hotels.bank.v1"):
    @idempotent
    async def debit(self, amount: Money) -> str: ...


class Payments(Contract, Protocol, package="hotels.payments.v1"):
    """Takes money once."""

    @once(raises=[CardDeclined, CardUnknown], timeout=5.0, http="POST /payments", status=201)
    async def charge(self, charge: Charge) -> Payment:
        """Charge the card."""
        ...

    @safe(http="GET /payments/{payment_id}")
    async def payment(self, payment_id: int) -> Payment: ...

    @safe
    def payments(self, currency: str = "EUR") -> AsyncIterator[Payment]: ...

    @operation
    async def refund(self, payment: Payment) -> None: ...


class PaymentsSettings(Settings):
    limit: int = 1000


class PaymentsService(Payments, Service, tables=metadata):
    def __init__(self, bank: Bank, database: Database, settings: PaymentsSettings, clock: Clock) -> None:
        self.bank = bank
        self.database = database
        self.settings = settings
        self.clock = clock

    async def charge(self, charge: Charge) -> Payment:
        if charge.amount.amount > self.settings.limit:
            raise CardDeclined(reason="too much")
        assert_type(await self.bank.debit(charge.amount), str)
        async with self.database.begin() as tx:
            await tx.execute(insert(PAYMENTS).values(cents=int(charge.amount.amount * 100)))
            payment = Payment(payment_id=1, amount=charge.amount)
            await tx.publish(PaymentTaken(booking_id=charge.booking_id, payment=payment))
        return payment

    async def payment(self, payment_id: int) -> Payment:
        found = await self.database.fetch_one(select(PAYMENTS), into=Payment)
        assert found is not None
        return found

    async def payments(self, currency: str = "EUR") -> AsyncIterator[Payment]:
        yield Payment(payment_id=1, amount=Money(amount=Decimal(1), currency=currency))

    async def refund(self, payment: Payment) -> None: ...

    @every(seconds=60)
    async def sweep(self) -> None: ...


class BankService(Bank, Service):
    async def debit(self, amount: Money) -> str:
        return "receipt"


class Statements(Contract, Protocol, package="hotels.statements.v1"):
    @operation
    async def store(self, payments: AsyncIterator[Payment]) -> int: ...

    @operation
    def convert(self, amounts: AsyncIterator[Money]) -> AsyncIterator[Money]: ...


class StatementsService(Statements, Service):
    async def store(self, payments: AsyncIterator[Payment]) -> int:
        return len([payment.payment_id async for payment in payments])

    async def convert(self, amounts: AsyncIterator[Money]) -> AsyncIterator[Money]:
        async for amount in amounts:
            yield amount


async def amounts() -> AsyncIterator[Money]:
    yield Money(amount=Decimal(1))


async def stream(payments: Payments, statements: Statements) -> None:
    assert_type(await statements.store(payments.payments()), int)
    async for amount in statements.convert(amounts()):
        assert_type(amount, Money)


class Booking(Contract, Protocol, package="hotels.booking.v1"):
    @once(timeout=30.0)
    async def book(self, charge: Charge, *, gift: bool = False) -> Payment: ...


class BookingService(Booking, Service):
    def __init__(self, payments: Payments, database: Database) -> None:
        self.payments = payments

    @saga
    async def book(self, flow: Flow, charge: Charge, *, gift: bool = False) -> Payment:
        payment = await flow.with_undo(self.payments.charge(charge), self.payments.refund)
        assert_type(payment, Payment)
        both = await flow.gather(self.payments.charge(charge), flow.sleep(1.0), limit=2)
        assert_type(both, tuple[Payment, None])
        taken = await flow.wait_for_signal(Charge, timeout=60.0)
        assert_type(taken, Charge)
        payments = await flow.gather(*(self.payments.charge(charge) for _ in range(5)))
        assert_type(payments, tuple[Payment, ...])
        return payment

    @on(PaymentTaken)
    async def note(self, event: PaymentTaken) -> None:
        assert_type(event.payment.amount.amount, Decimal)


system = System(
    "hotels",
    services=[BankService, PaymentsService, BookingService],
    apps=[App("web", "hotels.web:app", mount="/")],
    programs=[Program("ratings", ["node", "ratings.js"])],
)


class Fake:
    async def debit(self, amount: Money) -> str:
        return "fake"


async def test() -> None:
    async with running(system, fakes={Bank: Fake()}) as app:
        payments = app.client(Payments)
        assert_type(payments, Payments)
        assert_type(await payments.payment(1), Payment)
        async for each in payments.payments():
            assert_type(each, Payment)
        assert_type(await Payments.client().payment(payment_id=1), Payment)


Locale = Travelling[str]("locale", default="en", public=True)
Tenant = Travelling[Money]("tenant")


def travelling() -> None:
    with Locale.using("de"), Tenant.using(Money(amount=Decimal(1))):
        assert_type(Locale.get(), str)
        assert_type(Tenant.get(None), Money | None)


async def script() -> None:
    async with connect("http://127.0.0.1:8000", token="t") as hotels:
        assert_type(await hotels.client(Payments).payment(1), Payment)


def view() -> None:
    assert_type(block_on(Payments.client().payment(1)), Payment)
