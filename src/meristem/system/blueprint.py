"""A system understood: its plan, and the classes of those services that live in this process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from meristem.contracts.contract import operations
from meristem.errors import ConfigurationError, WiringError
from meristem.resilience.policies import Policies
from meristem.services.service import describe
from meristem.system.addresses import edge, with_edge
from meristem.system.apart import processes_of
from meristem.system.beside import path_text
from meristem.system.databases import DataPlace, check_databases, database_url, replica_urls
from meristem.system.description import (
    contract_at,
    description,
    event_at,
    events_of,
    one_class_each,
    operation_plan,
    path_of,
    service_named,
)
from meristem.system.gateway_parts import check_gateway
from meristem.system.named_parts import parts_named
from meristem.system.placement import Placement
from meristem.system.plan import AppPlan, ExternalPlan, Plan, ProcessPlan, ProgramPlan
from meristem.system.program_templates import check
from meristem.system.system import NAME, check_parts, external_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from meristem.contracts.contract import Contract
    from meristem.contracts.message import Event
    from meristem.contracts.operation import Operation
    from meristem.services.service import Service, ServiceSpec
    from meristem.system.beside import App, Program
    from meristem.system.plan import ServicePlan
    from meristem.system.system import System
    from meristem.transports.grpc.grpc_port import GrpcPort


class MisfitError(WiringError):
    """Services of the system do not fit one another; `services` names those that it is about."""

    def __init__(self, text: str, services: Sequence[str]) -> None:
        super().__init__(text)
        self.services = services


class Blueprint:
    """A system understood: its plan, and the classes behind those parts of it that live here.

    `described` holds services that the system names by text: such a class is imported when `spec` is asked for it,
    so never where it does not live. What is not described is imported at once. A test fakes the contracts in
    `assumed`: no service has to implement them. `specs` are the services whose class is known by now. `directory` is
    the project's folder, below which relative paths of databases are.
    """

    def __init__(
        self,
        system: System,
        placement: Placement | None = None,
        *,
        assumed: Collection[type[Contract]] = (),
        described: Mapping[str, ServicePlan] | None = None,
        directory: Path | None = None,
    ) -> None:
        self.system = system
        self.placement = placement or Placement()
        self.specs: dict[str, ServiceSpec] = {}
        self._operations: dict[str, Mapping[str, Operation]] = {}
        self._events: dict[str, type[Event]] = {}
        services = [self._understood(each, described or {}) for each in system.services]
        # Once more than in `System`: what a service named by text is called is known only now.
        check_parts(system, [each.name for each in services])
        self._services = {each.name: each for each in services}
        _check_renamed(services)
        try:
            self._external = {contract.contract_name: external_name(contract) for contract in system.external}
            self._owner = _owners(services, {contract.contract_name for contract in assumed}, self._external)
            self.plan = self._plan(_in_start_order(services, self._owner))
        except MisfitError as error:
            error.subjects = tuple(self.specs[each].implementation for each in error.services if each in self.specs)
            raise
        self.placement.check_subscribers(each.kept_as for each in self.plan.services)
        if self.plan.accepts_events and system.authenticate is None:
            accepted = next(name for service in self.plan.services for name in service.accepted)
            raise WiringError(
                f"{system.name}: {accepted} is accepted from outside, and nobody can prove to have its role; "
                "give System(authenticate=…), or take accepts_from= off the event"
            )
        kept = [each for each in self.plan.services if each.database]
        check_databases(self.placement.resources, system.name, kept, directory or Path())

    def spec(self, service: str) -> ServiceSpec:
        """The service understood, its class imported: for the process in which it lives."""
        found = self.specs.get(service)
        return found if found is not None else self._read(service_named(self._services[service].target))

    def owner_of(self, contract: type[Contract]) -> str | None:
        """The service that implements a contract."""
        return self._owner.get(contract.contract_name)

    def external_of(self, contract: type[Contract]) -> str | None:
        """The external system that implements a contract."""
        return self._external.get(contract.contract_name)

    def contracts_of(self, service: str) -> tuple[type[Contract], ...]:
        """The contracts of a service; its own class is not imported for them."""
        if service in self.specs:
            return self.specs[service].contracts
        return tuple(contract_at(path, service) for path in self._services[service].contracts.values())

    def contracts(self) -> tuple[type[Contract], ...]:
        """All contracts of the system, in the order in which it names the services."""
        return tuple(contract for service in self._services for contract in self.contracts_of(service))

    def accepted_events(self) -> dict[str, type[Event]]:
        """The classes of the events that are accepted from outside, by type; no service's class is imported for them.

        Raises ConfigurationError for one that can't be imported here, WiringError for two of one type.
        """
        events = [event_at(path, each.name) for each in self.plan.services for path in each.accepted.values()]
        return one_class_each({}, events)

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
        if owner is None:
            outside = self.external_of(contract)
            return known if outside is None else self.placement.governed(outside, known)
        return {name: self.operations_of(owner)[name] for name in known}

    def database_url(self, service: str, template: str | None = None) -> str:
        """The URL of a service's database, by the `template` or the placement, which may say another for this service.

        A relative path in it is one below the project's folder. Raises ConfigurationError for a name that is none.
        """
        return database_url(self.placement.resources, self.system.name, self.plan.service(service), template)

    def data_place(self, service: str, template: str | None = None) -> DataPlace:
        """As `database_url`, with the replicas that are read from; a database by a `template` has none."""
        return DataPlace(self.database_url(service, template), () if template else self.replica_urls(service))

    def replica_urls(self, service: str) -> tuple[str, ...]:
        """The URLs of the read replicas of a service's database."""
        return replica_urls(self.placement.resources, self.system.name, self.plan.service(service))

    @property
    def has_replicas(self) -> bool:
        """Whether some database has read replicas: then it is followed what callers wrote, so that they read it."""
        return any(self.replica_urls(each.name) for each in self.plan.services if each.database)

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
        apps, programs = tuple(map(_app_plan, system.apps)), tuple(map(_program_plan, system.programs))
        beside = {each.name for part in (apps, programs) for each in part}
        apps = tuple(msgspec.structs.replace(each, uses=self._written(each.name, beside)) for each in apps)
        services = tuple(self._placed(each, beside) for each in ordered)
        external = tuple(self._outside(contract, address) for contract, address in system.external.items())
        named, hosted, outside = ([each.name for each in part] for part in (services, apps, external))
        placed = self.placement.place(named, hosted, outside, processes_of(apps))
        processes = tuple(msgspec.convert(each, ProcessPlan, from_attributes=True) for each in placed)
        plan = with_edge(Plan(system.name, services, apps, programs, processes, system.api, external))
        check(plan)
        check_gateway(self.placement.gateway, plan)
        if twice := {each.name for each in plan.processes} & {each.name for each in programs}:
            raise ConfigurationError(
                f"placement: a process and a program are named {min(twice)!r}; give one another name"
            )
        return plan if self.placement.grpc is None else _with_port(plan, self.placement.grpc)

    def _outside(self, contract: type[Contract], address: str) -> ExternalPlan:
        known = tuple(operation_plan(each) for each in self.operations(contract).values())
        return ExternalPlan(external_name(contract), contract.contract_name, path_of(contract), address, known)

    def _written(self, part: str, beside: Collection[str]) -> tuple[str, ...]:
        """The apps and programs that the placement's settings of a service or app name."""
        return tuple(each for each in parts_named(self.placement.written_settings(part)) if each in beside)

    def _placed(self, service: ServicePlan, beside: Collection[str]) -> ServicePlan:
        """The service in this system: whom it calls and uses, and its operations on the placement's terms."""
        calls = tuple(dict.fromkeys(self._owner[each] for each in service.asks if each in self._owner))
        known, policies = service.operations, self.placement.policies.get(service.name, Policies())
        # Contracts are imported only where a policy changes their terms; the description holds the others.
        if policies.operations:
            known = tuple(operation_plan(each) for each in self.operations_of(service.name).values())
        in_code = tuple(each for each in service.uses if each in beside)
        uses = tuple(dict.fromkeys((*in_code, *self._written(service.name, beside))))
        return msgspec.structs.replace(service, calls=calls, operations=known, transport=policies.transport, uses=uses)


