"""A service that lives in this process: its object, what it keeps, and the handlers that answer its calls."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from meristem.lifecycle import Component, Stack
from meristem.services.container import build
from meristem.services.crash_files import CrashFiles
from meristem.services.following import distrusting, settling
from meristem.services.inbound import OperationEndpoint
from meristem.services.schedule import Schedule, Tallies, scheduled
from meristem.system.description import needs_database
from meristem.system.state_directory import CRASHES

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.contracts.call import Middleware
    from meristem.contracts.operation import Operation
    from meristem.events.inbox import Inbox
    from meristem.events.incoming_events import Incoming
    from meristem.runtime.cpu_pool import CpuPool
    from meristem.runtime.shared import Shared
    from meristem.runtime.steering import ServiceSagas
    from meristem.runtime.storage import ServiceStorage
    from meristem.services.container import Built
    from meristem.services.service import Need, ServiceSpec
    from meristem.storage.database import Database
    from meristem.system.databases import DataPlace
    from meristem.system.placement_tables import ProcessTable


class ServiceInstance:
    """Starts a service: first what it keeps, then what it provides to itself, then the service.

    `resolve` gives the constructor what it asks for beside the database. `table` is what the placement says of its
    process, in whose workers an operation that computes runs.
    """

    def __init__(
        self,
        spec: ServiceSpec,
        *,
        place: DataPlace,
        resolve: Callable[[Need], Any],
        around: Shared,
        table: ProcessTable,
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.endpoints: dict[str, OperationEndpoint] = {}
        self.sagas: ServiceSagas | None = None
        self.storage = _storage_of(spec, place, around) if needs_database(spec) else None
        self._around = around
        self._resolve = resolve
        self._stack = Stack()
        self._built: Built | None = None
        self._schedule: Schedule | None = None
        self._table = table
        self.pool: CpuPool | None = None

    @property
    def service(self) -> Any:
        """The service's object; it exists from `start` on."""
        if self._built is None:
            where = "lives in its workers alone" if self.pool is not None else "has not been started"
            raise RuntimeError(f"{self.name} {where}")
        return self._built.service

    @property
    def database(self) -> Database | None:
        """The service's database, if it keeps anything."""
        return None if self.storage is None else self.storage.database

    @property
    def inbox(self) -> Inbox | None:
        """What takes the events it hears, from `start` on."""
        return None if self.storage is None else self.storage.inbox

    @property
    def incoming(self) -> Incoming | None:
        """What stores events for it, from `start` on, where it hears any."""
        return None if self.storage is None else self.storage.incoming

    async def start(self) -> None:
        if self.storage is not None:
            await self._stack.start(self.storage)
        if not self._only_computes:
            await self._build()
        if self.storage is not None:
            # Only now: handlers are methods of the service, and the first event may need what its providers started.
            await self.storage.hear(self.service)
        if any(each.cpu for each in self.spec.operations.values()):
            from meristem.runtime.cpu_pool import CpuPool, workers_of  # noqa: PLC0415 - few services compute

            workers = workers_of(self._table.workers, self._table.cpu)
            self.pool = CpuPool(self.spec, self._give, self._around.options.environment, workers)
            await self._stack.start(self.pool)
        self.endpoints = {each.path: self._endpoint(each) for each in self.spec.operations.values()}
        if self.storage is not None and self.storage.has_sagas:
            from meristem.runtime.steering import ServiceSagas  # noqa: PLC0415 - as with storage

            self.sagas = ServiceSagas(self.service, self.spec.operations, self._endpoint)

    async def _build(self) -> None:
        self._built = build(self.spec, self._give, self._around.options.fakes)
        for provided in self._built.living():
            await self._stack.start(_Living(provided))

    @property
    def _only_computes(self) -> bool:
        """Whether all that the service does is done in its workers, so that nobody needs its object, or model, here."""
        known = self.spec.operations.values()
        here = self.storage is not None or scheduled(self.spec.implementation) or not known
        return not here and all(each.cpu for each in known)

    async def start_service(self) -> None:
        """Start the service's object, once every service of the process hears: it may publish already."""
        if self._built is not None:
            await self._stack.start(_Living(self._built.service))

    async def drain(self) -> None:
        await self._stack.drain()

    async def stop(self) -> None:
        await self._stack.stop()

    def workers(self) -> list[Component]:
        """What works by itself, to be started when every service is: deliveries and sagas."""
        return [] if self.storage is None else self.storage.workers()

    def schedule(self) -> Schedule:
        """Its periodic jobs, to be started after all workers."""
        duties = None if self.storage is None else self.storage.lease
        service = None if self._built is None else self._built.service
        tallies = Tallies(None if self.storage is None else self.storage.duty_crashes(), self._crash_files())
        clock, turn = self._around.options.clock, self._around.quarantine.turn
        self._schedule = schedule = Schedule(self.name, service, clock, duties, tallies, turn)
        schedule.trials.observers.append(self._around.telemetry.on_fact)
        return schedule

    def _crash_files(self) -> CrashFiles | None:
        """Where ends within methods that each replica runs are counted; nowhere in a test, which keeps no folder."""
        folder = self._around.options.state
        return None if folder is None else CrashFiles(folder / CRASHES / self._around.replica)

    @property
    def problems(self) -> list[str]:
        """What an operator must know of it: a sentence for each method that is not run any more."""
        return [] if self._schedule is None else self._schedule.trials.problems

    @property
    def is_busy(self) -> bool:
        """Whether something works by itself here now, and not only waits for its time."""
        jobs = self._schedule is not None and self._schedule.is_busy
        return jobs or (self.storage is not None and self.storage.is_busy)

    def resume(self, subscriber: str) -> None:
        """Deliver what waits for a subscriber that says it is there."""
        if self.storage is not None:
            self.storage.resume(subscriber)

    def _give(self, need: Need) -> Any:
        if self.database is not None and need.type is type(self.database):
            return self.database
        return self._resolve(need)

    def _endpoint(self, operation: Operation, method: Callable[..., Any] | None = None) -> OperationEndpoint:
        once = () if self.storage is None else self.storage.once(operation)
        # `@once` is innermost: the others see each repetition, and what one of them refuses is not kept as the answer.
        around = (*self._following(operation), *self._around.middleware, *self.spec.implementation.middleware, *once)
        observed = self._around.telemetry.serving(self.name, operation)
        if operation.cpu and self.pool is not None:
            method = partial(self.pool.run, operation)
        method = method or getattr(self.service, operation.name)
        return OperationEndpoint(operation, method, observed, around, system=self._around.system)

    def _following(self, operation: Operation) -> tuple[Middleware, ...]:
        """What tells a caller up to where the data goes that it may read from a replica from now on."""
        if not self._around.follows or self.storage is None:
            return ()
        if self.storage.is_saga(operation):
            return (distrusting,)
        replicas = self.storage.database.replicas
        return () if replicas is None else (settling(operation, self.name, replicas.position),)


def _storage_of(spec: ServiceSpec, place: DataPlace, around: Shared) -> ServiceStorage:
    from meristem.runtime.storage import ServiceStorage  # noqa: PLC0415 - a service that keeps nothing does not pay for it

    return ServiceStorage(spec, place, around)


class _Living:
    """An object of the user's with `start` and `stop`, as a component."""

    def __init__(self, living: Any) -> None:
        self._living = living

    async def start(self) -> None:
        await self._living.start()

    async def drain(self) -> None:
        drain = getattr(self._living, "drain", None)
        if drain is not None:
            await drain()

    async def stop(self) -> None:
        await self._living.stop()
