"""What waits in the databases is counted when /metrics is asked for."""

import asyncio
from typing import Protocol

import pytest
from prometheus_client.parser import text_string_to_metric_families

from meristem import Contract, Database, Event, Flow, Service, StorageError, System, Undeliverable, on, once, saga
from meristem.runtime.assembly import Assembly
from meristem.runtime.gauges import FRESH, Counted, Gauges
from meristem.telemetry.exposition import exposition
from meristem.telemetry.metrics import Registry
from meristem.testing import ManualClock, running


class Ordered(Event, package="gauges.v1"):
    article: str


class Paid(Event, package="gauges.v1"):
    """Nobody pays here."""


class Orders(Contract, Protocol, package="gauges.v1"):
    @once(timeout=60.0)
    async def order(self, article: str) -> None: ...

    @once(timeout=0.3)
    async def wait(self) -> None: ...


class OrdersService(Orders, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def order(self, article: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Ordered(article=article))

    @saga(waits=[Paid])
    async def wait(self, flow: Flow) -> None:
        await flow.wait_for(Paid, timeout=None)


class StockService(Service):
    def __init__(self) -> None:
        self.opened = asyncio.Event()

    @on(Ordered)
    async def take(self, event: Ordered) -> None:
        if event.article == "unicorn":
            raise Undeliverable("there are none")
        await self.opened.wait()


def gauges(text: str) -> dict[tuple[str, ...], float]:
    """The gauges of what waits: their values by name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(("meristem_outbox", "meristem_dead", "meristem_sagas")) and family.type == "gauge"
    }


async def scraped(app: Assembly) -> dict[tuple[str, ...], float]:
    media, body = await app.figures("")
    assert media.startswith("text/plain")
    return gauges(body.decode())


async def test_events_dead_letters_and_sagas_that_wait_are_counted():
    clock = ManualClock()
    async with running(System("gauges", services=[OrdersService, StockService]), clock=clock) as app:
        with pytest.raises(Exception, match="deadline_exceeded"):
            await app.client(Orders).wait()
        await app.client(Orders).order("unicorn")
        await app.settled()
        await app.client(Orders).order("lamp")
        await app.client(Orders).order("chair")
        await clock.advance(7)

        found = await scraped(app)
        app.instances["stock"].service.opened.set()
        await app.settled()

    assert found == {
        ("meristem_outbox_events", "orders", "stock"): 2,
        ("meristem_outbox_age_seconds", "orders", "stock"): 7,
        ("meristem_dead_letters", "orders", "stock"): 1,
        ("meristem_sagas", "orders", "running"): 0,
        ("meristem_sagas", "orders", "waiting"): 1,
        ("meristem_sagas", "orders", "undoing"): 0,
        ("meristem_sagas", "orders", "parked"): 0,
    }


class Shelf:
    """A database that a test fills and breaks."""

    def __init__(self) -> None:
        self.found: Counted | StorageError = Counted(pending={"stock": 3}, oldest={"stock": 0.0})
        self.asked = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def count(self) -> Counted:
        self.asked += 1
        await self.gate.wait()
        if isinstance(self.found, StorageError):
            raise self.found
        return self.found


class Counting:
    """Gauges of one shelf, at a time that the test sets."""

    def __init__(self) -> None:
        self.time = 100.0
        self.shelf = Shelf()
        self.registry = Registry()
        self.counts = Gauges(self.registry, ManualClock(), now=lambda: self.time)
        self.counts.counters["orders"] = self.shelf.count

    async def events(self) -> float | None:
        await self.counts.look()
        body, _ = exposition(self.registry)
        return gauges(body.decode()).get(("meristem_outbox_events", "orders", "stock"))


@pytest.fixture
async def counting():
    made = Counting()
    await made.counts.start()
    yield made
    await made.counts.stop()


async def test_many_who_look_cost_one_count(counting):
    assert await asyncio.gather(*(counting.events() for _ in range(5))) == [3] * 5
    assert await counting.events() == 3
    assert counting.shelf.asked == 1

    counting.time += FRESH
    await counting.events()
    assert counting.shelf.asked == 2


async def test_what_is_gone_is_shown_as_0(counting):
    await counting.events()
    counting.shelf.found, counting.time = Counted(), counting.time + FRESH
    assert await counting.events() == 0


async def test_what_cannot_be_counted_is_not_shown_and_logged(counting, caplog):
    await counting.events()
    counting.shelf.found, counting.time = StorageError("gone"), counting.time + FRESH
    assert await counting.events() is None
    assert "orders: what waits in its database cannot be counted" in caplog.text


async def test_before_its_tables_are_there_nothing_is_counted():
    counting = Counting()
    assert await counting.events() is None
    assert counting.shelf.asked == 0


async def test_a_count_that_takes_long_holds_nobody_up_who_looks(counting, monkeypatch):
    assert await counting.events() == 3
    monkeypatch.setattr("meristem.runtime.gauges.PATIENCE", 0.01)
    counting.shelf.gate.clear()
    counting.time += FRESH
    counting.shelf.found = Counted(pending={"stock": 9})
    assert await counting.events() == 3

    counting.shelf.gate.set()
    monkeypatch.undo()
    assert await counting.events() == 9
