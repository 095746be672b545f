"""Services that do not fit their contracts: each is an error on its line.

A method that is missing altogether is reported where the class is given to a System by mypy; by both, and by name,
where the class is marked @final. Starting the system refuses it in any case.
"""

from dataclasses import dataclass
from typing import final

from meristem import Flow, Service, System, on, saga

from good import Booking, Charge, Payment, Payments, PaymentTaken  # isort: skip


class Half(Payments, Service):
    async def charge(self, charge: Charge) -> Payment:
        raise NotImplementedError


class WrongType(Payments, Service):
    async def charge(self, charge: str) -> Payment:  # expect-error
        raise NotImplementedError


class WrongReply(Payments, Service):
    async def payment(self, payment_id: int) -> str:  # expect-error
        return ""


class WrongHandler(Service):
    @on(PaymentTaken)  # expect-error
    async def note(self, event: Charge) -> None: ...

    @on(PaymentTaken)  # expect-error
    def soon(self, event: PaymentTaken) -> None: ...

    @on(Charge)  # expect-error
    async def other(self, event: Charge) -> None: ...


class WrongSaga(Booking, Service):
    @saga
    async def book(self, flow: Flow, charge: str) -> Payment:  # expect-error
        raise NotImplementedError


@final
class Final(Payments, Service):  # expect-error
    async def charge(self, charge: Charge) -> Payment:
        raise NotImplementedError


system = System("hotels", services=[Half])  # expect-error[mypy]
half = Half()  # expect-error


@dataclass
class HalfData(Payments, Service):
    booking: Booking

    async def charge(self, charge: Charge) -> Payment:
        await self.booking.book(Payment)  # expect-error
        raise NotImplementedError


@final
@dataclass
class FinalData(Payments, Service):  # expect-error
    booking: Booking

    async def charge(self, charge: Charge) -> Payment:
        raise NotImplementedError


@dataclass
class WholeData(Booking, Service):
    payments: Payments

    async def book(self, charge: Charge, *, gift: bool = False) -> Payment:
        return await self.payments.charge(charge)


data = System("hotels", services=[HalfData, WholeData])  # expect-error[mypy]
WholeData()  # expect-error
WholeData(payments=3)  # expect-error
