"""Puts the parts of one process together: services, their clients, events, sagas and periodic work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, cast

from meristem.contracts.call import ServedOperation, connected, wait_on
from meristem.contracts.contract import operations
from meristem.errors import MisuseError
from meristem.events.adapters import bus_for
from meristem.events.poison import Quarantine
from meristem.events.sendable import Sendable
from meristem.lifecycle import SideBySide, Stack
from meristem.resilience.limiter import Limiter
from meristem.resilience.policies import Policies
from meristem.resilience.timers import Deadlines
from meristem.runtime.announcement import announce
from meristem.runtime.catalogue_desk import CatalogueDesk
from meristem.runtime.clients import Clients
from meristem.runtime.deliveries import Deliveries
from meristem.runtime.event_arrivals import EventArrivals
from meristem.runtime.event_desk import EventDesk
from meristem.runtime.gateway_desk import GatewayDesk
from meristem.runtime.gauges import Gauges
from meristem.runtime.injection import Injection
from meristem.runtime.inspector import ProcessInspector
from meristem.runtime.instance import ServiceInstance
from meristem.runtime.loop_watch import LoopLag
from meristem.runtime.operator_desks import OperatorDesks
from meristem.runtime.options import Options
from meristem.runtime.reached_parts import ReachedParts
from meristem.runtime.saga_desk import SagaDesk
from meristem.runtime.saga_keepers import LivingServices
from meristem.runtime.settings_source import SettingsSource
from meristem.runtime.shared import Shared
from meristem.runtime.telemetry import ProcessTelemetry
from meristem.services.following import beginning, distrusting, heeding
from meristem.services.inbound import OperationEndpoint
from meristem.services.outbound import forwarding
from meristem.services.service import is_contract
from meristem.system.event_flow import check_webhooks
from meristem.system.webhook_access import with_webhooks
from meristem.telemetry.logging import follow_structlog
from meristem.webhooks.event_intake import ACCEPT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from meristem.contracts.call import Handler
    from meristem.contracts.operation import Operation
    from meristem.resilience.limits import Limits
    from meristem.runtime.steering import ServiceSagas
    from meristem.services.service import ServiceSpec
    from meristem.storage.database import Database
    from meristem.system.blueprint import Blueprint
    from meristem.system.plan import ServicePlan

ContractT = TypeVar("ContractT")
Result = TypeVar("Result")


class Assembly:
    """One process of a system, alive between `start` and `stop`; what works by itself begins with `activate`.

    It is the connector of that process: `client(contract)` gives a client wherever the contract's service lives.
    """

    def __init__(self, blueprint: Blueprint, process: str, options: Options | None = None) -> None:
        self.blueprint = blueprint
        self.options = options or Options()
        self.process = next(each for each in blueprint.plan.processes if each.name == process)
        self.instances: dict[str, ServiceInstance] = {}
        resource = {"service.name": f"{blueprint.system.name}.{process}"}
        self.telemetry = ProcessTelemetry(self.options.environment, resource, blueprint.placement.telemetry)
        self.settings = SettingsSource(blueprint, process, self.options)
        self.databases: dict[str, Database] = {}
        self.follows = blueprint.has_replicas
        self.loop_lag = LoopLag()
        self._limiters: dict[str, Limiter] = {}
        self._gauges = Gauges(self.telemetry.registry, self.options.clock)
        self._stack = Stack()
        check_webhooks(blueprint)
        self._bus = with_webhooks(
            bus_for(blueprint.placement.resources.bus, system=blueprint.system.name),
            blueprint.system.name,
            blueprint.placement,
            self.options.environment,
            self.options.overrides,
        )
        gateway = GatewayDesk(self.telemetry.registry)
        self.desks = OperatorDesks(
            ProcessInspector(
                self.telemetry, process, self.options.replica, self._limiters, self.loop_lag, gateway.counts
            ),
            EventDesk(blueprint, lambda: self.databases, self.options.clock, self._bus.lag),
            SagaDesk(LivingServices(self.instances, blueprint, self.options), self.options.clock),
            CatalogueDesk(blueprint, self.instances, self.routes, self.telemetry.tracer),
            gateway,
        )
        self._quarantine = Quarantine()
        self._bus.resumed.append(self._serve)
        self._reached = ReachedParts(blueprint, process, self.options, self.telemetry, self._bus)
        self._arrivals = EventArrivals(blueprint, self._bus, self.instances, self._reached.deliveries, self.telemetry)
        self._endpoints: dict[str, OperationEndpoint] = {}
        self._helm: dict[str, OperationEndpoint] = {}
        self._routes: dict[str, ServedOperation] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadlines: Deadlines | None = None
        self._clients: Clients | None = None

    async def start(self) -> None:
        """Start the services in the order of the call graph; from now on they answer."""
        self._loop = asyncio.get_running_loop()
        self._deadlines = Deadlines(self._loop)
        try:
            with connected(self):  # for all that begins here, wherever it is called from later
                self._clients = Clients(
                    self.blueprint, self.options, self._deadlines, self._endpoints, self._reached.ways, self.telemetry
                )
                await self._start_services(Injection(self.settings, self.options, self._clients.client))
        except BaseException:
            await self.stop()
            raise

    async def _start_services(self, injection: Injection) -> None:
        # First, so that it stops last: the spans of what the others do in their end are still sent.
        await self._stack.start(self.telemetry)
        for service in self.blueprint.plan.services:
            # The ways to other processes first: what a service does in its own `start` may call and publish by them.
            if service.name not in self.process.services:
                await self._reached.reach_service(service, self._stack, self._started())
        await self._reached.reach_systems(self._stack)
        for service in self.blueprint.plan.services:
            if service.name in self.process.services and not self._is_faked(service):
                spec = self.blueprint.spec(service.name)
                follow_structlog()  # the service's module may have imported it
                await self._start_instance(spec, injection)
        # In a loop of its own: the first service may publish as it starts, and the last one must hear that.
        for instance in self.instances.values():
            await instance.start_service()

    async def activate(self) -> None:
        """Start what works by itself: deliveries, sagas, periodic jobs. What they reach must be up already."""
        with connected(self):
            await self._stack.start(self._bus)  # before the relays, so that it outlives them
            for component in [each for instance in self.instances.values() for each in instance.workers()]:
                await self._stack.start(component)
            # Last, so they end first: a periodic job may still publish and begin sagas, of other services, too. Side by
            # side, because each waits for its runs: one after the other they would outlast the drain of the process.
            await self._stack.start(SideBySide([each.schedule() for each in self.instances.values()]))
        self._gauges.lag = self._bus.lag
        await self._stack.start(self._gauges)
        self._reached.closing.spawn(self._announce(), "announce")

    async def _announce(self) -> None:
        """Tell every other process which subscribers are here, once they can be found."""
        there_are = self.instances.values()
        here = [each.spec.kept_as for each in there_are if each.inbox is not None and each.inbox.policies]
        if here:
            if self.options.found is not None:  # before that they would call, find nobody, and wait all the longer
                await self.options.found()
            await announce(here, self._reached.dependencies.values(), self._started())

    def _resume(self, services: Sequence[str]) -> None:
        """Subscribers of another process say that they are there: deliver what waits for them."""
        for each in services:
            name = self.blueprint.plan.called_now(each)
            if name in self._reached.dependencies:
                self._reached.dependencies[name].probe_soon()
            self._serve(each)

    def _serve(self, destination: str) -> None:
        """Deliver now what waits for a destination that is there again."""
        for instance in self.instances.values():
            instance.resume(destination)

    async def drain(self) -> None:
        """Finish what is in flight."""
        await self._stack.drain()

    async def stop(self) -> None:
        """Stop everything, in reverse."""
        await self._stack.stop()
        # After the stack: only then does nobody wait any more for an answer of a replica that has left.
        await self._reached.closing.stop()
        if self._deadlines is not None:
            self._deadlines.stop()

    def client(
        self, contract: Callable[..., ContractT], caller: str | None = None, app: str | None = None
    ) -> ContractT:
        """A client of `contract`; raises WiringError when no service of the system implements it."""
        return self._started().client(contract, caller, app)

    def wait(self, work: Awaitable[Result]) -> Result:
        """Run `work` on this process's loop and wait for it, from a thread without one."""
        assert self._loop is not None
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return wait_on(self._loop, work)
        raise MisuseError("an event loop runs here: write `await` instead of block_on(...)")

    def routes(self) -> dict[str, ServedOperation]:
        """What this process answers to other processes, by path; each service sheds what it cannot carry."""
        if not self._routes:
            clients = self._started()
            for name, instance in self.instances.items():
                # One for all operations of a service, and made once: two would each admit the whole limit.
                policies = self.blueprint.placement.policies.get(name, Policies())
                limiter = Limiter(name, policies.limiter, on_fact=self.telemetry.on_fact)
                self._limiters[name] = limiter
                for path, endpoint in instance.endpoints.items():
                    operation = endpoint.operation
                    admitted = limiter.middleware(operation)(endpoint.handler)
                    self._routes[path] = self._served(operation, admitted)
            for path, endpoint in self._helm.items():
                self._routes[path] = self._served(endpoint.operation, endpoint.handler)
            # Events of other processes come past the limiter: to shed a delivery is only to have it once more.
            for operation in operations(Deliveries).values():
                handler = self._arrivals.from_processes(operation, clients.deadlines, self._resume)
                self._routes[operation.path] = ServedOperation(operation, clients.limited(operation, handler))
            self._routes.update(self.desks.routes())
        return self._routes

    def public_routes(self) -> dict[str, ServedOperation]:
        """What a process with a public address answers: all operations of the system, wherever they live."""
        found = dict(self.routes())
        # No limiter: the process in which it lives sheds, and the bulkhead bounds what waits for it here.
        for name, dependency in self._reached.dependencies.items():
            for operation in self.blueprint.operations_of(name).values():
                way = forwarding(operation)(dependency.way(operation, None))
                if self.follows:
                    way = heeding(operation)(way)
                found[operation.path] = self._served(operation, way)
        return found

    def event_intake(self) -> ServedOperation:
        """What takes events in from outside."""
        return self._served(ACCEPT, self._arrivals.from_outside())

    def _served(self, operation: Operation, handler: Handler) -> ServedOperation:
        """What comes in by wire, within its deadline."""
        if self.follows:
            handler = beginning(handler)
        return ServedOperation(operation, self._started().limited(operation, handler))

    async def figures(self, accept: str) -> tuple[str, bytes]:
        """Media type and text of `/metrics`."""
        await self._gauges.look()
        return self.telemetry.figures(accept)

    @property
    def problems(self) -> list[str]:
        """What an operator must know of its services, though they answer: a sentence each."""
        return [problem for each in self.instances.values() for problem in each.problems]

    @property
    def limits(self) -> Limits:
        """What a server in front of this process accepts."""
        return self.blueprint.placement.limits_of(self.process.name)

    @property
    def sendable(self) -> Sendable:
        """What an event may hold where the most is taken, this process included."""
        names = {self.process.name, *(each.name for each in self.blueprint.plan.processes)}
        limits = [self.blueprint.placement.limits_of(each) for each in names]
        return Sendable(max(each.body_bytes for each in limits), max(each.body_values for each in limits))

    def _started(self) -> Clients:
        if self._clients is None:
            raise MisuseError(f"the process {self.process.name!r} has not been started")
        return self._clients

    def _is_faked(self, service: ServicePlan) -> bool:
        faked = {contract.contract_name for contract in self.options.fakes if is_contract(contract)}
        # A service that only hears events has no contract that a fake could stand in for: it stays.
        return bool(service.contracts) and all(contract in faked for contract in service.contracts)

    async def _start_instance(self, spec: ServiceSpec, injection: Injection) -> None:
        """Have a service live here."""
        around = Shared(
            self.blueprint.system.name,
            self.options.instance or f"{self.process.name}-{self.options.replica}",
            self.options,
            self._bus,
            self._quarantine,
            self.telemetry,
            self.blueprint.system.middleware,
            self.sendable,
            self.follows,
        )
        instance = ServiceInstance(
            spec,
            place=self.blueprint.data_place(spec.name, self.options.database),
            resolve=lambda need: injection.give(spec, need),
            around=around,
            table=self.blueprint.placement.process(self.process.name),
        )
        await self._stack.start(instance)
        self.instances[spec.name] = instance
        if instance.storage is not None:
            self.databases[spec.name] = instance.storage.database
            self._gauges.counters[spec.name] = instance.storage.count
        self._endpoints.update(instance.endpoints)
        if instance.sagas is not None and not self._helm:
            self._helm = self._steered()
            self._endpoints.update(self._helm)

    def _steered(self) -> dict[str, OperationEndpoint]:
        """What starts and steers the sagas of the services here."""
        from meristem.runtime.steering import Helm  # noqa: PLC0415 - a process without sagas does not pay for them
        from meristem.sagas.handle import Sagas  # noqa: PLC0415

        def sagas(service: str) -> ServiceSagas | None:
            name = self.blueprint.plan.called_now(service)
            return self.instances[name].sagas if name in self.instances else None

        helm, made = Helm(sagas), {}
        for operation in operations(cast("Any", Sagas)).values():
            method, observed = getattr(helm, operation.name), self.telemetry.serving("sagas", operation)
            around = (distrusting,) if self.follows else ()
            made[operation.path] = OperationEndpoint(
                operation, method, observed, around, system=self.blueprint.system.name
            )
        return made
