"""A service that was renamed goes on where the one of before it was: by every bus, and beside it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select

from meristem import Contract, Database, Event, Service, System, on, once
from meristem.context import current
from meristem.errors import WiringError
from meristem.events.adapters import bus_for
from meristem.events.bus import BROKER
from meristem.events.dead_letters import DeadLetters
from meristem.events.envelope import Envelope
from meristem.runtime.assembly import Assembly
from meristem.runtime.options import Options
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from meristem.system.placement_tables import Resources
from meristem.testing import ManualClock, running
from tests.suites.kafka import mock_cluster
from tests.suites.nats_prefix import bus_of_its_own
from tests.unit.events.test_rabbitmq import SERVER, prefix

BOOKS = MetaData()
ENTRIES = Table("entries", BOOKS, Column("number", Integer), Column("key", String(80)))


class TicketSold(Event, package="fair.v1", key="stand"):
    number: int
    stand: str = "A"


class Till(Contract, Protocol, package="fair.v1"):
    @once
    async def sell(self, numbers: list[int]) -> None: ...


class TillService(Till, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def sell(self, numbers: list[int]) -> None:
        async with self.database.begin() as tx:
            for number in numbers:
                await tx.publish(TicketSold(number=number))


class Keeping:
    """What the service does in each release, but for its name and those of its methods."""

    database: Database
    away = False
    tried: list[str | None]

    async def _keep(self, event: TicketSold) -> None:
        self.tried.append(current().key)
        if event.number == 13:
            raise ValueError("nobody sits there")
        if self.away:
            raise ConnectionError("the bookkeeper is away")
        await self.database.execute(insert(ENTRIES), {"number": event.number, "key": current().key})


class SalesService(Keeping, Service, tables=BOOKS):
    def __init__(self, database: Database) -> None:
        self.database, self.tried = database, []

    @on(TicketSold, attempts=1)
    async def write_down(self, event: TicketSold) -> None:
        await self._keep(event)


class BookkeepingService(Keeping, Service, tables=BOOKS, formerly="sales"):
    def __init__(self, database: Database) -> None:
        self.database, self.tried = database, []

    @on(TicketSold, attempts=1)
    async def enter(self, event: TicketSold) -> None:
        await self._keep(event)


class Release:
    """A release of the system that runs in this process."""

    def __init__(self, app: Assembly, clock: ManualClock, service: type[Any]) -> None:
        self._clock = clock
        self.client = app.client(Till)
        self.instances = app.instances
        self.keeper: Any = app.instances[service.service_name].service

    async def sell(self, *numbers: int) -> None:
        await self.client.sell(list(numbers))

    async def entries(self, count: int) -> list[int]:
        """What was handled, when that is so much."""
        return [number for number, _ in await self.rows(count)]

    async def rows(self, count: int) -> list[tuple[int, str]]:
        while len(rows := await self.rows_of(self.keeper.database)) < count:
            await self.turn()
        return rows

    @staticmethod
    async def rows_of(database: Database) -> list[tuple[int, str]]:
        return [(row["number"], row["key"]) for row in await database.fetch_all(select(ENTRIES))]

    async def turn(self) -> None:
        """Let what is due happen."""
        await self._clock.advance(1)
        for each in self.instances.values():
            await each.storage.scan()

    async def letters(self) -> list[Any]:
        kept = [DeadLetters(each.database, self._clock) for each in self.instances.values()]
        return [letter for each in kept for letter in await each.list()]


@pytest.fixture(params=["direct", "nats", "rabbitmq", "kafka"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Of a bus on which nothing has happened yet."""
    if request.param == "direct":
        yield "direct"
    elif request.param == "nats":
        async with bus_of_its_own() as found:
            yield found
    elif request.param == "rabbitmq":
        async with prefix() as name:
            yield f"{SERVER}?prefix={name}"
    else:
        with mock_cluster() as cluster:
            yield f"kafka://{cluster.servers}"


@asynccontextmanager
async def release(
    folder: Path, url: str, clock: ManualClock, service: type[Any], replica: int = 0
) -> AsyncIterator[Release]:
    system = System("fair", services=[TillService, service])
    blueprint = Blueprint(system, Placement(resources=Resources(bus=url)), directory=folder)
    options = Options(clock=clock, directory=folder, database="sqlite:///{service}.db", replica=replica)
    app = Assembly(blueprint, "main", options)
    await app.start()
    try:
        await app.activate()
        yield Release(app, clock, service)
        await app.drain()
    finally:
        await app.stop()


