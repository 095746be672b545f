"""A system understood: its plan, and the classes of those services that live in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meristem.contracts.contract import operations
from meristem.errors import WiringError
from meristem.services.service import describe
from meristem.system.description import (
    contract_at,
    description,
    events_of,
    one_class_each,
    operation_plan,
    service_named,
)
from meristem.system.placement import Placement
from meristem.system.plan import AppPlan, Plan, ProcessPlan, ProgramPlan
from meristem.system.system import check_parts

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from meristem.contracts.contract import Contract
    from meristem.contracts.message import Event
    from meristem.contracts.operation import Operation
    from meristem.services.service import Service, ServiceSpec
    from meristem.system.plan import ServicePlan
    from meristem.system.system import System


class Blueprint:
    """A system understood: its plan, and the classes behind those parts of it that live here.

    `described` holds services that the system names by text: such a class is imported when `spec` is asked for it,
    so never where it does not live. What is not described is imported at once. A test fakes the contracts in
    `assumed`: no service has to implement them. `specs` are the services whose class is known by now.
    """

    def __init__(
        self,
        system: System,
        placement: Placement | None = None,
        *,
        assumed: Collection[type[Contract]] = (),
        described: Mapping[str, ServicePlan] | None = None,
    ) -> None:
        self.system = system
        self.placement = placement or Placement()
        self.specs: dict[str, ServiceSpec] = {}
        self._operations: dict[str, Mapping[str, Operation]] = {}
        self._events: dict[str, type[Event]] = {}
        services = [self._understood(each, described or {}) for each in system.services]
        # Once more than in `System`: what a service named by text is called is known only now.
        check_parts(system, [each.name for each in services])
        self._owner = _owners(services, {contract.contract_name for contract in assumed})
        self._services = {each.name: each for each in services}
        self.plan = self._plan(_in_start_order(services, self._owner))

    def spec(self, service: str) -> ServiceSpec:
        """The service understood, its class imported: for the process in which it lives."""
        found = self.specs.get(service)
        return found if found is not None else self._read(service_named(self._services[service].target))

    def owner_of(self, contract: type[Contract]) -> str | None:
        """The service that implements a contract."""
        return self._owner.get(contract.contract_name)

    def contracts_of(self, service: str) -> tuple[type[Contract], ...]:
        """The contracts of a service; its own class is not imported for them."""
        if service in self.specs:
            return self.specs[service].contracts
        return tuple(contract_at(path, service) for path in self._services[service].contracts.values())

    def contracts(self) -> tuple[type[Contract], ...]:
        """All contracts of the system, in the order in which it names the services."""
        return tuple(contract for service in self._services for contract in self.contracts_of(service))

    def operations_of(self, service: str) -> Mapping[str, Operation]:
        """The operations of a service by name, on the terms that the placement gives them."""
        if service in self.specs:
            return self.specs[service].operations
        if service not in self._operations:
            known = {n: each for contract in self.contracts_of(service) for n, each in operations(contract).items()}
            self._operations[service] = self.placement.governed(service, known)
        return self._operations[service]

    def operations(self, contract: type[Contract]) -> Mapping[str, Operation]:
        """The operations of a contract by name, on the terms that the placement gives them."""
        known = operations(contract)
        owner = self.owner_of(contract)
        return known if owner is None else {name: self.operations_of(owner)[name] for name in known}

    def _understood(self, service: type[Service] | str, described: Mapping[str, ServicePlan]) -> ServicePlan:
        if isinstance(service, str) and service in described:
            return described[service]
        return description(self._read(service_named(service) if isinstance(service, str) else service))

    def _read(self, service: type[Service]) -> ServiceSpec:
        spec = describe(service)
        # Across services, too: an event of one type from two classes would be read by whichever was met first.
        self._events = one_class_each(self._events, events_of(service).values())
        governed = self.placement.governed(spec.name, spec.operations)
        found = self.specs[spec.name] = msgspec.structs.replace(spec, operations=governed)
        return found

    def _plan(self, ordered: Iterable[ServicePlan]) -> Plan:
        system = self.system
        services = tuple(self._placed(each) for each in ordered)
        apps = tuple(AppPlan(each.name, str(each.target), each.mount) for each in system.apps)
        programs = tuple(
            ProgramPlan(each.name, tuple(each.command), each.health, dict(each.environment)) for each in system.programs
        )
        placed = self.placement.place([each.name for each in services], [each.name for each in apps])
        processes = tuple(msgspec.convert(each, ProcessPlan, from_attributes=True) for each in placed)
        return Plan(system.name, services, apps, programs, processes, system.api)

    def _placed(self, service: ServicePlan) -> ServicePlan:
        """The service in this system: whom it calls, and its operations on the placement's terms."""
        calls = tuple(dict.fromkeys(self._owner[each] for each in service.asks if each in self._owner))
        known = service.operations
        # Contracts are imported only where a policy changes their terms; the description holds the others.
        if service.name in self.placement.policies and self.placement.policies[service.name].operations:
            known = tuple(operation_plan(each) for each in self.operations_of(service.name).values())
        return msgspec.structs.replace(service, calls=calls, operations=known)


def _owners(services: list[ServicePlan], assumed: Collection[str]) -> dict[str, str]:
    """Who implements each contract, by its name."""
    owner: dict[str, str] = {}
    for service in services:
        for contract in service.contracts:
            if contract in owner:
                raise WiringError(
                    f"{_short(contract)} is implemented by both {owner[contract]!r} and {service.name!r}; keep one"
                )
            owner[contract] = service.name
    owner |= _heirs(services, owner)
    for service in services:
        for contract in service.asks:
            if contract not in owner and contract not in assumed:
                raise WiringError(
                    f"{service.name} asks for {_short(contract)}, but no service of the system implements it; "
                    f"add one to services=[...]"
                )
    return owner


def _heirs(services: list[ServicePlan], owner: Mapping[str, str]) -> dict[str, str]:
    """Who answers for a contract that others are derived from: where nobody implements it itself, its one heir."""
    heirs: dict[str, list[str]] = {}
    for service in services:
        for contract in service.inherits:
            heirs.setdefault(contract, []).append(service.name)
    # Of two heirs none: which of them a caller means cannot be told.
    return {name: found[0] for name, found in heirs.items() if len(found) == 1 and name not in owner}


def _short(contract: str) -> str:
    return contract.rpartition(".")[2]


def _in_start_order(services: list[ServicePlan], owner: Mapping[str, str]) -> list[ServicePlan]:
    """Those who are called before those who call; raises WiringError that draws a cycle."""
    by_name = {each.name: each for each in services}
    ordered: dict[str, ServicePlan] = {}

    def visit(name: str, path: list[str]) -> None:
        # Before it is looked up among the ordered: a service of the circle gets there only when its visit has ended.
        if name in path:
            circle = " → ".join([*path[path.index(name) :], name])
            raise WiringError(
                f"services call each other in a circle: {circle}; let one of them hear the other's events instead"
            )
        if name in ordered:
            return
        for contract in by_name[name].asks:
            if contract in owner:
                visit(owner[contract], [*path, name])
        ordered[name] = by_name[name]

    for name in by_name:
        visit(name, [])
    return list(ordered.values())
