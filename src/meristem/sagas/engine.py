"""The engine of one service's sagas: starts them, answers their callers, and looks after what others left."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from meristem.clock import Clock
from meristem.context import current
from meristem.contracts.canonical import canonical
from meristem.contracts.message import Event
from meristem.errors import CallError, Code, MeristemError, MisuseError, NotServedHere
from meristem.keys import asked_otherwise, reused
from meristem.sagas.administration import SagaStore
from meristem.sagas.callers import CallerRegistry, Callers, answer_of
from meristem.sagas.commands import signal_type
from meristem.sagas.crash_loops import SagaTrials
from meristem.sagas.engine_parts import EngineParts
from meristem.sagas.facts import Fact, Observer, SagaBegan
from meristem.sagas.journal import Journal, at_rest
from meristem.sagas.journal_writer import BegunElsewhereError, JournalWriter
from meristem.sagas.listing import Listing
from meristem.sagas.naps import Nap, Naps
from meristem.sagas.origin import Origin, asked_otherwise_as, id_of, id_of_an_earlier, new_saga, origin_of, request_of
from meristem.sagas.policy import SagaPolicy
from meristem.sagas.poller import Poller
from meristem.sagas.records import SagaRow
from meristem.sagas.runner_pool import RunnerPool
from meristem.sagas.saga import Definition, bind, sagas_of
from meristem.sagas.search import terms_for
from meristem.sagas.search_index import SearchIndex, terms_of_input
from meristem.sagas.signalling import Signal, keep
from meristem.storage.database import Database
from meristem.storage.lease import Lease
from meristem.storage.scope import transaction_is_open

logger = logging.getLogger(__name__)
_BATCH = 100


class SagaEngine:
    """Runs the sagas of one service in its own database; several replicas may work on one database.

    Start it after the database and the clients of other services; `on_event` is called inside the inbox's unit of
    work for each event whose type is in `waits`. `turn` is held while a saga is
    tried alone, one at a time in the process.
    """

    def __init__(
        self,
        service: str,
        instance: object,
        database: Database,
        clock: Clock,
        *,
        lease: Lease,
        policy: SagaPolicy | None = None,
        observers: Sequence[Observer] = (),
        turn: asyncio.Lock | None = None,
    ) -> None:
        self.definitions = sagas_of(type(instance))
        self.waits = frozenset(event.event_type for each in self.definitions.values() for event in each.waits)
        self.observers: list[Observer] = list(observers)
        self._service = service
        self._database = database
        self._clock = clock
        self._naps = Naps(clock)
        self._policy = policy or SagaPolicy()
        waits = {name: _kept_for(each) for name, each in self.definitions.items()}
        self._journal = Journal(database, clock, lease, waits)
        self._lease = lease
        self._index = SearchIndex(database, clock, self.definitions)
        self._accepting = self._claiming = False
        self._rested = asyncio.Event()
        self._poller = Poller(service, self._journal, clock, self._policy, look=self._scan, looked=self._rested.set)
        self._callers = CallerRegistry(is_worked_on=self._works_on)
        self._pool = RunnerPool(
            service, instance, self.definitions, self._journal,
            emit=self._emit, resolve=self._callers.resolve, poke=self._poller.poke, rested=self._rested.set,
            trials=partial(SagaTrials, clock, turn or asyncio.Lock()),
        )  # fmt: skip
        bind(instance, self)

    async def start(self) -> None:
        """Resume at once what a dead process of this machine left behind."""
        variables = contextvars.copy_context()
        self._pool.start(EngineParts(self._journal, self._clock, self._naps, self._policy, self._emit, variables))
        self._accepting = self._claiming = True
        self._lease.lost.append(self._pool.lose)
        self._lease.freed.append(self._poller.poke)
        await self._scan()
        self._poller.start(self._pool.spawn)
        self._pool.spawn(self._index.keep(), "search index")

    async def drain(self) -> None:
        """Take nothing over any more, and give what runs a moment to end."""
        self._claiming = False
        busy = [each.rested for each in self._callers if self._pool.works_on(each.saga_id)]
        if busy:
            await asyncio.wait(busy, timeout=self._policy.grace)

    async def stop(self) -> None:
        """Interrupt what runs, each at its last journaled step, and let any other replica have the sagas."""
        self._accepting = self._claiming = False
        if await self._pool.stop():  # the leases go last: nothing runs here any more that another owner could meet
            await self._journal.release()
        for callers in self._callers:
            text = f"{self._service} stops; the saga goes on elsewhere or later"
            self._callers.answer(callers, NotServedHere(text, may_have_happened=True))

    @property
    def is_settled(self) -> bool:
        """Whether no saga runs here, and none is about to; those that wait may go on waiting."""
        return self._pool.is_idle and not self._poller.is_looking

    @property
    def is_busy(self) -> bool:
        """Whether a saga runs here that does not pause, or one is about to."""
        return self._poller.is_looking or self._pool.works_beside({each.saga_id for each in self._naps.open})

    @property
    def naps(self) -> list[Nap]:
        """The pauses that sagas make here and now, those until the next attempt among them."""
        return list(self._naps.open)

    async def is_overdue(self) -> bool:
        """Whether the pause of a sleeping saga is over, and nobody has taken it up yet."""
        left = await self._journal.next_wake()
        return left is not None and left <= 0

    async def settle(self) -> None:
        """Wait until no saga runs here."""
        while not self.is_settled:
            self._rested.clear()
            await self._rested.wait()

    async def run(self, definition: Definition, values: msgspec.Struct) -> Any:
        """Start a saga, or attach to the one that this idempotency key began, and wait for its answer.

        Raises the saga's Fault or CallError; CallError `deadline_exceeded` when the caller's time ends first (the
        saga goes on); SagaParked when a person must look; `already_exists` for a key that began something else.
        """
        callers = await self._callers_of(definition, values)
        with self._callers.waiting(callers):
            outcome = await callers.outcome(definition.name, current().remaining())
        return answer_of(definition, outcome)

    async def begin(self, definition: Definition, values: msgspec.Struct) -> str:
        """Start a saga, or find the one that this idempotency key began; its id, once it is stored. Raises as `run`."""
        callers = await self._callers_of(definition, values, at_once=True)
        with self._callers.waiting(callers):
            await callers.storing(definition.name, current().remaining())
        return callers.saga_id

    async def look(self, saga_id: str, seconds: float) -> SagaRow:
        """The saga when it rests, or after so many seconds; raises CallError `not_found`."""
        saga = await self._known(saga_id)
        if at_rest(saga) or seconds <= 0:
            return saga
        callers = self._callers.of(saga_id)
        if callers is None:
            request = request_of(self.definitions.get(saga.name), saga)
            callers = self._callers.add(Callers(saga_id, request, origin_of(saga).owner))
            callers.begin()
        with self._callers.waiting(callers):
            await asyncio.wait({callers.rested}, timeout=seconds)
        return await self._known(saga_id)

    async def find(self, definition: Definition, fields: Mapping[str, object], limit: int) -> Sequence[str]:
        """The ids of the sagas whose fields have these values, the newest first.

        Waits until those are in the index that began before a field was declared; CallError `deadline_exceeded` where
        the caller's time ends first. MisuseError for a field that the saga does not declare.
        """
        terms = terms_for(definition.searched, fields, definition.function.__qualname__)
        try:
            async with asyncio.timeout(current().remaining()):
                await self._index.whole.wait()
        except TimeoutError:
            text = f"the index of {definition.name} is not whole yet: sagas that began before are still added"
            raise CallError(Code.DEADLINE_EXCEEDED, text, may_have_happened=False) from None
        statement = Listing(name=definition.name, terms=terms).statement().limit(limit)
        return [each.id for each in await self._database.fetch_all(statement, into=SagaRow)]

    async def cancel(self, saga_id: str) -> None:
        """Have a saga undo what it did; CallError `failed_precondition` when it has ended or undoes of itself."""
        await SagaStore(self._database, self._clock).cancel(saga_id)
        self._poller.poke()

    def id_under(self, definition: Definition, key: str) -> str:
        """The id of the saga that a step's key begins."""
        return id_of(self._service, definition.name, key)

    async def signal(self, saga_id: str, name: str, body: str, key: str) -> None:
        """Keep a signal for a saga; CallError as `signalling.keep` raises it."""
        await keep(self._database, self._clock, self.definitions, Signal(saga_id, name, body, key), self._poller.poke)

    async def _known(self, saga_id: str) -> SagaRow:
        saga = await self._journal.load(saga_id)
        if saga is None:
            text = f"{self._service} has no saga {saga_id!r}: it was never started, or has ended long ago"
            raise CallError(Code.NOT_FOUND, text, may_have_happened=False)
        return saga

    async def _callers_of(self, definition: Definition, values: msgspec.Struct, *, at_once: bool = False) -> Callers:
        """Those who wait for the saga that this call is about; it is begun if nobody has yet."""
        self._check(definition)
        context = current()
        if context.keys is not None:  # a saga that a saga's step starts is a call of that step
            await context.keys.ready()
        request, origin, name = canonical(values).decode(), Origin.of(context), definition.name
        saga_id = id_of(self._service, name, origin.key)
        if context.keys is not None and context.keys.sent:  # an earlier release took the key as it came
            earlier = await self._journal.load(id_of(self._service, name, context.keys.sent))
            saga_id = id_of_an_earlier(definition, earlier, request, origin) or saga_id
        callers = self._callers.of(saga_id)
        if callers is None:
            callers = self._callers.add(Callers(saga_id, request, origin.owner))
            callers.at_once = at_once
            self._pool.work(self._begin(definition, callers, values, origin), f"{definition.name} {saga_id}")
        elif (callers.request, callers.owner) != (request, origin.owner):
            raise reused(definition.name)
        return callers

    async def on_event(self, event: Event) -> None:
        """Keep an event for the sagas that wait for it; it joins the unit of work that is open, if one is."""
        if event.event_type in self.waits:
            async with self._database.begin() as tx:
                await self._journal.buffer(event)
                tx.after_commit(self._poller.poke)

    def _works_on(self, saga_id: str) -> bool:
        return self._pool.works_on(saga_id)

    def _check(self, definition: Definition) -> None:
        if not self._accepting:
            raise NotServedHere(f"the sagas of {self._service} do not run now", may_have_happened=False)
        if transaction_is_open():
            raise MisuseError(
                f"{definition.name} is started inside an open database transaction, which would hold its locks until "
                "the saga ends: start it before the first statement, or after the block of database.begin()"
            )

    async def _begin(self, definition: Definition, callers: Callers, values: msgspec.Struct, origin: Origin) -> None:
        """Work on a new saga, or find the one that its key began."""
        try:
            # Without a key the id is drawn by chance, so there can't be a row.
            saga = None if origin.key is None else await self._journal.load(callers.saga_id)
            if saga is None:
                new = new_saga(definition, callers.saga_id, values, origin, self._clock.now())
                twin = asked_otherwise_as(definition.name, callers.request, origin.key)
                if await self._begin_new(definition, callers, new, twin):
                    return
                saga = await self._journal.load(callers.saga_id)
            callers.begin()
            if saga is None:
                self._callers.answer(callers, asked_otherwise(definition.name))
            elif (request_of(definition, saga), origin_of(saga).owner) != (callers.request, callers.owner):
                self._callers.answer(callers, reused(definition.name))
            elif at_rest(saga):
                self._callers.answer(callers, saga)
        except MeristemError as error:
            self._callers.answer(callers, error)

    async def _begin_new(self, definition: Definition, callers: Callers, saga: SagaRow, twin: str | None) -> bool:
        """Work on a saga whose row goes with its first commit; False when that finds its row, or that of its twin."""

        def begun() -> None:
            callers.begin()
            self._emit(SagaBegan(saga.id, saga.name, resumed=False))

        await self._pool.trials.may_begin(saga)
        writer = JournalWriter(self._journal, saga)
        writer.buffer_new(saga, twin, begun)
        if definition.search:
            writer.buffer_terms(terms_of_input(definition, definition.searched, saga.input))
        try:
            if definition.waits or callers.at_once:  # the row says which events came before it, and that it is there
                await writer.flush()
                saga = await self._journal.load(saga.id) or saga
            await self._pool.drive(definition, saga, writer, new=True, busy=False)
        except BegunElsewhereError:
            self._pool.adopt(saga.id)  # should it be of here: the confirmation of its first commit was lost
            return False
        return True

    async def _scan(self) -> None:
        """Take over what is left alone, wake what waits for events, answer who waits for another replica's saga."""
        if self._claiming and not self._pool.trials.is_on:
            await self._pool.take_over(await self._journal.claimable(_BATCH + len(self._pool.trials)))
            self._journal.claimed()
        self._pool.nudge()
        for callers in [each for each in self._callers if each.begun]:
            saga_id = callers.saga_id
            if not self._pool.works_on(saga_id) and (saga := await self._journal.load(saga_id)) and at_rest(saga):
                self._callers.answer(callers, saga)

    def _emit(self, fact: Fact) -> None:
        for observer in self.observers:
            try:
                observer(fact)
            except Exception:
                logger.exception("an observer of %s's sagas failed", self._service)


def _kept_for(definition: Definition) -> frozenset[str]:
    """The types of what is kept among the events for a saga."""
    return frozenset([*(each.event_type for each in definition.waits), *map(signal_type, definition.signals)])
