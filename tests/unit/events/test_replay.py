"""A service hears again what a broker keeps, as `meristem events replay` has it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from meristem.errors import ConfigurationError, OperationError
from meristem.events.adapters import bus_for
from meristem.events.brokers.broker import BrokerBus
from meristem.events.bus_positions import BusPositions, Replay
from meristem.testing import ManualClock
from tests.suites.bus import PATIENT, Noted, Stage
from tests.suites.kafka import mock_cluster
from tests.suites.nats_prefix import bus_of_its_own


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Of a bus over NATS on which nothing has happened yet."""
    async with bus_of_its_own() as url:
        yield url


def bus(url: str) -> BrokerBus:
    """The bus of one more process."""
    found = bus_for(url, system="suite")
    assert isinstance(found, BrokerBus)
    return found


def outside(url: str) -> BrokerBus:
    """The bus of who replays from outside."""

    async def never(_envelope: object, *, is_new: bool = False) -> None:
        raise AssertionError(is_new)

    found = bus(url)
    found.forward("reader", {Noted.event_type: PATIENT}, never)
    return found


@pytest.mark.parametrize(("again", "handled"), [(False, [1, 2, 3, 4]), (True, [1, 2, 2, 3, 3, 4])])
async def test_a_service_that_runs_takes_in_again_from_a_position(
    tmp_path: Path, url: str, *, again: bool, handled: list[int]
) -> None:
    stage = Stage(tmp_path, bus(url), ManualClock(datetime.now(UTC)))  # the server has a clock, too
    reader = stage.subscriber("reader", Noted)
    await stage.start()
    for number in (1, 2, 3):
        await stage.publish(Noted(number=number))
        await stage.settle()
    begins = await outside(url).rewind("reader", BusPositions(reader.database), Replay(position=2, again=again))
    await stage.publish(Noted(number=4))
    await reader.began(len(handled))
    await stage.settle()
    entries = await reader.entries()
    await stage.stop()

    assert begins.startswith("position 2 of the stream ")
    assert sorted(entries) == handled


async def test_a_time_after_the_last_event_is_refused_and_one_before_it_gives_all(tmp_path: Path, url: str) -> None:
    stage = Stage(tmp_path, bus(url), ManualClock())
    reader = stage.subscriber("reader", Noted)
    await stage.start()
    await stage.publish(Noted(number=1))
    await stage.settle()
    positions, now = BusPositions(reader.database), datetime.now(UTC)

    begins = await outside(url).rewind("reader", positions, Replay(since=now - timedelta(hours=1)))
    with pytest.raises(OperationError, match="keeps no event for reader from there on"):
        await outside(url).rewind("reader", positions, Replay(since=now + timedelta(hours=1)))
    await stage.stop()
    assert begins.startswith("position 1 of the stream ")


async def test_kafka_sets_a_service_that_rests_back_to_the_first_event(tmp_path: Path) -> None:
    with mock_cluster() as cluster:
        url = f"kafka://{cluster.servers}?prefix=t{uuid4().hex[:12]}"
        for run in range(2):
            stage = Stage(tmp_path, bus(url), ManualClock())
            reader = stage.subscriber("reader", Noted)
            await stage.start()
            if run == 0:
                await stage.publish(Noted(number=1), Noted(number=2))
            await reader.began(2)
            await stage.settle()
            entries = await reader.entries()
            if run == 0:
                await stage.bus.stop()
                await outside(url).rewind("reader", BusPositions(reader.database), Replay(again=True))
            await stage.stop()

        assert sorted(entries) == [1, 1, 2, 2]
        with pytest.raises(ConfigurationError, match="Kafka counts in each partition by itself"):
            await outside(url).rewind("reader", BusPositions(reader.database), Replay(position=7))
