"""Events between processes: what a wire carries, and what it does not."""

from datetime import UTC, datetime

from meristem.context import EMPTY
from meristem.contracts.message import Event
from meristem.events.envelope import enclose
from meristem.runtime.deliveries import Postbox, sender


class Paid(Event, package="shop.v1"):
    number: int


async def test_that_an_event_is_new_is_believed_within_its_process_alone():
    """Another process may have been handed the event by an attempt that its sender has forgotten."""
    taken = []

    async def receive(envelope, *, is_new=False):
        taken.append((envelope, is_new))

    envelope = enclose(Paid(number=1), "//shop/payments", datetime(2030, 1, 1, tzinfo=UTC), EMPTY)
    send = sender("billing", Postbox({"billing": receive}))
    await send(envelope, is_new=True)
    assert taken == [(envelope, False)]
