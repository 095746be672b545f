"""The plan: a system and its placement as pure data, which everything that inspects or deploys reads."""

from __future__ import annotations

import inspect
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meristem.contracts.contract import operations
from meristem.errors import WiringError
from meristem.events.subscription import subscriptions
from meristem.sagas.saga import sagas_of
from meristem.services.service import Service, ServiceSpec, describe, is_database
from meristem.system.placement import Placement

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from meristem.contracts.contract import Contract
    from meristem.contracts.operation import Operation
    from meristem.system.system import System


class OperationPlan(msgspec.Struct, frozen=True):
    """An operation as others see it; one without a `timeout` is a stream that may last."""

    name: str
    path: str
    semantics: str
    timeout: float | None
    stream: bool
    http: str | None


class ServicePlan(msgspec.Struct, frozen=True):
    """A service, whom it calls and what it hears."""

    name: str
    module: str
    contracts: tuple[str, ...]
    operations: tuple[OperationPlan, ...]
    calls: tuple[str, ...]
    hears: tuple[str, ...]
    sagas: tuple[str, ...]
    database: bool


class AppPlan(msgspec.Struct, frozen=True):
    """A hosted application and its path."""

    name: str
    target: str
    mount: str


class ProgramPlan(msgspec.Struct, frozen=True):
    """A program that runs beside the services."""

    name: str
    command: tuple[str, ...]
    health: str | None = None
    environment: dict[str, str] = {}


class ProcessPlan(msgspec.Struct, frozen=True):
    """A process and what lives in it."""

    name: str
    services: tuple[str, ...]
    apps: tuple[str, ...]
    replicas: int = 1
    port: int | None = None
    overlap: bool = True


class Plan(msgspec.Struct, frozen=True):
    """The whole system; services stand in the order in which they start."""

    system: str
    services: tuple[ServicePlan, ...]
    apps: tuple[AppPlan, ...]
    programs: tuple[ProgramPlan, ...]
    processes: tuple[ProcessPlan, ...]

    def subscribers(self) -> dict[str, tuple[str, ...]]:
        """The services that hear each event, by event type."""
        heard: dict[str, tuple[str, ...]] = {}
        for service in self.services:
            for event in service.hears:
                heard[event] = (*heard.get(event, ()), service.name)
        return heard

    def process_of(self, part: str) -> ProcessPlan:
        """The process in which a service or app lives."""
        return next(each for each in self.processes if part in (*each.services, *each.apps))


class Blueprint:
    """A system understood: its plan, and the classes behind the plan.

    A test fakes the contracts in `assumed`: no service has to implement them.
    """

    def __init__(self, system: System, placement: Placement | None = None, *, assumed: Collection[type] = ()) -> None:
        self.system = system
        self.placement = placement or Placement()
        specs = [self._governed(describe(service)) for service in system.services]
        self.owner = _owners(specs, assumed)
        self.specs = {spec.name: spec for spec in _in_start_order(specs, self.owner)}
        self.plan = self._plan()

    def operations(self, contract: type[Contract]) -> Mapping[str, Operation]:
        """The operations of a contract by name, on the terms that the placement gives them."""
        known = operations(contract)
        owner = self.owner.get(contract)
        return known if owner is None else {name: self.specs[owner].operations[name] for name in known}

    def _governed(self, spec: ServiceSpec) -> ServiceSpec:
        return msgspec.structs.replace(spec, operations=self.placement.governed(spec.name, spec.operations))

    def _plan(self) -> Plan:
        system = self.system
        services = tuple(_service_plan(spec, self.owner) for spec in self.specs.values())
        apps = tuple(AppPlan(each.name, str(each.target), each.mount) for each in system.apps)
        programs = tuple(
            ProgramPlan(each.name, tuple(each.command), each.health, dict(each.environment)) for each in system.programs
        )
        placed = self.placement.place([each.name for each in services], [each.name for each in apps])
        processes = tuple(
            ProcessPlan(each.name, each.services, each.apps, each.replicas, each.port, each.overlap) for each in placed
        )
        return Plan(system.name, services, apps, programs, processes)


def _service_plan(spec: ServiceSpec, owner: Mapping[type[Contract], str]) -> ServicePlan:
    sagas = sagas_of(spec.implementation)
    heard = {event.event_type for event in subscriptions(spec.implementation)}
    heard |= {event.event_type for saga in sagas.values() for event in saga.waits}
    return ServicePlan(
        spec.name,
        spec.implementation.__module__,
        tuple(contract.contract_name for contract in spec.contracts),
        tuple(_operation_plan(operation) for operation in spec.operations.values()),
        tuple(dict.fromkeys(owner[contract] for contract in spec.calls if contract in owner)),
        tuple(sorted(heard)),
        tuple(sagas),
        needs_database(spec),
    )


def _operation_plan(operation: Operation) -> OperationPlan:
    http = None if operation.http is None else f"{operation.http.verb} {operation.http.path}"
    semantics = operation.semantics.value
    timeout = operation.timeout if operation.timeout < inf else None
    return OperationPlan(operation.name, operation.path, semantics, timeout, operation.stream, http)


def needs_database(spec: ServiceSpec) -> bool:
    """Whether the service keeps anything: its own tables, answers, events heard or sagas."""
    own = any(is_database(need.type) for need in spec.all_needs())
    service = spec.implementation
    return own or spec.answers_once or bool(subscriptions(service)) or bool(sagas_of(service))


def _owners(specs: list[ServiceSpec], assumed: Collection[type]) -> dict[type[Contract], str]:
    owner: dict[type[Contract], str] = {}
    for spec in specs:
        for contract in spec.contracts:
            if contract in owner:
                raise WiringError(
                    f"{contract.__name__} is implemented by both {owner[contract]!r} and {spec.name!r}; keep one"
                )
            owner[contract] = spec.name
    for spec in specs:
        for contract in spec.calls:
            if contract not in owner and contract not in assumed:
                raise WiringError(
                    f"{spec.name} asks for {contract.__name__}, but no service of the system implements it; "
                    f"add one to services=[...]"
                )
    return owner


def _in_start_order(specs: list[ServiceSpec], owner: Mapping[type[Contract], str]) -> list[ServiceSpec]:
    """Those who are called before those who call; raises WiringError that draws a cycle."""
    by_name = {spec.name: spec for spec in specs}
    ordered: dict[str, ServiceSpec] = {}

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            circle = " → ".join([*path[path.index(name) :], name])
            raise WiringError(
                f"services call each other in a circle: {circle}; let one of them hear the other's events instead"
            )
        if name in ordered:
            return
        for contract in by_name[name].calls:
            if contract in owner:
                visit(owner[contract], [*path, name])
        ordered[name] = by_name[name]

    for name in by_name:
        visit(name, [])
    return list(ordered.values())


def migrations_of(service: type[Service]) -> Path:
    """The folder in which the service's module keeps its migrations; it need not exist."""
    return Path(inspect.getfile(service)).parent / "migrations" / "versions"
