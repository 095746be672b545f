"""Events of one release are heard by another one, by the direct bus and over a broker."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meristem import Event
from meristem.events.adapters import bus_for
from meristem.events.facts import DeadLettered, DeliveryRetried
from meristem.testing import ManualClock
from tests.suites.bus import PATIENT, Booked, Noted, Stage
from tests.suites.nats_prefix import bus_of_its_own


class Before:
    """The release of before."""

    class Sold(Event, package="fair.v1", key="number"):
        number: int
        stand: str


class After:
    """The release after it: `stand` is called `place`, `price` was added, and nothing was lost."""

    class Sold(Event, package="fair.v1", key="number"):
        number: int
        place: str = msgspec.field(name="stand")
        price: int = 0


class Later:
    """One more release: `stand` was removed."""

    class Sold(Event, package="fair.v1", key="number"):
        number: int
        price: int = 0


@pytest.fixture(params=["direct", "nats"])
async def url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """Of a bus on which nothing has happened yet."""
    if request.param == "direct":
        yield "direct"
        return
    async with bus_of_its_own() as url:
        yield url


@pytest.fixture
async def stage(tmp_path: Path, url: str) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path, bus_for(url, system="suite"), ManualClock())
    yield stage
    await stage.stop()


class Hearing:
    """What a subscriber of one release has heard."""

    def __init__(self, stage: Stage, name: str, event: type[Event]) -> None:
        self.events: list[Any] = []
        stage.subscriber(name, event).before = self._keep

    async def _keep(self, event: Any) -> None:
        self.events.append(event)


async def test_two_releases_publish_and_two_hear_each_other(stage: Stage) -> None:
    before, after = Hearing(stage, "before", Before.Sold), Hearing(stage, "after", After.Sold)
    await stage.start()
    await stage.publish(
        Before.Sold(number=1, stand="A"), After.Sold(number=1, place="B", price=5), Before.Sold(number=1, stand="C")
    )
    await stage.settle()

    assert before.events == [Before.Sold(number=1, stand=each) for each in "ABC"]  # a new field is ignored
    assert after.events == [
        After.Sold(number=1, place="A"),  # the field's former name, and the default of the one that was added
        After.Sold(number=1, place="B", price=5),
        After.Sold(number=1, place="C"),
    ]
    assert await stage.owed() == []


async def test_who_needs_a_field_that_was_removed_has_a_dead_letter_that_names_it_and_nobody_else(stage: Stage) -> None:
    before, later = Hearing(stage, "before", Before.Sold), Hearing(stage, "later", Later.Sold)
    await stage.start()
    await stage.publish(Before.Sold(number=1, stand="A"), Later.Sold(number=1), Before.Sold(number=1, stand="C"))
    await stage.settle()
    [letter] = await stage.letters()

    assert later.events == [Later.Sold(number=1)] * 3
    assert before.events == [Before.Sold(number=1, stand="A"), Before.Sold(number=1, stand="C")]
    assert (letter.subscriber, letter.type) == ("before", "fair.v1.Sold")
    assert "as before knows it: stand: is required" in (letter.error or "")
    assert "change the class so that it reads old events too, then redrive" in (letter.error or "")


async def test_a_type_that_a_release_handles_no_more_is_a_dead_letter_with_a_sentence(
    stage: Stage, tmp_path: Path, url: str
) -> None:
    async def fail(_: Any) -> None:
        raise RuntimeError("down")

    stage.subscriber("reader", Booked, Noted).before = fail
    await stage.start()
    await stage.publish(Noted(number=1))
    await stage.emitted(DeliveryRetried)
    await stage.vanish()

    again = Stage(tmp_path, bus_for(url, system="suite"), stage.clock)
    again.subscriber("reader", Booked)
    await again.start()
    await stage.clock.advance(PATIENT.cap)
    await again.emitted(DeadLettered)
    [letter] = await again.letters()
    await again.stop()

    assert letter.type == "suite.v1.Noted"
    assert "reader has no handler for suite.v1.Noted: add one with @on" in (letter.error or "")
