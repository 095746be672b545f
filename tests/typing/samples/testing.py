"""What a user's test asks of a running system is typed: values, arguments, replies and events."""

from typing import Protocol, assert_type

from meristem import Contract, Database, Event, Message, Service, System, idempotent, safe
from meristem.testing import ManualClock, PublishedEvent, SentCall, Where, running


class Charge(Message):
    cents: int


class Charged(Event, package="typed.v1"):
    cents: int


class Bank(Contract, Protocol, package="typed.v1"):
    @idempotent
    async def charge(self, charge: Charge) -> str: ...

    @safe
    async def rate(self, currency: str, amount: int = 1) -> float: ...

    @safe
    async def rates(self, *, currency: str) -> list[float]: ...


class BankService(Bank, Service):
    def __init__(self, database: Database) -> None:
        self.charged = 0

    async def charge(self, charge: Charge) -> str:
        self.charged += charge.cents
        return "paid"

    async def rate(self, currency: str, amount: int = 1) -> float:
        return 1.0

    async def rates(self, *, currency: str) -> list[float]:
        return [1.0]


system = System("typed", services=[BankService])


async def count() -> int:
    return 1


async def test_everywhere(where: Where) -> None:
    async with running(system, where=where) as app:
        assert_type(await app.client(Bank).rate("EUR"), float)


async def test_typed() -> None:
    async with running(system, only=[BankService], clock=ManualClock()) as app:
        assert_type(app.service(BankService), BankService)
        assert_type(app.service(BankService).charged, int)
        assert_type(app.client(Bank), Bank)
        assert_type(app.database(BankService), Database)
        assert_type(await app.eventually(lambda: app.service(BankService).charged, equals=2), int)
        assert_type(await app.eventually(count), int)
        assert_type(app.published(Charged), list[PublishedEvent[Charged]])
        assert_type(app.published(Charged)[0].event.cents, int)

        charges = app.sent(Bank.charge)
        assert_type(charges, list[SentCall[str, Charge]])
        assert_type(charges[0].arguments, tuple[Charge])
        assert_type(charges[0].reply, str)
        currency, amount = app.sent(Bank.rate)[0].arguments
        assert_type(currency, str)
        assert_type(amount, int)
        assert_type(app.sent(Bank.rates)[0].reply, list[float])

        app.service(str)  # expect-error
        app.published(Charge)  # expect-error
        charges[0].reply.cents  # expect-error
        app.sent("charge")  # expect-error
