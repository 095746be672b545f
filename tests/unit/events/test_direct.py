"""The direct bus: the port's suite, and what only it does."""

import pytest

from meristem.errors import WiringError
from meristem.events.direct import DirectBus
from meristem.events.policy import DeliveryPolicy
from tests.suites.bus import BusSuite


class TestDirectBus(BusSuite):
    @pytest.fixture
    def url(self) -> str:
        return "direct"


async def test_a_service_subscribes_once():
    async def receive(_, *, is_new):
        raise AssertionError

    bus = DirectBus()
    bus.subscribe("billing", {"shop.v1.Paid": DeliveryPolicy()}, receive)
    with pytest.raises(WiringError, match="subscribe once, with all its event types"):
        bus.subscribe("billing", {"shop.v1.Sent": DeliveryPolicy()}, receive)
