"""What a process reaches by wire: services that live in other processes, and systems of other teams."""

from __future__ import annotations

from collections import ChainMap
from typing import TYPE_CHECKING, Any, cast

from meristem.contracts.contract import operations
from meristem.errors import WiringError
from meristem.lifecycle import Background
from meristem.resilience.policies import Policies
from meristem.runtime.deliveries import Deliveries, patient, sender
from meristem.runtime.dependency import Dependency
from meristem.runtime.outward import external_dependency, is_called_by
from meristem.services.service import is_contract

if TYPE_CHECKING:
    from collections.abc import Mapping

    from meristem.events.bus import Bus
    from meristem.lifecycle import Stack
    from meristem.runtime.clients import Clients
    from meristem.runtime.options import Options
    from meristem.runtime.telemetry import ProcessTelemetry
    from meristem.system.blueprint import Blueprint
    from meristem.system.plan import ServicePlan


class ReachedParts:
    """The ways out of one process: `dependencies` lead to services of the system, `deliveries` bring them events.

    Ways to systems of other teams are apart: what is told to the other processes, or handed on to them for callers
    outside, is none of theirs.
    """

    def __init__(
        self, blueprint: Blueprint, process: str, options: Options, telemetry: ProcessTelemetry, bus: Bus
    ) -> None:
        self.dependencies: dict[str, Dependency] = {}
        self.deliveries: dict[str, Deliveries] = {}
        self.closing = Background(f"connections of {process}")
        self._external: dict[str, Dependency] = {}
        self._blueprint = blueprint
        self._process = process
        self._options = options
        self._telemetry = telemetry
        self._bus = bus

    @property
    def ways(self) -> Mapping[str, Dependency]:
        """All of them, by the names of services and systems."""
        return ChainMap(self.dependencies, self._external)

    async def reach_service(self, service: ServicePlan, stack: Stack, clients: Clients) -> None:
        """Reach a service that lives elsewhere: call it, and owe it the events that it subscribed to."""
        resolver = self._options.resolver
        if resolver is None:
            raise WiringError(f"{service.name} lives in another process, and nothing here tells where")
        placement = self._blueprint.placement
        dependency = Dependency(
            service.name,
            resolver,
            placement.policies.get(service.name, Policies()),
            sign=self._options.sign,
            limits=placement.client,
            telemetry=self._telemetry,
            closing=self.closing,
            away=placement.supervision.away,
        )
        await stack.start(dependency)
        self.dependencies[service.name] = dependency
        if service.hears:
            known, contract = operations(Deliveries), cast("type[Any]", Deliveries)
            ways = {name: clients.limited(each, dependency.way(each, None)) for name, each in known.items()}
            deliveries = clients.over(contract, ways.__getitem__, None)
            # Its types of events are known from the plan: the class that hears them is never imported here.
            send = sender(service.kept_as, deliveries, service.hears)
            self._bus.forward(service.kept_as, patient(service.hears), send)
            self.deliveries[service.kept_as] = deliveries

    async def reach_systems(self, stack: Stack) -> None:
        """Reach the systems of other teams that this process may call."""
        faked = {contract.contract_name for contract in self._options.fakes if is_contract(contract)}
        for each in self._blueprint.plan.external:
            if each.contract not in faked and is_called_by(each, self._blueprint, self._process):
                made = external_dependency(each, self._blueprint, self._options, self._telemetry, self.closing)
                await stack.start(made)
                self._external[each.name] = made
