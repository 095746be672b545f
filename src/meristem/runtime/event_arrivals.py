"""How events come into a process: from the other processes of its system, and from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.events.cloudevents import read_json
from meristem.runtime.accepted_events import AcceptedEventStore
from meristem.runtime.deliveries import Postbox
from meristem.services.inbound import OperationEndpoint
from meristem.webhooks.event_intake import ACCEPT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from meristem.contracts.call import Handler
    from meristem.contracts.operation import Operation
    from meristem.events.bus import Bus
    from meristem.events.incoming_events import Incoming
    from meristem.resilience.timers import Deadlines
    from meristem.runtime.deliveries import Deliveries
    from meristem.runtime.instance import ServiceInstance
    from meristem.runtime.telemetry import ProcessTelemetry
    from meristem.system.blueprint import Blueprint


class EventArrivals:
    """Takes events in for the `instances` here, and hands on by `deliveries` what is for services elsewhere."""

    def __init__(
        self,
        blueprint: Blueprint,
        bus: Bus,
        instances: Mapping[str, ServiceInstance],
        deliveries: Mapping[str, Deliveries],
        telemetry: ProcessTelemetry,
    ) -> None:
        self._blueprint = blueprint
        self._bus = bus
        self._instances = instances
        self._deliveries = deliveries
        self._telemetry = telemetry

    def from_outside(self) -> Handler:
        """What answers `ACCEPT`."""
        plan = self._blueprint.plan
        hearers = {each: [plan.service(n).kept_as for n in names] for each, names in plan.subscribers().items()}
        return self._handler(ACCEPT, AcceptedEventStore(self._bus, self._keep, hearers).accept)

    def from_processes(
        self, operation: Operation, deadlines: Deadlines, resume: Callable[[Sequence[str]], None]
    ) -> Handler:
        """What answers an operation of `Deliveries`; `resume` is told which subscribers say that they are there."""
        there_are = self._instances.values()
        inboxes = {each.spec.kept_as: each.inbox for each in there_are if each.inbox is not None}
        receivers = {name: each.receive for name, each in inboxes.items()}
        policies = {name: each.policies for name, each in inboxes.items()}
        postbox = Postbox(receivers, policies, deadlines, resume, self._incoming())
        return self._handler(operation, getattr(postbox, operation.name))

    async def _keep(self, service: str, destination: str, events: Sequence[str]) -> None:
        """Store events in the outbox of a service, wherever it lives, owed to it or to a subscriber outside."""
        incoming = self._incoming().get(service)
        if incoming is not None:
            await incoming.keep(destination, [read_json(each) for each in events])
        else:
            await self._deliveries[service].keep(service, destination, [*events])

    def _incoming(self) -> dict[str, Incoming]:
        """What stores events for the services here that hear any, by the names under which these are kept."""
        found = ((each.spec.kept_as, each.incoming) for each in self._instances.values())
        return {name: incoming for name, incoming in found if incoming is not None}

    def _handler(self, operation: Operation, method: Callable[..., object]) -> Handler:
        observed, system = self._telemetry.serving("events", operation), self._blueprint.system.name
        return OperationEndpoint(operation, method, observed, system=system).handler
