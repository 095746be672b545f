"""`@on`: what it accepts, what it refuses and what it says."""

import re
from typing import Any

import pytest

from meristem.contracts.message import Event
from meristem.errors import MisuseError
from meristem.events.policy import DeliveryPolicy
from meristem.events.subscription import on, subscriptions


class Cancelled(Event, package="shop.v1", key="order"):
    order: str


class Paid(Event, package="shop.v1"):
    amount: int


class Billing:
    @on(Cancelled)
    async def refund(self, event: Cancelled) -> None: ...

    @on(Paid, attempts=3, timeout=2.0)
    async def book(self, event: Paid) -> None: ...


def test_a_service_tells_which_method_handles_which_event():
    found = subscriptions(Billing)
    assert {event: each.method for event, each in found.items()} == {Cancelled: "refund", Paid: "book"}
    assert found[Cancelled].policy == DeliveryPolicy()
    assert found[Paid].policy == DeliveryPolicy(attempts=3, timeout=2.0)


def test_a_subclass_may_override_a_handler_and_keeps_the_others():
    class Special(Billing):
        @on(Cancelled, attempts=2)
        async def refund(self, event: Cancelled) -> None: ...

    found = subscriptions(Special)
    assert found[Cancelled].policy.attempts == 2
    assert found[Paid].method == "book"


def test_one_method_may_handle_two_events():
    class Audit:
        @on(Cancelled)
        @on(Paid)
        async def note(self, event: Cancelled | Paid) -> None: ...

    assert set(subscriptions(Audit)) == {Cancelled, Paid}


def test_two_handlers_of_one_event_are_refused_by_name():
    class Twice:
        @on(Cancelled)
        async def refund(self, event: Cancelled) -> None: ...

        @on(Cancelled)
        async def tell(self, event: Cancelled) -> None: ...

    with pytest.raises(MisuseError, match="Twice: refund and tell both handle Cancelled"):
        subscriptions(Twice)


def test_a_handler_must_be_async():
    with pytest.raises(MisuseError, match=r"refund, @on\(Cancelled\): declare it `async def`"):

        class Wrong:
            @on(Cancelled)  # type: ignore[arg-type]
            def refund(self, event: Cancelled) -> None: ...


def test_a_handler_takes_the_event_alone():
    with pytest.raises(MisuseError, match=r"`async def refund\(self, event: Cancelled\) -> None`"):

        class Wrong:
            @on(Cancelled)  # type: ignore[arg-type]
            async def refund(self, event: Cancelled, more: int) -> None: ...


class Confused:
    @on(Cancelled)  # type: ignore[arg-type]
    async def refund(self, event: Paid) -> None: ...


class Forgetful:
    @on(Cancelled)
    async def refund(self, event): ...


@pytest.mark.parametrize("service", [Confused, Forgetful])
def test_the_annotation_must_fit_the_event(service):
    with pytest.raises(MisuseError, match=r"refund: its parameter 'event' .* write `event: Cancelled`"):
        subscriptions(service)


@pytest.mark.parametrize("wrong", [Event, int, "Cancelled"])
def test_only_an_event_class_can_be_subscribed_to(wrong: Any):
    with pytest.raises(MisuseError, match="name a class derived from Event"):
        on(wrong)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"attempts": 0}, "attempts = 0; give at least 1"),
        ({"attempts": 2.5}, "attempts = 2.5: expected `int`, got `float`"),
        ({"attempts": "3"}, "attempts = '3': expected `int`, got `str`"),
        ({"timeout": 0}, "timeout = 0; give more than 0 seconds"),
        ({"timeout": float("nan")}, "timeout = nan; give more than 0 seconds"),
        ({"timeout": float("inf")}, "timeout = inf; give more than 0 seconds, and finite"),
        ({"base": -1.0}, "base = -1.0; give 0 seconds or more"),
        ({"base": 5.0, "cap": 1.0}, "base = 5.0 is above cap = 1.0; give base <= cap"),
        ({"attempts": 10**6}, "must stay below 7 days"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_where_the_class_is_defined(wrong: Any, said):
    with pytest.raises(MisuseError, match=r"Wrong\.refund, @on\(Cancelled\): .*" + re.escape(said)):

        class Wrong:
            @on(Cancelled, **wrong)
            async def refund(self, event: Cancelled) -> None: ...


def test_the_pause_grows_and_is_capped():
    policy = DeliveryPolicy(base=1.0, cap=10.0)
    assert all(0 <= policy.delay(failures) <= min(10, 2**failures) for failures in range(50) for _ in range(20))
    assert max(policy.delay(20) for _ in range(200)) > 5
