"""What every broker must do beside what a bus must; an adapter's test module inherits the suite.

It provides the fixtures `url` and `outage`, and says how its broker is written to by others.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import delete

from meristem.context import Context
from meristem.contracts.message import Event
from meristem.events import incoming_events
from meristem.events.adapters import bus_for
from meristem.events.brokers import broker
from meristem.events.bus import BROKER, Bus
from meristem.events.cloudevents import STRUCTURED
from meristem.events.envelope import enclose
from meristem.events.tables import POSITIONS
from meristem.testing import ManualClock
from tests.suites.bus import Booked, BusSuite, Noted, Stage, Subscriber
from tests.suites.outage import Outage


class Scroll(Event, package="suite.v1"):
    text: str


class Painted(Event, package="suite.art.v1", key="wall"):
    wall: str
    number: int


async def kept(subscriber: Subscriber, clock: ManualClock, count: int) -> list[int]:
    """What it has handled, when that is so many; what another replica left is looked for from time to time."""
    async with asyncio.timeout(60):
        while len(entries := await subscriber.entries()) < count:
            await clock.advance(1)
            await asyncio.sleep(0.02)
    return entries


def foreign(source: str, number: int) -> bytes:
    """An event of another system, whose ids are numbers."""
    event = {"specversion": "1.0", "id": "7", "source": source, "type": "suite.v1.Noted", "data": {"number": number}}
    return msgspec.json.encode(event)


class BrokerSuite(BusSuite):
    """Outages of the broker, replicas that take in, what others publish, back-pressure, a change of the bus."""

    refused: Event = Scroll(text="x" * (2 << 20))
    """What the broker never takes."""
    reason = "bytes"
    """Told of it."""

    @pytest.fixture
    def outage(self) -> Outage:
        """Of a broker that a test may take away, on which nothing has happened yet; it is there."""
        raise NotImplementedError

    async def post(self, url: str, event_type: str, content_type: str, body: bytes) -> None:
        """Publish by the broker's own client."""
        raise NotImplementedError

    async def test_a_broker_that_is_lost_while_events_flow_loses_none_and_repeats_none(
        self, tmp_path: Path, outage: Outage
    ) -> None:
        stage = Stage(tmp_path, bus_for(outage.url, system="suite"), ManualClock())
        billing = stage.subscriber("billing")
        await stage.start()
        for number in range(60):
            await stage.publish(Booked(guest="ada", number=number), Booked(guest="bob", number=1000 + number))
            if number == 20:
                await billing.began(2)
                await outage.begin()
            if number == 40:
                await outage.end()
        # Nothing here moves the clock: what waits for the broker is served when it returns, and not when a pause ends.
        await stage.settle()
        entries = await billing.entries()
        assert [each for each in entries if each < 1000] == list(range(60))
        assert [each - 1000 for each in entries if each >= 1000] == list(range(60))
        assert len(billing.seen) == 120
        await stage.stop()

    async def test_a_broker_that_is_not_there_at_the_start_is_waited_for(
        self, tmp_path: Path, outage: Outage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(broker, "_PATIENCE", 0.1)
        await outage.begin()
        stage = Stage(tmp_path, bus_for(outage.url, system="suite"), ManualClock())
        billing = stage.subscriber("billing")
        await stage.start()
        await stage.publish(Noted(number=1))
        assert billing.seen == []
        await outage.end()
        await stage.settle()
        assert await billing.entries() == [1]
        await stage.stop()

    async def test_another_replica_takes_over_from_one_that_died_with_what_it_had_taken_in(
        self, tmp_path: Path, make_bus: Callable[[], Bus]
    ) -> None:
        clock, forever = ManualClock(), asyncio.Event()
        stages = [Stage(tmp_path, make_bus(), clock, owner=f"replica-{number}") for number in range(2)]
        first, second = (each.subscriber("billing") for each in stages)

        async def hang(_: Any) -> None:
            await forever.wait()

        for stage in stages:
            for each in stage.keepers:
                each.lease._renewal = 0.02  # a look, so that the dead are found soon
            await stage.start()
        first.before = hang
        await stages[0].publish(Booked(guest="ada", number=0))
        await first.began()
        for number in range(1, 5):
            await stages[1].publish(Booked(guest="ada", number=number))
        await stages[0].vanish()
        await stages[1].publish(Booked(guest="ada", number=5))
        assert await kept(second, clock, 6) == [0, 1, 2, 3, 4, 5]
        await stages[1].settle()
        assert second.seen == [0, 1, 2, 3, 4, 5]
        assert await stages[1].owed() == []
        await stages[1].stop()

    async def test_a_service_hears_what_was_published_before_it_ever_ran(
        self, tmp_path: Path, stage: Stage, make_bus: Callable[[], Bus]
    ) -> None:
        billing = stage.subscriber("billing")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        alone = Stage(elsewhere, make_bus(), stage.clock)
        alone.bus.forward("billing", billing.inbox.policies, billing.inbox.receive)
        await alone.start()
        await alone.publish(Noted(number=1))
        await alone.settle()
        await alone.stop()
        await stage.start()
        await stage.settle()
        assert await billing.entries() == [1]

    async def test_a_handler_that_is_added_to_a_service_begins_as_it_declares(
        self, stage: Stage, tmp_path: Path, make_bus: Callable[[], Bus], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        billing = stage.subscriber("billing", Noted)
        stage.subscriber("mail", Booked, Painted)
        await stage.start()
        for number in range(1, 1200, 100):
            await stage.publish(*(Booked(guest="ada", number=each) for each in range(number, number + 100)))
            await stage.publish(Noted(number=-number), Painted(wall="north", number=5000 + number))
        await stage.settle()
        before = await billing.entries()
        assert len(before) == 12
        await stage.stop()

        later = Stage(tmp_path, make_bus(), stage.clock)
        billing = later.subscriber("billing", Noted, Painted, first=[Booked])
        later.subscriber("mail", Booked, Painted)
        store, stored = billing.incoming.store, []

        async def fail_once(arrived: Sequence[Any], *positions: Any) -> bool:
            stored.append(len(arrived))
            if len(stored) == 2:
                raise OSError("the disk is full")
            return await store(arrived, *positions)

        monkeypatch.setattr(billing.incoming, "store", fail_once)
        await later.start()
        await later.publish(Booked(guest="ada", number=1201), Painted(wall="north", number=7000), Noted(number=-7000))
        await later.settle()
        past = range(1, 1202) if self.keeps_the_past else range(1201, 1202)
        entries = (await billing.entries())[len(before) :]
        others = sorted(each for each in entries if not 0 < each < 5000)
        assert [each for each in entries if 0 < each < 5000] == list(past)
        assert others == [-7000, 7000]
        assert not self.keeps_the_past or sum(stored) - stored[1] < 1400  # it went on where it was
        await later.stop()

    async def test_what_was_heard_before_that_was_written_down_is_not_taken_in_once_more(
        self, stage: Stage, tmp_path: Path, make_bus: Callable[[], Bus], caplog: pytest.LogCaptureFixture
    ) -> None:
        billing = stage.subscriber("billing")
        await stage.start()
        await stage.publish(Booked(guest="ada", number=1))
        await stage.settle()
        hears = POSITIONS.c.bus.startswith("hears ")
        assert (await billing.database.execute(delete(POSITIONS).where(hears))).rowcount == 2
        await stage.stop()

        later = Stage(tmp_path, make_bus(), stage.clock)
        billing = later.subscriber("billing", first=[Booked])
        await later.start()
        await later.publish(Booked(guest="ada", number=2))
        await later.settle()
        await later.stop()
        assert billing.seen == [2]
        [told] = [each.getMessage() for each in caplog.records if "from now on" in each.getMessage()]
        assert told.startswith("billing hears suite.v1.Booked from now on")
        assert ("events replay --subscriber billing" in told) is self.keeps_the_past

    async def test_what_a_release_passed_over_that_does_not_hear_it_is_made_up_for(
        self, stage: Stage, tmp_path: Path, make_bus: Callable[[], Bus]
    ) -> None:
        numbers = iter(range(100))
        for events in ((Booked, Noted), (Noted,), (Noted, Booked), (Noted,), (Booked, Noted)):
            release = Stage(tmp_path, make_bus(), stage.clock)
            billing = release.subscriber("billing", *events)
            await release.start()
            await release.publish(Booked(guest="ada", number=next(numbers)), Noted(number=next(numbers)))
            await release.settle()
            entries = await billing.entries()
            await release.stop()
        await stage.start()

        heard = [0, 2, 4, 6, 8] if self.keeps_the_past else [0, 4, 8]
        assert [each for each in entries if each % 2 == 0] == heard
        assert sorted(each for each in entries if each % 2) == [1, 3, 5, 7, 9]

    async def test_a_cancellation_that_a_client_has_lost_ends_the_taking_in_all_the_same(self, stage: Stage) -> None:
        billing = stage.subscriber("billing")
        await stage.start()

        async def take() -> None:
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await billing.incoming.room()

        taking = asyncio.create_task(take())
        await asyncio.sleep(0)
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking

    async def test_what_is_no_event_is_a_dead_letter_and_stops_nothing(self, stage: Stage, url: str) -> None:
        billing = stage.subscriber("billing")
        await stage.start()
        await self.post(url, "suite.v1.Noted", STRUCTURED, b"hello")
        await stage.publish(Noted(number=1))
        await stage.settle()
        assert await billing.entries() == [1]
        (letter,) = await stage.letters()
        assert (letter.subscriber, letter.body) == ("billing", "hello")
        assert "not a CloudEvent" in (letter.error or "")

    async def test_an_event_is_known_by_its_source_and_its_id(self, stage: Stage, url: str) -> None:
        billing = stage.subscriber("billing")
        await stage.start()
        for body in (foreign("//till", 1), foreign("//office", 2), foreign("//till", 1)):
            await self.post(url, "suite.v1.Noted", STRUCTURED, body)
        await stage.publish(Noted(number=3))
        await stage.settle()
        assert sorted(await billing.entries()) == [1, 2, 3]
        assert sorted(billing.seen) == [1, 2, 3]
        assert await stage.letters() == []

    async def test_what_a_service_has_no_time_for_stays_with_the_broker(
        self, stage: Stage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(incoming_events, "_ON_DISK", 1)
        billing, go_on = stage.subscriber("billing"), asyncio.Event()

        async def stand(_: Any) -> None:
            await go_on.wait()

        billing.before = stand
        billing.keeper.relay._window, billing.keeper.relay._spare = 5, 1
        await stage.start()
        for number in range(12):
            await stage.publish(Booked(guest="ada", number=number))
            await stage.keeper.relay.settle()  # the broker has it
            if number == 5:
                await billing.began()
        taken = sum(each.count for each in await billing.keeper.outbox.depth())
        assert taken < 12
        assert (await stage.bus.lag())["billing"] == 12 - taken
        go_on.set()
        await stage.settle()
        assert await billing.entries() == list(range(12))

    async def test_what_the_broker_refuses_is_a_dead_letter_of_the_publisher(self, stage: Stage) -> None:
        billing = stage.subscriber("billing")
        await stage.start()
        await stage.publish(self.refused, Noted(number=1))
        await stage.settle()
        assert await billing.entries() == [1]
        (letter,) = await stage.dead.list()
        assert self.reason in (letter.error or "")
        assert letter.type == self.refused.event_type

    async def test_what_was_owed_to_another_broker_goes_over_this_one(self, stage: Stage) -> None:
        billing = stage.subscriber("billing")
        await stage.start()
        event = enclose(Noted(number=1), "//suite/publisher", stage.clock.now(), Context())
        await stage.bus.publish(event, f"{BROKER}another")
        await stage.settle()
        assert await billing.entries() == [1]

    async def test_a_system_that_changes_its_bus_to_the_broker_and_back_loses_nothing(
        self, tmp_path: Path, url: str, make_bus: Callable[[], Bus]
    ) -> None:
        clock, forever = ManualClock(), asyncio.Event()

        async def hang(_: Any) -> None:
            await forever.wait()

        def run(bus: Bus) -> Any:
            stage = Stage(tmp_path, bus, clock)
            return stage, stage.subscriber("billing")

        direct = partial(bus_for, "direct", system="suite")
        stage, billing = run(direct())
        billing.before = hang
        await stage.start()
        await stage.publish(Booked(guest="ada", number=0))
        await billing.began()
        await stage.vanish()

        stage, billing = run(make_bus())
        await stage.start()
        assert await kept(billing, clock, 1) == [0]
        billing.before = hang
        await stage.publish(Booked(guest="ada", number=1))
        await billing.began(2)  # taken in, and owed by the subscriber to itself
        await stage.keeper.relay.settle()
        await stage.bus.stop()
        await stage.publish(Booked(guest="bob", number=2))  # owed to the broker
        await stage.vanish()

        stage, billing = run(direct())
        stage.had_broker = True
        await stage.start()
        assert sorted(await kept(billing, clock, 3)) == [0, 1, 2]
        await stage.stop()
