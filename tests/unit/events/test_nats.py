"""NATS JetStream: the port's suite on the real server."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import nats
import pytest
from sqlalchemy import select

from meristem.contracts.message import Event
from meristem.events.brokers import nats_reader
from meristem.events.brokers.address import read_address
from meristem.events.bus import Bus
from meristem.events.tables import POSITIONS
from tests.suites.broker import BrokerSuite
from tests.suites.bus import Booked, Noted, Stage
from tests.suites.nats_prefix import SERVER, bus_of_its_own
from tests.suites.outage import Outage, nats_server


class Größe(Event, package="suite.v1"):  # noqa: PLC2401 - a letter that no key of a bucket has
    number: int


class TestNats(BrokerSuite):
    keeps_the_past = True

    @pytest.fixture
    async def url(self) -> AsyncIterator[str]:
        async with bus_of_its_own() as url:
            yield url

    @pytest.fixture
    async def outage(self, tmp_path: Path) -> AsyncIterator[Outage]:
        async with nats_server(tmp_path / "jetstream") as found:
            yield found

    async def post(self, url: str, event_type: str, content_type: str, body: bytes) -> None:
        client = await nats.connect(SERVER)
        subject = f"{read_address(url, ()).prefix}.{event_type}"
        await client.jetstream().publish(subject, body, headers={"Content-Type": content_type})
        await client.close()

    async def test_a_stream_that_somebody_deletes_is_made_again_and_taken_in_from_its_first_event(
        self, stage: Stage, url: str
    ) -> None:
        client = await nats.connect(SERVER)
        prefix = read_address(url, ()).prefix
        await client.jetstream().add_stream(name=prefix, subjects=[f"{prefix}.>"])
        for _ in range(2):  # what was there before the system is passed over, as far as it counts in that stream
            await self.post(url, Noted.event_type, "application/cloudevents+json", b"{}")
        billing = stage.subscriber("billing")
        await stage.start()
        await stage.publish(Noted(number=1))
        await stage.settle()
        await client.jetstream().delete_stream(prefix)
        await client.close()
        await stage.publish(Noted(number=2))
        async with asyncio.timeout(60):
            while await billing.entries() != [1, 2]:
                await stage.clock.advance(1.0)
                await asyncio.sleep(0.05)

    async def test_who_was_away_for_longer_than_events_are_kept_says_which_are_gone(
        self, stage: Stage, tmp_path: Path, url: str, make_bus: Callable[[], Bus], caplog: pytest.LogCaptureFixture
    ) -> None:
        stage.subscriber("billing")
        await stage.start()
        await stage.publish(Noted(number=1))
        await stage.settle()
        await stage.stop()
        for _ in range(2):
            await self.post(url, Noted.event_type, "application/cloudevents+json", b"{}")
        client = await nats.connect(SERVER)
        await client.jetstream().purge_stream(read_address(url, ()).prefix)
        await client.close()

        again = Stage(tmp_path, make_bus(), stage.clock)
        billing = again.subscriber("billing")
        await again.start()
        await again.publish(Noted(number=4))
        await again.settle()
        assert await billing.entries() == [1, 4]
        assert "those from 2 to 3 are gone" in caplog.text
        await again.stop()

    async def test_a_service_is_as_far_as_the_stream_though_all_that_came_was_for_others(
        self, stage: Stage, url: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(nats_reader, "_WAIT", 0.1)
        billing = stage.subscriber("billing", Noted)
        await stage.start()
        for number in range(3):
            await self.post(url, Booked.event_type, "application/cloudevents+json", b"%d" % number)
        where = POSITIONS.c.bus.startswith("nats:")
        async with asyncio.timeout(60):
            while await billing.database.fetch_value(select(POSITIONS.c.position).where(where)) != "3":
                await asyncio.sleep(0.02)
        await stage.publish(Noted(number=1))
        await stage.settle()
        assert await billing.entries() == [1]

    async def test_the_name_of_an_event_may_be_of_any_letters(self, stage: Stage) -> None:
        billing = stage.subscriber("billing", Größe, first=[Noted])
        await stage.start()
        await stage.publish(Größe(number=1))
        await stage.settle()
        assert await billing.entries() == [1]
