"""Calls with wrong arguments: each is an error on its line."""

from decimal import Decimal

from meristem import Flow, SagaHandle, Service, saga, start_saga

from good import Booking, CardDeclined, Charge, Money, Payment, Payments  # isort: skip

money = Money(amount=Decimal(1))
Money(amount="1")  # expect-error
Money(Decimal(1))  # expect-error
Money()  # expect-error
Money(amount=Decimal(1), colour="red")  # expect-error
money.currency = "USD"  # expect-error
CardDeclined(reason=3)  # expect-error
CardDeclined(why="no")  # expect-error


async def calls(payments: Payments) -> None:
    await payments.payment("1")  # expect-error
    await payments.payment()  # expect-error
    await payments.charge(money)  # expect-error
    await payments.paymnt(1)  # expect-error
    text: str = await payments.payment(1)  # expect-error
    async for each in payments.payments(currency=1):  # expect-error
        print(each)
    await Payments.client().charge(Payment(payment_id=1, amount=money))  # expect-error


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
        await flow.call(self.payments.charge, money)  # expect-error
        await flow.call(self.payments.charge, charge, undo=self.payments.payment)  # expect-error
        return await flow.call(self.payments.charge, charge)
