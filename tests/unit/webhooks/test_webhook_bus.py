"""A bus with subscribers outside does all that it does without them, and hands those what is theirs."""

from collections.abc import Callable

import pytest

from meristem.events.bus import Bus
from meristem.events.direct import DirectBus
from meristem.events.facts import Away, Delivered
from meristem.events.policy import DeliveryPolicy
from meristem.testing import ManualClock
from meristem.webhooks.posting import Poster
from meristem.webhooks.webhook import Webhook
from meristem.webhooks.webhook_bus import WebhookBus, WebhookTerms
from tests.suites.bus import Booked, BusSuite, Stage
from tests.suites.hook import Answer, Hook

TERMS = {"crm": WebhookTerms(["suite.v1.Book*", "else.v1.Booked"], DeliveryPolicy(attempts=2))}


class TestWebhookBus(BusSuite):
    @pytest.fixture
    def url(self) -> str:
        return "direct"

    @pytest.fixture
    def make_bus(self) -> Callable[[], Bus]:
        return lambda: WebhookBus(DirectBus(), {"crm": WebhookTerms(["no.such.Type"], DeliveryPolicy())}, {})


async def test_one_that_was_taken_out_is_owed_its_events_until_it_is_back(tmp_path) -> None:
    hook, clock = Hook(), ManualClock()
    hook.start()
    stage = Stage(tmp_path, WebhookBus(DirectBus(), TERMS, {}), clock)
    await stage.start()
    await stage.publish(Booked(guest="ada", number=1))
    await stage.stop()
    crm = Webhook("crm", Poster(hook.url, None), binary=True, timeout=10)
    stage = Stage(tmp_path, WebhookBus(DirectBus(), TERMS, {"crm": crm}), clock)
    await stage.start()
    await stage.emitted(Delivered)
    await stage.stop()
    hook.stop()
    assert [each.body for each in hook.posted] == [b'{"guest":"ada","number":1}']


async def test_all_its_events_pause_for_as_long_as_it_asks_and_no_attempt_is_counted(tmp_path) -> None:
    hook, clock = Hook(), ManualClock()
    hook.start()
    hook.answers += [Answer(503, headers=[("retry-after", "60")])]
    crm = Webhook("crm", Poster(hook.url, None), binary=True, timeout=10)
    stage = Stage(tmp_path, WebhookBus(DirectBus(), TERMS, {"crm": crm}), clock)
    await stage.start()
    await stage.publish(Booked(guest="ada", number=1))
    [away] = await stage.emitted(Away)
    assert (away.subscriber, away.delay, away.reason) == ("crm", 60.0, "crm answered 503")
    await stage.publish(Booked(guest="bob", number=2))
    await clock.advance(59)
    assert len(hook.posted) == 1
    await clock.advance(1)
    assert [each.attempt for each in await stage.emitted(Delivered, 2)] == [1, 1]
    await stage.stop()
    hook.stop()
