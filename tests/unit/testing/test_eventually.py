"""A test waits for what comes true, moves time where it stands still, and sees what was sent and published."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Protocol

import pytest
from systems.bouncing import Ball, Left, Right

from meristem import (
    CallError,
    Code,
    Contract,
    Database,
    Event,
    Fault,
    Flow,
    Message,
    MisuseError,
    Service,
    System,
    Undeliverable,
    every,
    idempotent,
    on,
    once,
    operation,
    safe,
    saga,
)
from meristem.testing import ManualClock, running
from meristem.testing.eventually import TRUE, Probe, eventually

BOTH = pytest.mark.parametrize("where", ["local", "wire"])
HOUR = 3600.0


class Order(Message):
    item: str
    cents: int = 100


class Declined(Fault, code=Code.FAILED_PRECONDITION):
    """The bank refuses."""


class Placed(Event, package="eventual.v1", key="item"):
    item: str


class Delivered(Event, package="eventual.v1"):
    item: str


class Unheard(Event, package="eventual.v1"):
    item: str


class Bank(Contract, Protocol, package="eventual.v1"):
    @once(raises=[Declined])
    async def charge(self, item: str, cents: int, *, tip: int = 0) -> str: ...


class Shop(Contract, Protocol, package="eventual.v1"):
    @once
    async def buy(self, order: Order) -> str: ...

    @once
    async def buy_later(self, item: str) -> str: ...

    @once
    async def buy_delivered(self, item: str) -> str: ...

    @operation
    async def place(self, item: str) -> None: ...

    @safe
    async def open_since(self) -> int: ...

    @safe
    def items(self, first: str) -> AsyncIterator[str]: ...


class Mail(Contract, Protocol, package="eventual.v1"):
    @safe
    async def count(self) -> int: ...

    @idempotent
    async def shut(self) -> None: ...


class BankService(Bank, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def charge(self, item: str, cents: int, *, tip: int = 0) -> str:
        if item == "nothing":
            raise Declined
        return f"{cents} for {item}"


class ShopService(Shop, Service):
    def __init__(self, bank: Bank, database: Database) -> None:
        self.bank, self.database = bank, database
        self.minutes = 0

    @every(60.0)
    async def tick(self) -> None:
        self.minutes += 1

    async def open_since(self) -> int:
        if not self.minutes:
            raise CallError(Code.NOT_FOUND, "not open yet")
        return self.minutes

    async def items(self, first: str) -> AsyncIterator[str]:
        yield first

    @saga
    async def buy(self, flow: Flow, order: Order) -> str:
        return await self.bank.charge(order.item, order.cents)

    @saga
    async def buy_later(self, flow: Flow, item: str) -> str:
        await flow.sleep(HOUR)
        return await self.bank.charge(item, 1)

    @saga(waits=[Delivered])
    async def buy_delivered(self, flow: Flow, item: str) -> str:
        await flow.wait_for(Delivered, timeout=30 * 24 * HOUR)
        return "delivered"

    async def place(self, item: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Placed(item=item))
            await tx.publish(Unheard(item=item))


class MailService(Mail, Service):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.letters: list[str] = []
        self.failures = 0

    async def count(self) -> int:
        return len(self.letters)

    async def shut(self) -> None:
        self.failures = 1000

    @on(Placed, attempts=50, base=1800.0, cap=1800.0)
    async def write(self, event: Placed) -> None:
        if event.item == "poison":
            raise Undeliverable("no such thing")
        if self.failures:
            self.failures -= 1
            raise RuntimeError("no paper")
        self.letters.append(event.item)


SYSTEM = System("eventual", services=[BankService, ShopService, MailService])


@BOTH
async def test_time_moves_to_the_next_attempt_of_what_failed(where):
    clock = ManualClock()
    async with running(SYSTEM, where=where, clock=clock) as app:
        app.service(MailService).failures = 3
        await app.client(Shop).place("chair")
        assert await app.eventually(app.client(Mail).count, equals=1) == 1
        assert 0 < clock.steady() <= 3 * 1800.0  # the pauses are drawn


@BOTH
async def test_a_saga_s_pause_is_over_as_soon_as_something_waits_for_it(where):
    clock = ManualClock()
    async with running(SYSTEM, where=where, clock=clock) as app:
        bought = asyncio.ensure_future(app.client(Shop).buy_later("chair"))
        [charge] = await app.eventually(lambda: app.sent(Bank.charge))
        assert await bought == "1 for chair"
        assert clock.steady() == pytest.approx(HOUR)
        assert (charge.caller, charge.arguments, charge.reply) == ("shop", ("chair", 1, 0), "1 for chair")


@BOTH
async def test_what_is_so_already_moves_no_time(where):
    clock = ManualClock()
    async with running(SYSTEM, where=where, clock=clock) as app:
        await app.client(Shop).place("chair")
        await app.eventually(lambda: app.service(MailService).letters == ["chair"])
        assert clock.steady() == 0


@BOTH
async def test_an_assertion_or_an_operation_s_error_is_not_yet_so(where):
    clock = ManualClock()
    async with running(SYSTEM, where=where, clock=clock) as app:
        assert await app.eventually(app.client(Shop).open_since) == 1

        async def is_open_for_three_minutes() -> bool:
            assert await app.client(Shop).open_since() >= 3
            return True

        await app.eventually(is_open_for_three_minutes)
        assert clock.steady() == 180


async def test_any_other_error_is_the_test_s_own():
    async with running(SYSTEM, clock=ManualClock()) as app:
        with pytest.raises(AttributeError):
            await app.eventually(lambda: app.service(MailService).leters)


async def test_on_a_clock_that_runs_it_waits():
    async with running(SYSTEM) as app:
        await app.client(Shop).place("chair")
        await app.eventually(lambda: len(app.service(MailService).letters), equals=1, timeout=60)


@BOTH
async def test_a_failure_tells_the_last_value_and_what_is_still_to_come(where):
    clock = ManualClock()
    async with running(SYSTEM, where=where, clock=clock) as app:
        await app.client(Mail).shut()
        shop = app.client(Shop)
        waiting = asyncio.ensure_future(shop.buy_delivered("table"))
        for item in ("chair", "poison"):
            await shop.place(item)
        with pytest.raises(CallError):
            await shop.buy(Order(item="nothing"))
        with pytest.raises(AssertionError) as told:
            await app.eventually(app.client(Mail).count, equals=2, timeout=0.5, within=HOUR)
        text = str(told.value)
        waiting.cancel()

    assert re.match(r"not so after 0.5 s and [\d.]+ of at most 3600 s of the clock, which stands at 2030-01-01 1", text)
    assert "at last it was 0, not 2. Still to come: " in text
    assert re.search(r"1 of shop's events for mail \(paused until 2030-01-01 1\d:.* no paper\)", text)
    assert re.search(r"saga buy_delivered \w+ of shop is waiting at .*Delivered until 2030-01-31 12:00", text)
    assert re.search(r"Failed: saga buy \w+ of shop is failed at Bank.charge \(The bank refuses", text)
    assert "; a dead letter of mail: eventual.v1.Placed of shop (Undeliverable: no such thing)" in text
    assert clock.steady() <= HOUR


async def test_a_failure_tells_what_was_raised_and_what_has_no_value():
    async with running(SYSTEM, clock=ManualClock()) as app:

        async def is_open() -> None:
            assert await app.client(Shop).open_since() > 100, "not for long"

        with pytest.raises(AssertionError, match="at last it raised AssertionError: not for long") as told:
            await app.eventually(is_open, timeout=0.2, within=HOUR)
        assert isinstance(told.value.__cause__, AssertionError)
        with pytest.raises(
            AssertionError, match="at last it was None, .*returns True at its end. Still to come: nothing"
        ):
            await app.eventually(lambda: None, timeout=0.1, within=0)


@BOTH
async def test_what_was_published_is_told_with_its_publisher_once_it_is_committed(where):
    async with running(SYSTEM, where=where) as app:
        assert app.published(Placed) == []
        await app.client(Shop).place("chair")
        [placed] = app.published(Placed)
        assert (placed.event, placed.publisher) == (Placed(item="chair"), "shop")
        assert [each.event.item for each in app.published(Unheard)] == ["chair"]


@BOTH
async def test_what_was_sent_is_told_once_with_its_caller_and_its_outcome(where):
    async with running(SYSTEM, where=where) as app:
        shop = app.client(Shop)
        with pytest.raises(CallError):
            await shop.buy(Order(item="nothing"))
        await shop.buy(Order(item="chair"))
        refused, charge = app.sent(Bank.charge)
        assert [each.caller for each in (refused, charge)] == ["shop", "shop"]
        assert isinstance(refused.error, Declined)
        with pytest.raises(MisuseError, match=r"Bank\.charge has no reply: `error` is Declined"):
            _ = refused.reply
        assert charge.reply == "100 for chair"
        assert [each.arguments for each in app.sent(Shop.buy)] == [(Order(item="nothing"),), (Order(item="chair"),)]
        assert {each.caller for each in app.sent(Shop.buy)} == {None}


@BOTH
async def test_a_stream_is_sent_too_and_has_no_one_reply(where):
    async with running(SYSTEM, where=where) as app:
        assert [each async for each in app.client(Shop).items("chair")] == ["chair"]
        [stream] = app.sent(Shop.items)
        assert (stream.arguments, stream.reply) == (("chair",), None)


async def test_calls_of_a_fake_are_sent_too():
    class Free:
        async def charge(self, item: str, cents: int, *, tip: int = 0) -> str:
            return "free"

    async with running(SYSTEM, only=[ShopService], fakes={Bank: Free()}) as app:
        await app.client(Shop).buy(Order(item="chair"))
        assert [each.reply for each in app.sent(Bank.charge)] == ["free"]
        with pytest.raises(MisuseError, match=r"BankService\.charge is no operation .* name it by its contract"):
            app.sent(BankService.charge)


async def test_what_ends_while_rest_is_looked_for_moves_no_time():
    ended = []

    class Around:
        async def rests(self) -> bool:
            ended.append("a job")
            return True

        async def passes(self, until: float) -> None:
            raise AssertionError("time was moved")

    assert await eventually(Probe(lambda: ended, TRUE), Around(), 60) == ["a job"]


async def test_time_waits_for_a_job_that_runs():
    clock = ManualClock()
    async with running(System("slow", services=[SlowService]), clock=clock) as app:
        slow = app.service(SlowService)
        await app.eventually(lambda: slow.ended, equals=1, timeout=60)
        assert timedelta(seconds=clock.steady()) == timedelta(minutes=1)


class SlowService(Service):
    ended = 0

    @every(60.0, each=True)
    async def work(self) -> None:
        await asyncio.sleep(0.2)  # of the machine's time, as another server takes it
        self.ended += 1


async def test_in_processes_it_asks_and_tells_what_they_say_is_left():
    async with running("systems.bouncing:system", where="processes") as app:
        await app.client(Left).throw("ball", 0)
        await app.eventually(app.client(Right).caught, equals=1, timeout=60)
        with pytest.raises(AssertionError, match="not so after 0.1 s: at last it was 1, not 3. Still to come: "):
            await app.eventually(app.client(Right).caught, equals=3, timeout=0.1)
        with pytest.raises(MisuseError, match=r'app\.published\(…\).*where="local" or "wire"'):
            app.published(Ball)
        with pytest.raises(MisuseError, match=r"app\.sent\(…\)"):
            app.sent(Left.throw)
