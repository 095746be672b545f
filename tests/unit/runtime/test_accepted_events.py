"""Events from outside: which are declared, who must be able to prove a role, and what a sender is told of an outage."""

from typing import Any

import msgspec
import pytest

from meristem import CallError, Code, ContractError, Event, Identity, Service, System, WiringError, on
from meristem.context import CURRENT, Context
from meristem.contracts.about import About
from meristem.errors import StorageUnavailable, Undeliverable
from meristem.events.bus import BROKER, SubscriberAway
from meristem.events.cloudevents import read_json
from meristem.events.direct import DirectBus
from meristem.events.envelope import Envelope
from meristem.events.policy import DeliveryPolicy
from meristem.runtime.accepted_events import AcceptedEventStore
from meristem.system.asyncapi import document
from meristem.system.blueprint import Blueprint
from meristem.system.event_flow import event_classes, flows_of
from meristem.system.placement import Placement
from meristem.system.placement_tables import EventsTable, EventSubscriber
from meristem.webhooks.event_intake import AcceptedEvents


class Arrived(Event, package="outside.v1", accepts_from="carrier"):
    parcel: str


class ArrivedLate(Arrived):
    """Derived from one that is accepted."""


class Left(Event, package="outside.v1"):
    parcel: str


class PostService(Service):
    @on(Arrived)
    async def arrived(self, event: Arrived) -> None: ...

    @on(ArrivedLate)
    async def late(self, event: ArrivedLate) -> None: ...

    @on(Left)
    async def left(self, event: Left) -> None: ...


async def authenticate(_: str) -> Identity | None:
    return None


def test_what_is_accepted_stands_in_the_class_and_is_not_inherited():
    blueprint = Blueprint(System("post", services=[PostService], authenticate=authenticate))
    assert blueprint.accepted_events() == {"outside.v1.Arrived": Arrived}
    assert (Arrived.accepted_roles, ArrivedLate.accepted_roles) == (("carrier",), ())
    with pytest.raises(ContractError, match="name a role"):
        type(Event)("Lost", (Event,), {"__annotations__": {}}, package="x.v1", accepts_from=("",))


def test_a_system_in_which_nobody_can_prove_a_role_does_not_start():
    with pytest.raises(WiringError, match=r"authenticate=…"):
        Blueprint(System("post", services=[PostService]))


def test_the_asyncapi_document_says_from_whom_and_where():
    placement = Placement(
        events=EventsTable({"crm": EventSubscriber(url="https://crm.example/", types=("outside.*",))})
    )
    blueprint = Blueprint(System("post", services=[PostService], authenticate=authenticate), placement)
    classes, _ = event_classes(blueprint)
    ours = {name: each for name, each in classes.items() if name.startswith("outside.v1.")}
    flows = [each for each in flows_of(blueprint, classes) if each.type in ours]
    assert [(each.type, each.accepted_from, each.webhooks) for each in flows] == [
        ("outside.v1.Arrived", ("carrier",), ("crm",)),
        ("outside.v1.ArrivedLate", (), ("crm",)),
        ("outside.v1.Left", (), ("crm",)),
    ]
    told = msgspec.json.decode(document(flows, ours, name="post", about=About()))["operations"]
    assert {name: each["summary"] for name, each in told.items()} == {
        "receive.outside.v1.Arrived": "heard by post; accepted by POST /cloudevents from users with the role carrier",
        "receive.outside.v1.ArrivedLate": "heard by post",
        "receive.outside.v1.Left": "heard by post",
    }


class Stand:
    """A store over services and a broker that fail as a test says."""

    def __init__(self, **failing: Exception) -> None:
        self.kept: dict[str, list[str]] = {"a": [], "b": []}
        self.failing = failing
        bus = DirectBus()
        for name in self.kept:
            bus.forward(name, {"t.Both": DeliveryPolicy(), f"t.{name}": DeliveryPolicy()}, None)  # type: ignore[arg-type]
        self.store = AcceptedEventStore(bus, self.keep, {"t.Both": ["a", "b"]})

    async def keep(self, service: str, destination: str, events: Any) -> None:
        if service in self.failing:
            raise self.failing[service]
        self.kept[service] += [read_json(each).id for each in events]

    async def accept(self, *types: str) -> None:
        events = [Envelope(id=str(at), source="/x", type=each) for at, each in enumerate(types)]
        token = CURRENT.set(Context(user=Identity("dhl")))
        try:
            await self.store.accept(AcceptedEvents(events))
        finally:
            CURRENT.reset(token)


async def test_each_subscriber_is_given_its_events_in_their_order():
    stand = Stand()
    await stand.accept("t.Both", "t.a", "t.b", "t.Both")
    assert stand.kept == {"a": ["0", "1", "3"], "b": ["0", "2", "3"]}


@pytest.mark.parametrize(
    "failure",
    [SubscriberAway("gone"), StorageUnavailable("locked"), CallError(Code.UNAVAILABLE, "secret"), TimeoutError()],
)
async def test_a_subscriber_that_is_away_is_told_to_the_sender_who_has_to_come_again(failure: Exception):
    stand = Stand(b=failure)
    with pytest.raises(CallError, match=r"of the 3 events of the batch \[0\], \[2\] are not durable yet") as caught:
        await stand.accept("t.Both", "t.a", "t.b")
    assert (caught.value.code, caught.value.retry_after) == (Code.UNAVAILABLE, 1.0)
    assert stand.kept["a"] == ["0", "1"]


async def test_a_sender_comes_again_when_the_subscriber_has_asked_for_it():
    stand = Stand(b=CallError(Code.RESOURCE_EXHAUSTED, "full", retry_after=30.0))
    with pytest.raises(CallError) as caught:
        await stand.accept("t.b")
    assert (caught.value.code, caught.value.retry_after) == (Code.UNAVAILABLE, 30.0)


async def test_a_bug_is_not_an_outage():
    with pytest.raises(KeyError):
        await Stand(b=KeyError("x")).accept("t.b")


async def test_what_a_broker_never_takes_is_refused():
    stand = Stand()

    class Broken(DirectBus):
        def destinations(self, event_type: str) -> tuple[str, ...]:
            return (f"{BROKER}nats",)

        async def publish(self, envelope: Envelope, destination: str, *, is_new: bool = False) -> None:
            raise Undeliverable("too large")

    stand.store = AcceptedEventStore(Broken(), stand.keep, {})
    with pytest.raises(CallError, match="takes none so large") as caught:
        await stand.accept("t.a")
    assert caught.value.code is Code.INVALID_ARGUMENT
