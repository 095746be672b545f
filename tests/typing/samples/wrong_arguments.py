"""Calls with wrong arguments: each is an error on its line."""

from decimal import Decimal
from typing import Protocol

from meristem import Contract, Flow, SagaHandle, Service, safe, Travelling, saga, start_saga

from good import Booking, CardDeclined, Charge, Money, Payment, Payments, Statements, amounts  # isort: skip

money = Money(amount=Decimal(1))
Money(amount="1")  # expect-error
Money(Decimal(1))  # expect-error
Money()  # expect-error
Money(amount=Decimal(1), colour="red")  # expect-error
money.currency = "USD"  # expect-error
CardDeclined(reason=3)  # expect-error
CardDeclined(why="no")  # expect-error


Locale = Travelling[str]("locale", default=3)  # expect-error
Locale.using(7)  # expect-error
number: int = Locale.get()  # expect-error


async def calls(payments: Payments) -> None:
    await payments.payment("1")  # expect-error
    await payments.payment()  # expect-error
    await payments.charge(money)  # expect-error
    await payments.paymnt(1)  # expect-error
    text: str = await payments.payment(1)  # expect-error
    async for each in payments.payments(currency=1):  # expect-error
        print(each)
    await Payments.client().charge(Payment(payment_id=1, amount=money))  # expect-error


async def streams(statements: Statements, payments: Payments) -> None:
    await statements.store([Payment(payment_id=1, amount=money)])  # expect-error
    await statements.store(amounts())  # expect-error
    async for text in statements.convert(payments.payments()):  # expect-error
        print(text)
    await statements.convert(amounts())  # expect-error


async def without_waiting(booking: Booking, charge: Charge) -> None:
    handle: SagaHandle[Payment] = await start_saga(booking.book, charge, gift=True)
    payment: Payment = await handle.result()
    await start_saga(booking.book)  # expect-error
    await start_saga(booking.book, payment)  # expect-error
    await start_saga(booking.book, charge, gifts=True)  # expect-error
    text: str = await handle.result()  # expect-error


class BookingService(Booking, Service):
    def __init__(self, payments: Payments) -> None:
        self.payments = payments

    @saga
    async def book(self, flow: Flow, charge: Charge, *, gift: bool = False) -> Payment:
        await self.payments.charge(money)  # expect-error
        await flow.with_undo(self.payments.charge(charge), self.payments.payment)  # expect-error
        number, _ = await flow.gather(self.payments.charge(charge), flow.sleep(1.0))
        text: str = number  # expect-error
        await flow.gather(self.payments.charge(charge), charge)  # expect-error
        return await self.payments.charge(charge)


class Routes(Contract, Protocol, package="hotels.routes.v1"):
    @safe(http=3)  # expect-error
    async def number(self) -> str: ...

    @safe(http="GET /text", status="201")  # expect-error
    async def text(self) -> str: ...

    @safe(path="/other")  # expect-error
    async def other(self) -> str: ...