async def put(url: str, envelope: Envelope) -> None:
    """Have an event on the broker while nobody takes in."""
    bus = bus_for(url, system="fair")
    await bus.start()
    await bus.publish(envelope, f"{BROKER}any")
    await bus.stop()


def files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.glob("*.db"))


def sold(number: int) -> Envelope:
    data = msgspec.Raw(b'{"number": %d, "stand": "A"}' % number)
    return Envelope(
        id=f"0190a000-0000-7000-8000-{number:012}", source="//fair/till", type=TicketSold.event_type,
        subject="A", datacontenttype="application/json", data=data,
    )  # fmt: skip


@pytest.mark.timeout(120)
async def test_what_was_owed_to_the_name_of_before_and_not_read_by_it_is_handled_once(tmp_path: Path, url: str) -> None:
    clock = ManualClock()
    async with release(tmp_path, url, clock, SalesService) as before:
        await before.sell(1, 13)
        assert await before.entries(1) == [1]
        while not await before.letters():
            await before.turn()
        before.keeper.away = True
        await before.sell(2, 3)
        while len(before.keeper.tried) < 3:
            await before.turn()
        tried = before.keeper.tried[-1]
    numbers = [1, 2, 3]
    if url != "direct":
        numbers.append(4)
        await put(url, sold(4))

    async with release(tmp_path, url, clock, BookkeepingService) as after:
        rows = await after.rows(len(numbers))
        [letter] = await after.letters()
        await after.sell(5)
        entries = await after.entries(len(numbers) + 1)

    assert [number for number, _ in rows] == numbers
    assert rows[1][1] == tried  # what a handler calls is done under the keys of before
    assert entries == [*numbers, 5]
    assert (letter.subscriber, letter.error) == ("sales", "ValueError: nobody sits there")
    assert files(tmp_path) == ["sales.db", "till.db"]

    async with release(tmp_path, url, clock, SalesService) as back:
        await back.sell(6)
        assert await back.entries(len(entries) + 1) == [*entries, 6]


@pytest.mark.timeout(120)
async def test_while_the_release_of_before_still_runs_each_event_is_handled_by_one_of_them(
    tmp_path: Path, url: str
) -> None:
    clock = ManualClock()
    async with release(tmp_path, url, clock, SalesService) as before:
        await before.sell(0)
        async with (
            release(tmp_path, url, clock, BookkeepingService, 1) as first,
            release(tmp_path, url, clock, BookkeepingService, 2) as second,
        ):
            for number in range(1, 10):
                await (before, first, second)[number % 3].sell(number)
            await before.entries(10)
        async with release(tmp_path, url, clock, BookkeepingService, 1) as first:
            await before.sell(10)
            await first.sell(11)
            entries = await first.entries(12)

    assert sorted(entries) == list(range(12))


async def test_between_processes_it_is_known_by_the_name_of_before(tmp_path: Path) -> None:
    system = System("fair", services=[TillService, BookkeepingService])
    async with running(system, where="wire", database=f"sqlite:///{tmp_path}/{{service}}.db") as app:
        await Till.client().sell([1, 2])
        await app.settled()
        assert [number for number, _ in await Release.rows_of(app.database(BookkeepingService))] == [1, 2]
    assert files(tmp_path) == ["sales.db", "till.db"]


def test_two_services_can_t_have_been_one() -> None:
    class Other(Service, formerly="sales"):
        pass

    for others in ([BookkeepingService, Other], [BookkeepingService, SalesService], [SalesService, Other]):
        with pytest.raises(WiringError, match="was formerly 'sales', and so is or was"):
            Blueprint(System("fair", services=[TillService, *others]))


def test_a_name_of_before_is_one_that_a_service_can_have() -> None:
    class Misnamed(Service, formerly="Sales Service"):
        pass

    with pytest.raises(WiringError, match="formerly='Sales Service' was no service's name"):
        Blueprint(System("fair", services=[Misnamed]))
