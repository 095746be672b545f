"""The catalogue is made once, and an interrupted start goes on where it stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest
from hotels.contracts.rooms import HotelListed
from hotels.rooms import seeding, tables
from hotels.rooms.service import RoomsService

from meristem import Database
from meristem.services.service import Progress
from meristem.storage.database import database_for

T = TypeVar("T")


class Watched(Progress):
    """Progress that counts, and that may be interrupted."""

    def __init__(self, ends_after: int = 10**9) -> None:
        self.passed = 0
        self.ends_after = ends_after

    def track(self, items: Iterable[T], description: str, total: int | None = None) -> Iterable[T]:
        for item in items:
            if self.passed == self.ends_after:
                raise KeyboardInterrupt
            self.passed += 1
            yield item


@pytest.fixture
async def database() -> Any:
    made = database_for("sqlite://", name="rooms")
    await made.start()
    await made.create(tables.metadata)
    yield made
    await made.stop()


async def test_an_interrupted_start_is_taken_up_by_the_next_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeding, "BATCH", 20)
    with pytest.raises(KeyboardInterrupt):
        await seeding.seed(database, Watched(ends_after=70), 100)
    assert await database.fetch_value(tables.COUNT_HOTELS) == 60

    await seeding.seed(database, Watched(), 100)

    assert await database.fetch_value(tables.COUNT_HOTELS) == 100


async def test_two_replicas_that_start_at_once_make_one_catalogue(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seeding, "BATCH", 20)

    await asyncio.gather(*(seeding.seed(database, Watched(), 60) for _ in range(2)))

    assert await database.fetch_value(tables.COUNT_HOTELS) == 60


async def test_a_full_catalogue_is_left_alone(database: Database) -> None:
    await seeding.seed(database, Watched(), 60)

    second = Watched()
    await seeding.seed(database, second, 60)

    assert second.passed == 0


async def test_every_hotel_is_told(database: Database) -> None:
    told: list[Any] = []

    async def hear(unit: Any) -> None:
        told.extend(each.event for each in unit.published)

    database.before_commit.append(hear)
    await seeding.seed(database, Watched(), 60)

    assert len({event.hotel_id for event in told if isinstance(event, HotelListed)}) == 60


async def test_a_service_starts_with_its_catalogue(run: Callable[..., Any]) -> None:
    async with run(RoomsService, settings={"rooms": {"hotels": 55}}) as app:
        assert await app.database("rooms").fetch_value(tables.COUNT_HOTELS) == 55
