"""Which events a system has: who publishes them, who hears them, and the class of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meristem.config.project import explained
from meristem.contracts.message import Event
from meristem.errors import ConfigurationError
from meristem.events.adapters import bus_for
from meristem.events.policy import DEFAULT
from meristem.hints import meant
from meristem.system.placement_errors import SAID
from meristem.system.snapshots import OURS, events_of
from meristem.system.webhook_access import terms_of
from meristem.webhooks.webhook_bus import WebhookBus, WebhookTerms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from meristem.events.bus import Bus
    from meristem.events.envelope import Envelope
    from meristem.system.blueprint import Blueprint
    from meristem.system.plan import ServicePlan


class EventFlow(msgspec.Struct, frozen=True):
    """An event type, the services that publish it, and those that hear it.

    A service publishes an event if both their packages are one: what its code publishes is known only when it does.
    From outside it is `accepted_from` users with one of these roles, and `webhooks` hear it there.
    """

    type: str
    publishers: tuple[str, ...]
    subscribers: tuple[str, ...]
    accepted_from: tuple[str, ...] = ()
    webhooks: tuple[str, ...] = ()


def event_classes(blueprint: Blueprint) -> tuple[dict[str, type[Event]], dict[str, str]]:
    """The classes of a system's events by type; and by service, why its code can't be imported here."""
    unread: dict[str, str] = {}
    for service in blueprint.plan.services:
        try:
            blueprint.spec(service.name)
        except (Exception, SystemExit) as error:  # whatever a module of the project's raises while it is imported
            unread[service.name] = explained(error)
    return declared_events(), unread


def declared_events() -> dict[str, type[Event]]:
    """The classes of events in what this process has imported, by type."""
    found = {each.event_type: each for each in events_of(Event) if each.__module__.partition(".")[0] != OURS}
    found.pop("", None)  # a base of others that names no package
    return found


def check_webhooks(blueprint: Blueprint) -> None:
    """Raise ConfigurationError for a subscriber outside with a type that matches no event.

    It is known only where all services have been imported: elsewhere any type may be meant.
    """
    known = {*declared_events(), *blueprint.plan.subscribers()}
    if len(blueprint.specs) < len(blueprint.plan.services):
        return
    for name, each in blueprint.placement.events.subscribers.items():
        for wanted in each.types:
            terms = WebhookTerms([wanted], DEFAULT)
            if not any(map(terms.hears, known)):
                hint = meant(wanted, sorted(known), f"there are {', '.join(sorted(known)) or 'none'}")
                text = f"[events.subscribers.{name}]: types: {wanted!r} is no event of this system; {hint}"
                raise ConfigurationError(f"{SAID}{text}")


def flows_of(blueprint: Blueprint, classes: Mapping[str, type[Event]]) -> list[EventFlow]:
    """All events that the code declares or a service hears, by type."""
    heard = blueprint.plan.subscribers()
    webhooks = terms_of(blueprint.placement)
    return [
        EventFlow(
            each,
            owners(blueprint, each),
            heard.get(each, ()),
            classes[each].accepted_roles if each in classes and each in heard else (),
            tuple(name for name, terms in webhooks.items() if terms.hears(each)),
        )
        for each in sorted({*classes, *heard})
    ]


def owners(blueprint: Blueprint, event_type: str) -> tuple[str, ...]:
    """The services that have a contract in the package of an event, and a database to publish from."""
    package = event_type.rpartition(".")[0]
    return tuple(each.name for each in blueprint.plan.services if each.database and package in _packages(each))


def _packages(service: ServicePlan) -> set[str]:
    return {contract.rpartition(".")[0] for contract in service.contracts}


def bus_of(blueprint: Blueprint) -> Bus:
    """The system's bus, not started, for who looks or publishes from outside: it knows who hears what."""
    bus = bus_for(blueprint.placement.resources.bus, system=blueprint.system.name)
    for service in blueprint.plan.services:
        if service.hears:
            bus.forward(service.kept_as, service.hears, _refuse)
    return bus


def destinations_of(blueprint: Blueprint, event_type: str) -> Sequence[str]:
    """To whom an event is owed, webhooks included."""
    return WebhookBus(bus_of(blueprint), terms_of(blueprint.placement), {}).destinations(event_type)


async def _refuse(envelope: Envelope, *, is_new: bool = False) -> None:  # noqa: ARG001 - of `Receive`
    raise AssertionError("the relays of the system deliver, not who looks")