def _app_plan(app: App) -> AppPlan:
    folder, python, requirements = map(path_text, (app.folder, app.python, app.requirements))
    return AppPlan(app.name, str(app.target), app.mount, folder, python, requirements)


def _program_plan(program: Program) -> ProgramPlan:
    command, environment = tuple(program.command), dict(program.environment)
    folder, port = path_text(program.folder), program.port
    return ProgramPlan(
        program.name, command, program.health, environment, folder, port, program.replicas, program.mount
    )


def _with_port(plan: Plan, port: GrpcPort) -> Plan:
    """The port for gRPC of the system is its edge's, unless that has one of its own."""
    last = edge(plan)
    processes = (
        msgspec.structs.replace(each, grpc=each.grpc or port) if each.name == last.name else each
        for each in plan.processes
    )
    return msgspec.structs.replace(plan, processes=tuple(processes))


def _owners(services: list[ServicePlan], assumed: Collection[str], external: Mapping[str, str]) -> dict[str, str]:
    """Who implements each contract, by its name."""
    owner: dict[str, str] = {}
    for service in services:
        for contract in service.contracts:
            if contract in owner:
                raise MisfitError(
                    f"{_short(contract)} is implemented by both {owner[contract]!r} and {service.name!r}; keep one",
                    [owner[contract], service.name],
                )
            if contract in external:
                raise MisfitError(
                    f"{_short(contract)} is implemented by {service.name!r} and named in external=, too; keep one",
                    [service.name],
                )
            owner[contract] = service.name
    owner |= _heirs(services, owner)
    for service in services:
        for contract in service.asks:
            if contract not in owner and contract not in assumed and contract not in external:
                raise MisfitError(
                    f"{service.name} asks for {_short(contract)}, but no service of the system implements it; "
                    f"add one to services=[...], or name the system that does in external={{...}}",
                    [service.name],
                )
    return owner


def _check_renamed(services: list[ServicePlan]) -> None:
    """Refuse two services that would take what is kept for one name, each for its own."""
    known = {each.name: each.name for each in services}
    for each in services:
        if each.formerly and not NAME.match(each.formerly):
            text = f"{each.name}: formerly={each.formerly!r} was no service's name; give the one by which it was known"
            raise MisfitError(text, [each.name])
        if each.formerly and (other := known.setdefault(each.formerly, each.name)) != each.name:
            raise MisfitError(
                f"{each.name} was formerly {each.formerly!r}, and so is or was {other}: what is kept under that name "
                "can be one service's alone; give another name to the one that is new",
                [each.name, other],
            )


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
            around = path[path.index(name) :]
            circle = " → ".join([*around, name])
            raise MisfitError(
                f"services call each other in a circle: {circle}; let one of them hear the other's events instead",
                around,
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
