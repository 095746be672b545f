"""What a test holds in its hands while a system runs: clients, and a moment at which nothing is left to happen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar, overload

from meristem.contracts.message import Event
from meristem.errors import MisuseError
from meristem.runtime.assembly import Assembly
from meristem.services.service import Service, is_contract
from meristem.testing.eventually import TRUE, Here, Probe, eventually
from meristem.testing.history import Arguments, EventT, ReplyT, paths_of
from meristem.testing.published import PublishedPlain, plain
from meristem.testing.settling import UNTIL, left_in, moment, settle

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence

    from meristem.runtime.instance import ServiceInstance
    from meristem.storage.database import Database
    from meristem.testing.eventually import Surroundings
    from meristem.testing.history import PublishedEvent, Recording, SentCall

T = TypeVar("T")
ServiceT = TypeVar("ServiceT", bound=Service)


class RunningSystem(Assembly):
    """A system that runs in this process; `beside` are its other assemblies, where it has more than one."""

    beside: Sequence[Assembly] = ()
    recording: Recording | None = None

    def service(self, implementation: type[ServiceT]) -> ServiceT:
        """The object of a service that runs in this process; raises MisuseError for one that doesn't."""
        service: ServiceT = self._instance(implementation).service
        return service

    def database(self, service: type[Service] | str) -> Database:
        """The database of a service that runs in this process, by its class or its name.

        Raises MisuseError for one that doesn't run here, or keeps nothing.
        """
        instance = self._instance(service)
        if instance.database is None:
            raise MisuseError(f"{instance.name} has no database: no parameter of its constructor asks for one")
        return instance.database

    def _instance(self, service: type[Service] | str) -> ServiceInstance:
        if isinstance(service, type) and not issubclass(service, Service):
            name = service.__name__
            raise MisuseError(f"{name} is no service's class; of a contract, app.client({name}) gives a client")
        here = {name: each for app in (self, *self.beside) for name, each in app.instances.items()}
        name = service if isinstance(service, str) else service.service_name
        found = here.get(name)
        if found is None or not (isinstance(service, str) or isinstance(found.service, service)):
            shown = service if isinstance(service, str) else service.__name__
            raise MisuseError(f"{shown} does not run here: {self._why_not(name, sorted(here))}")
        return found

    def _why_not(self, name: str, here: Sequence[str]) -> str:
        if any(each.name == name for each in self.blueprint.plan.services) and name not in here:
            return "an object in fakes= stands for it, which the test has already"
        return (
            f"of {self.blueprint.system.name!r} there run {', '.join(here) or 'no services'}; "
            f"name it in System(services=…), and in only= where that is given"
        )

    @overload
    def sent(
        self, operation: Callable[[Any, *Arguments], Coroutine[Any, Any, ReplyT]]
    ) -> list[SentCall[ReplyT, *Arguments]]: ...

    @overload
    def sent(self, operation: Callable[[Any, *Arguments], AsyncIterator[Any]]) -> list[SentCall[None, *Arguments]]: ...

    # Parameters that have to be named are none of a tuple's, and their types are not told.
    @overload
    def sent(
        self, operation: Callable[..., Coroutine[Any, Any, ReplyT]]
    ) -> list[SentCall[ReplyT, *tuple[Any, ...]]]: ...

    def sent(self, operation: Callable[..., Any]) -> Any:
        """The calls of an operation that services and the test made, in their order: `app.sent(Payments.charge)`.

        A call that is repeated stands there once. Raises MisuseError where services are in other processes.
        """
        contracts = {*self.blueprint.contracts(), *(each for each in self.options.fakes if is_contract(each))}
        return self._recorded("sent").sent(paths_of(operation, contracts))

    def published(self, event_class: type[EventT]) -> list[PublishedEvent[EventT]]:
        """The events of a class that were committed, in the order of their commits, each with its publisher.

        Raises MisuseError where services are in other processes.
        """
        return self._recorded("published").published(event_class)

    def _recorded(self, method: str) -> Recording:
        if self.recording is None:
            raise MisuseError(
                f"app.{method}(…): what services of other processes send and publish is recorded by nobody; "
                f'run them here with where="local" or "wire", or ask a service what came of it'
            )
        return self.recording

    @overload
    def eventually(
        self, probe: Callable[[], Awaitable[T]], *, equals: T = ..., timeout: float = ..., within: float = ...
    ) -> Coroutine[Any, Any, T]: ...

    @overload
    def eventually(
        self, probe: Callable[[], T], *, equals: T = ..., timeout: float = ..., within: float = ...
    ) -> Coroutine[Any, Any, T]: ...

    async def eventually(
        self,
        probe: Callable[[], Any],
        *,
        equals: Any = TRUE,
        timeout: float = 5.0,  # noqa: ASYNC109 - whoever runs out of time is told what is left
        within: float = 86_400.0,
    ) -> Any:
        """Ask `probe` again and again until its value is true, or equals `equals`, and give that value.

        What an assertion, a fault or a CallError in it refuses is not yet so. A ManualClock is moved, whenever
        nothing else happens, to the next time for which anything waits, and by `within` seconds at most. After
        `timeout` seconds of the machine it raises AssertionError that tells the last value and what is still to come.
        """
        return await eventually(Probe(probe, equals), self._around(within), timeout)

    def _around(self, within: float) -> Surroundings:
        instances = [each for app in (self, *self.beside) for each in app.instances.values()]
        return Here(instances, self._recorded("eventually"), self.options.clock, within)

    async def settled(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - whoever runs out of time is told what is left
        """Wait until every event is delivered, or a dead letter, and no saga runs; one that waits may go on waiting.

        So may one that sleeps until a ManualClock is advanced. What is to be tried again may not: raises TimeoutError
        that says what is left, and until when it pauses.
        """
        kept = [each.storage for app in (self, *self.beside) for each in app.instances.values() if each.storage]
        try:
            async with asyncio.timeout(timeout):
                await settle(kept)
        except TimeoutError:
            left = [line for each in kept for line in await left_in(each)] or ["what began meanwhile"]
            remedy = "the log may say why"
            if self.options.by_hand and any(UNTIL in line for line in left):
                remedy = f"the clock stands at {moment(self.options.clock.now())}: advance it"
            raise TimeoutError(f"not settled after {timeout:g} s: {', '.join(left)}; {remedy}") from None

    async def all_events(self) -> list[PublishedPlain]:
        """Every event that was committed since the system started, wherever it was."""
        if self.recording is None:
            return []
        return [
            PublishedPlain(type(each.event).event_type, each.publisher, plain(each.event))
            for each in self.recording.published(Event)
        ]

    async def all_figures(self) -> list[str]:
        """The text of `/metrics` of each assembly."""
        return [(await each.figures(""))[1].decode() for each in (self, *self.beside)]
