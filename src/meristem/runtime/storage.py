"""What a service keeps: its database, the events it owes and has heard, its answers and its sagas.

Imported only for services that keep something: the others do not pay for SQLAlchemy.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from meristem.contracts.operation import Semantics
from meristem.events.inbox import Inbox
from meristem.events.incoming_events import Incoming
from meristem.events.outbox import Outbox
from meristem.events.relay import Relay
from meristem.events.waiting import waiting_in
from meristem.lifecycle import Component, Stack
from meristem.runtime.gauges import Counted
from meristem.runtime.schema import check, running_on, upgrade
from meristem.sagas.saga import sagas_of
from meristem.security.digest import Digest
from meristem.services.answers import OldAnswers
from meristem.services.idempotency import answer_once
from meristem.storage.database import database_for
from meristem.storage.declared import declare
from meristem.storage.duty_crashes import DutyCrashes
from meristem.storage.lease import Lease
from meristem.system.description import migrations_of

if TYPE_CHECKING:
    from meristem.contracts.call import Middleware
    from meristem.contracts.operation import Operation
    from meristem.runtime.shared import Shared
    from meristem.sagas.engine import SagaEngine
    from meristem.sagas.naps import Nap
    from meristem.services.service import Service, ServiceSpec
    from meristem.system.databases import DataPlace


class ServiceStorage:
    """What one service keeps; it starts before the service is made, which then begins to `hear`."""

    def __init__(self, spec: ServiceSpec, place: DataPlace, around: Shared) -> None:
        clock = around.options.clock
        self.database = database_for(
            place.url, name=spec.name, directory=around.options.directory, replicas=place.replicas
        )
        where = self.database.system, self.database.server
        self.database.observers.append(partial(around.telemetry.statement, *where))
        if self.database.replicas is not None:
            around.telemetry.watch_replicas(spec.name, self.database.replicas)
        self.inbox: Inbox | None = None
        self.incoming: Incoming | None = None
        self.name = spec.name
        self._spec = spec
        self._around = around
        self._clock = clock
        self._sagas = sagas_of(spec.implementation)
        self._digest = Digest(around.options.secret, "once")
        self._stack = Stack()
        self._engine: SagaEngine | None = None
        self._relay: Relay | None = None
        self.lease = Lease(self.database, f"{around.replica}/{spec.name}")
        self._outbox = Outbox(
            self.database,
            f"//{around.system}/{spec.name}",
            around.bus.destinations,
            clock,
            lease=self.lease,
            sendable=around.sendable,
        )
        self._outbox.observers += [around.telemetry.on_fact, *around.options.observers]
        around.telemetry.tap.observe(self._outbox.observers)

    def duty_crashes(self) -> DutyCrashes:
        """Where the ends of processes within the service's scheduled methods are counted."""
        return DutyCrashes(self.database, self.lease)

    @property
    def has_sagas(self) -> bool:
        """Whether methods of the service are sagas."""
        return bool(self._sagas)

    def is_saga(self, operation: Operation) -> bool:
        """Whether the method of an operation is a saga."""
        return operation.name in self._sagas

    async def start(self) -> None:
        """Open the database and bring its tables up to date, or see that they are."""
        database, options = self.database, self._around.options
        await self._stack.start(database)
        service = self._spec.implementation
        # A temporary one is new at each start, so nobody can have migrated it before.
        if options.migrate or database.is_temporary:
            # Who starts alone hurts nobody, and a developer's other replicas start again soon.
            unsafe = options.development or not await running_on(database)
            await upgrade(database, migrations_of(service), lambda: service.tables, unsafe=unsafe)
        else:
            await check(database, migrations_of(service), lambda: service.tables)
        # After the tables are there, and before all that goes by it: outbox, sagas and periodic jobs.
        await self._stack.start(self.lease)
        if not database.is_temporary:
            await declare(database, self.lease.member, service.tables)
        if self._spec.answers_once:
            await self._stack.start(OldAnswers(database, self._clock))
        await self._stack.start(self._outbox)

    async def hear(self, service: Service) -> None:
        """Let the service hear the events it subscribed to, and its sagas those they wait for."""
        self.inbox = inbox = Inbox.of(self._spec.kept_as, service, self.database, self._clock)
        inbox.observers.append(self._around.telemetry.on_handled(self._spec.name))
        if self._sagas:
            from meristem.sagas.engine import SagaEngine  # noqa: PLC0415 - a service without sagas does not pay for it
            from meristem.sagas.policy import IN_DEVELOPMENT, SagaPolicy  # noqa: PLC0415

            policy = IN_DEVELOPMENT if self._around.options.development else SagaPolicy()
            if self._around.options.by_hand:
                policy = replace(policy, longest_nap=0.0)
            self._engine = engine = SagaEngine(
                self._spec.kept_as, service, self.database, self._clock,
                lease=self.lease, policy=policy, turn=self._around.quarantine.turn,
            )  # fmt: skip
            engine.observers.append(self._around.telemetry.on_saga_fact(self._spec.name))
            waits = [event for saga in self._sagas.values() for event in saga.waits]
            # In the inbox's own transaction: an event is either handled and kept for its sagas, or neither.
            inbox.listen(lambda event, _: engine.on_event(event), waits)
        if inbox.policies:
            await self._stack.start(inbox)
            self.incoming = Incoming(self._spec.kept_as, self.database, self._outbox, self.lease)
            self._around.quarantine.here.add(self._spec.kept_as)
            self._around.bus.subscribe(self._spec.kept_as, inbox.policies, inbox.receive, self.incoming)

    def workers(self) -> list[Component]:
        """What works by itself once every service hears: deliveries and sagas."""
        self._relay = relay = Relay(self._outbox, self._around.bus, self._clock, quarantine=self._around.quarantine)
        relay.observers.append(self._around.telemetry.on_fact)
        self._around.telemetry.tap.observe(relay.observers)
        # The relay before the engine, so that it drains after it: what sagas publish as they end is delivered too.
        return [relay] if self._engine is None else [relay, self._engine]

    async def settle(self) -> None:
        """Wait until what is in memory is done: events delivered or buried, no saga running."""
        if self._relay is not None:
            await self._relay.settle()
        if self._engine is not None:
            await self._engine.settle()

    @property
    def is_settled(self) -> bool:
        """Whether nothing is in memory that is still to be done."""
        return (self._relay is None or self._relay.is_settled) and (self._engine is None or self._engine.is_settled)

    @property
    def is_busy(self) -> bool:
        """Whether events are delivered or sagas run at this moment: what pauses until a time of the clock does not."""
        return (self._relay is not None and self._relay.is_busy) or (self._engine is not None and self._engine.is_busy)

    def hurry(self) -> None:
        """Write down now what was delivered."""
        if self._relay is not None:
            self._relay.hurry()

    @property
    def naps(self) -> list[Nap]:
        """The pauses that sagas make in memory."""
        return [] if self._engine is None else self._engine.naps

    async def is_overdue(self) -> bool:
        """Whether the pause of a saga that sleeps in the database is over."""
        return self._engine is not None and await self._engine.is_overdue()

    def resume(self, subscriber: str) -> None:
        """Deliver what waits for a subscriber that says it is there."""
        if self._relay is not None:
            self._relay.resume(subscriber)

    async def scan(self) -> None:
        """Take up what is in the database alone, as happens every second: a redriven event."""
        if self._relay is not None:
            await self._relay.scan()

    async def count(self) -> Counted:
        """What waits in the database: events, dead letters, sagas."""
        depths = await self._outbox.depth()
        pending = {each.subscriber: each for each in depths if each.state == "pending"}
        waiting = await waiting_in(self.database)
        return Counted(
            pending={name: each.count for name, each in pending.items()},
            oldest={name: each.oldest for name, each in pending.items()},
            waiting={each.subscriber: each.failed for each in waiting if each.failed},
            dead={each.subscriber: each.count for each in depths if each.state == "dead"},
            sagas=await self._count_sagas(),
        )

    async def _count_sagas(self) -> dict[str, int]:
        if not self._sagas:
            return {}
        from meristem.sagas.administration import SagaStore  # noqa: PLC0415 - as above

        found = await SagaStore(self.database, self._clock).counts()
        return {state.value: count for state, count in found.items()}

    def once(self, operation: Operation) -> tuple[Middleware, ...]:
        """What keeps an operation's first answers where the contract says `@once`; a saga keeps its own."""
        if operation.semantics is not Semantics.ONCE or self.is_saga(operation):
            return ()
        return (answer_once(operation, self.database, self._clock, self._digest),)

    async def drain(self) -> None:
        await self._stack.drain()

    async def stop(self) -> None:
        await self._stack.stop()
