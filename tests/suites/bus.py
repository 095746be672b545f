"""What every bus must do; an adapter's test module inherits the suite and provides the fixture `url`."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select

from meristem.contracts.message import Event
from meristem.errors import Undeliverable
from meristem.events.adapters import bus_for
from meristem.events.bus import BROKER, Bus, SubscriberAway
from meristem.events.dead_letters import DeadLetter, DeadLetters, LetterFilter
from meristem.events.facts import Away, DeadLettered, Delivered, DeliveryRetried, Fact
from meristem.events.inbox import Inbox
from meristem.events.incoming_events import Incoming
from meristem.events.outbox import Outbox
from meristem.events.policy import DeliveryPolicy
from meristem.events.relay import Relay
from meristem.events.tables import SCHEMA
from meristem.storage.database import database_for
from meristem.storage.lease import Lease
from meristem.storage.lease_tables import SCHEMA as LEASE
from meristem.testing import ManualClock

FactT = TypeVar("FactT")
LEDGER = MetaData()
ENTRIES = Table("entries", LEDGER, Column("id", Integer, primary_key=True), Column("number", Integer))
PATIENT = DeliveryPolicy(attempts=3, base=1.0, cap=4.0)
FROM_THE_FIRST = DeliveryPolicy(attempts=3, base=1.0, cap=4.0, begin="first")


class Booked(Event, package="suite.v1", key="guest"):
    guest: str
    number: int


class Noted(Event, package="suite.v1"):
    number: int


class Keeper:
    """What one replica of a service keeps, in a folder that survives it: its database, its outbox and their relay."""

    def __init__(self, stage: "Stage", name: str) -> None:
        self.database = database_for(stage.databases.format(name), name=name)
        self.lease = Lease(self.database, stage.owner)
        self.outbox = Outbox(self.database, f"//suite/{name}", stage.bus.destinations, stage.clock, lease=self.lease)
        self.relay = Relay(self.outbox, stage.bus, stage.clock, pulse=stage.clock)
        self.relay.observers.append(stage.on_fact)
        self.dead = DeadLetters(self.database, stage.clock)

    async def open(self) -> None:
        await self.database.start()
        await self.database.upgrade([LEASE, SCHEMA])
        await self.database.create(LEDGER)

    async def work(self) -> None:
        await self.lease.start()
        await self.outbox.start()
        await self.relay.start()

    async def rest(self) -> None:
        await self.relay.drain()
        await self.relay.stop()

    async def stop(self) -> None:
        await self.outbox.stop()
        await self.lease.stop()
        await self.database.stop()

    async def vanish(self) -> None:
        """End as by `kill -9`, as far as the outbox can tell: nothing is released."""
        await self.relay._background.stop()
        await self.lease._background.stop()
        await self.outbox.stop()
        await self.database.stop()


class Subscriber:
    """A subscribing service: a database with a ledger, an inbox, and a handler that a test can steer."""

    def __init__(self, name: str, stage: "Stage", policies: dict[type[Event], DeliveryPolicy]) -> None:
        self.name = name
        self.seen: list[int] = []
        self._began = asyncio.Event()
        self.before: Callable[[Any], Awaitable[None]] | None = None
        self.keeper = Keeper(stage, name)
        self.database = self.keeper.database
        handlers = dict.fromkeys(policies, self.handle)
        self.inbox = Inbox(name, self.database, handlers, stage.clock, policies=policies)
        self.incoming = Incoming(name, self.database, self.keeper.outbox, self.keeper.lease)

    async def handle(self, event: Any) -> None:
        self.seen.append(event.number)
        self._began.set()
        if self.before is not None:
            await self.before(event)
        async with self.database.begin() as tx:
            await tx.execute(insert(ENTRIES).values(number=event.number))

    async def began(self, count: int = 1) -> None:
        """Wait until the handler has been entered so often."""
        async with asyncio.timeout(60):
            while len(self.seen) < count:
                self._began.clear()
                await self._began.wait()

    async def entries(self) -> list[int]:
        rows = await self.database.fetch_all(select(ENTRIES.c.number).order_by(ENTRIES.c.id))
        return [row["number"] for row in rows]


class Stage:
    """One replica of a publishing service and those that subscribe to it, in a folder that survives it.

    `databases` is the URL of each one's database, with `{}` for its name: in the folder, unless given.
    """

    def __init__(
        self, folder: Path, bus: Bus, clock: ManualClock, owner: str = "replica-0", databases: str = ""
    ) -> None:
        self.folder = folder
        self.databases = databases or f"sqlite:///{folder}/{{}}.db?synchronous=normal"
        self.clock = clock
        self.bus = bus
        self.owner = owner
        self.facts: list[Fact] = []
        self.subscribers: list[Subscriber] = []
        self._news = asyncio.Event()
        self.keeper = Keeper(self, "publisher")
        self.database, self.lease = self.keeper.database, self.keeper.lease
        self.outbox, self.dead = self.keeper.outbox, self.keeper.dead
        bus.resumed.append(self._resume)
        self.had_broker = False  # under an earlier placement, which left something in the subscribers' outboxes
        self._gone = False

    @property
    def relay(self) -> Relay:
        """The publisher's; a test may put another one in its place before the start."""
        return self.keeper.relay

    @relay.setter
    def relay(self, relay: Relay) -> None:
        self.keeper.relay = relay

    @property
    def keepers(self) -> list[Keeper]:
        return [self.keeper, *(each.keeper for each in self.subscribers)]

    @property
    def working(self) -> list[Keeper]:
        """Those whose relays have something to deliver: without a broker nothing comes into a subscriber's outbox."""
        has_broker = any(each.startswith(BROKER) for each in self.bus.destinations(""))
        return self.keepers if has_broker or self.had_broker else [self.keeper]

    def _resume(self, destination: str) -> None:
        for each in self.working:
            each.relay.resume(destination)

    def on_fact(self, fact: Fact) -> None:
        """Keep what became of deliveries to services: that a broker has an event is only half of its way."""
        if not getattr(fact, "subscriber", "").startswith(BROKER):
            self.facts.append(fact)
            self._news.set()

    def subscriber(
        self,
        name: str,
        *events: type[Event],
        policy: DeliveryPolicy = PATIENT,
        first: Sequence[type[Event]] = (),
    ) -> Subscriber:
        """One that hears these events, those of `first` from the first on that the bus keeps."""
        policies = dict.fromkeys(events or (() if first else (Booked, Noted)), policy)
        found = Subscriber(name, self, policies | dict.fromkeys(first, FROM_THE_FIRST))
        self.subscribers.append(found)
        return found

    async def start(self) -> None:
        for each in self.keepers:
            await each.open()
        for each in self.subscribers:
            await each.inbox.start()
            self.bus.subscribe(each.name, each.inbox.policies, each.inbox.receive, each.incoming)
        for each in self.working:
            await each.work()
        await self.bus.start()

    async def stop(self) -> None:
        if self._gone:
            return
        for each in self.working:
            await each.rest()
        await self.bus.drain()
        await self.bus.stop()
        await self._close()

    async def _close(self) -> None:
        for each in self.subscribers:
            await each.inbox.stop()
        for each in self.keepers:
            await each.stop()

    async def vanish(self) -> None:
        """End as by `kill -9`, as far as the databases and a broker can tell."""
        self._gone = True
        await self.bus.stop()
        for each in self.keepers:
            await each.vanish()
        for each in self.subscribers:
            await each.inbox.stop()

    async def publish(self, *events: Event) -> None:
        async with self.database.begin() as tx:
            for event in events:
                await tx.publish(event)

    async def settle(self) -> None:
        """Wait until every event is handled or a dead letter."""
        async with asyncio.timeout(60):
            settled = False
            while not settled:
                for each in self.keepers:
                    await each.relay.settle()
                try:
                    settled = not any((await self.bus.lag()).values()) and all(
                        each.relay.is_settled for each in self.keepers
                    )
                except SubscriberAway:  # the broker: it is to come back
                    await asyncio.sleep(0.05)

    async def owed(self) -> list[Any]:
        """What is in any outbox, or dead."""
        return [row for each in self.keepers for row in await each.outbox.depth()]

    async def letters(self) -> list[DeadLetter]:
        """The dead letters, wherever they lie."""
        return [letter for each in self.keepers for letter in await each.dead.list()]

    async def emitted(self, kind: type[FactT], count: int = 1) -> list[FactT]:
        """Wait until facts of this kind were emitted."""
        async with asyncio.timeout(60):
            while len(found := [fact for fact in self.facts if isinstance(fact, kind)]) < count:
                self._news.clear()
                await self._news.wait()
        return found


class BusSuite:
    """At least once, handled once, in order per key, one copy per service, retries, dead letters, nothing lost."""

    keeps_the_past = False
    """Whether a new subscriber can hear what was published before it."""

    @pytest.fixture
    def url(self) -> str:
        """Of a bus on which nothing has happened yet."""
        raise NotImplementedError

    @pytest.fixture
    def make_bus(self, url: str) -> Callable[[], Bus]:
        """Makes the bus of one more process."""
        return partial(bus_for, url, system="suite")

    @pytest.fixture
    async def stage(self, tmp_path: Path, make_bus: Callable[[], Bus]) -> AsyncIterator[Stage]:
        stage = Stage(tmp_path, make_bus(), ManualClock())
        yield stage
        await stage.stop()

    async def test_every_subscribing_service_handles_an_event_once(self, stage: Stage) -> None:
        billing, mail = stage.subscriber("billing"), stage.subscriber("mail", Booked)
        await stage.start()
        await stage.publish(Booked(guest="ada", number=1), Noted(number=2))
        await stage.settle()
        assert sorted(await billing.entries()) == [1, 2]
        assert await mail.entries() == [1]
        assert await stage.owed() == []

    async def test_what_is_rolled_back_is_never_delivered(self, stage: Stage) -> None:
        billing = stage.subscriber("billing")
        await stage.start()
        with pytest.raises(RuntimeError):
            async with stage.database.begin() as tx:
                await tx.execute(insert(ENTRIES).values(number=1))
                await tx.publish(Noted(number=1))
                raise RuntimeError("no")
        await stage.publish(Noted(number=2))
        await stage.settle()
        assert billing.seen == [2]

    async def test_a_repeated_delivery_has_no_second_effect(self, stage: Stage) -> None:
        billing = stage.subscriber("billing")
        kept = []
        receive = billing.inbox.receive

        async def twice(envelope: Any, *, is_new: bool) -> None:
            kept.append(envelope)
            await receive(envelope, is_new=is_new)
            await receive(envelope)

        billing.inbox.receive = twice  # type: ignore[method-assign]
        await stage.start()
        await stage.publish(Noted(number=1))
        await stage.settle()
        await asyncio.gather(*(receive(kept[0]) for _ in range(5)))
        assert await billing.entries() == [1]
        assert billing.seen == [1]

    async def test_events_of_one_key_arrive_in_order_and_wait_for_a_retry(self, stage: Stage) -> None:
        billing = stage.subscriber("billing")
        failures = iter([RuntimeError("the first attempt fails")])

        async def fail_once(event: Any) -> None:
            if event.number == 0 and (failure := next(failures, None)):
                raise failure

        billing.before = fail_once
        await stage.start()
        for number in range(5):
            await stage.publish(Booked(guest="ada", number=number))
        await stage.publish(Booked(guest="bob", number=100))
        await stage.emitted(DeliveryRetried)
        await stage.emitted(Delivered, 1)
        assert billing.seen.count(0) == 1
        assert not {1, 2, 3, 4} & set(billing.seen)
        await stage.clock.advance(PATIENT.cap)
        await stage.settle()
        entries = await billing.entries()
        assert [number for number in entries if number < 100] == [0, 1, 2, 3, 4]
        assert entries[0] == 100

    async def test_events_of_different_keys_go_side_by_side(self, stage: Stage) -> None:
        billing = stage.subscriber("billing")
        together = asyncio.Barrier(3)

        async def meet(_: Any) -> None:
            await together.wait()

        billing.before = meet
        await stage.start()
        await stage.publish(*(Booked(guest=guest, number=1) for guest in ("ada", "bob", "cleo")))
        await stage.settle()
        assert await billing.entries() == [1, 1, 1]

    async def test_a_failing_handler_is_retried_with_backoff_then_the_event_is_a_dead_letter(
        self, stage: Stage
    ) -> None:
        billing, mail = stage.subscriber("billing"), stage.subscriber("mail")

        async def fail(event: Any) -> None:
            if event.number == 1:
                raise RuntimeError("the ledger is closed")

        billing.before = fail
        await stage.start()
        await stage.publish(Booked(guest="ada", number=1))
        await stage.publish(Booked(guest="ada", number=2))
        for attempt in (1, 2):
            facts = await stage.emitted(DeliveryRetried, attempt)
            assert facts[-1].attempt == attempt
            assert 0 <= facts[-1].delay <= PATIENT.base * 2**attempt
            await stage.clock.advance(PATIENT.cap)
        await stage.emitted(DeadLettered)
        await stage.settle()
        assert await billing.entries() == [2]
        assert await mail.entries() == [1, 2]
        (letter,) = await stage.letters()
        assert (letter.type, letter.subscriber, letter.attempts) == ("suite.v1.Booked", "billing", 3)
        assert letter.error == "RuntimeError: the ledger is closed"

    async def test_a_redriven_dead_letter_is_delivered_and_a_discarded_one_is_not(self, stage: Stage) -> None:
        billing = stage.subscriber("billing")

        async def refuse(_: Any) -> None:
            raise Undeliverable("not yet")

        billing.before = refuse
        await stage.start()
        await stage.publish(Noted(number=1), Noted(number=2))
        await stage.emitted(DeadLettered, 2)
        await stage.settle()
        first, second = await stage.letters()
        [where] = [each for each in stage.keepers if await each.dead.list()]
        billing.before = None
        assert await where.dead.redrive(LetterFilter(ids=(first.id,))) == 1
        assert await where.dead.discard(LetterFilter(ids=(second.id,))) == 1
        where.relay.scan_soon()
        await stage.emitted(Delivered)
        await stage.settle()
        assert len(await billing.entries()) == 1
        assert await stage.letters() == []

    async def test_what_no_retry_helps_is_a_dead_letter_at_once(self, stage: Stage) -> None:
        billing = stage.subscriber("billing")

        async def refuse(_: Any) -> None:
            raise Undeliverable("it has no account")

        billing.before = refuse
        await stage.start()
        await stage.publish(Noted(number=1))
        await stage.emitted(DeadLettered)
        assert billing.seen == [1]

    async def test_a_subscriber_that_is_away_loses_nothing_and_uses_up_no_attempt(self, stage: Stage) -> None:
        billing = stage.subscriber("billing")
        receive, is_away = billing.inbox.receive, True

        async def reach(envelope: Any, *, is_new: bool) -> None:
            if is_away:
                raise SubscriberAway("billing is being restarted")
            await receive(envelope, is_new=is_new)

        billing.inbox.receive = reach  # type: ignore[method-assign]
        await stage.start()
        for number in range(3):
            await stage.publish(Booked(guest="ada", number=number))
        for times in range(1, PATIENT.attempts + 3):
            await stage.emitted(Away, times)
            await stage.clock.advance(60)
        is_away = False
        await stage.clock.advance(60)
        await stage.settle()
        assert await billing.entries() == [0, 1, 2]
        assert await stage.letters() == []

    async def test_a_restart_picks_up_what_was_left_with_its_attempts(
        self, stage: Stage, tmp_path: Path, make_bus: Callable[[], Bus]
    ) -> None:
        billing = stage.subscriber("billing")

        async def fail(_: Any) -> None:
            raise RuntimeError("down")

        billing.before = fail
        await stage.start()
        await stage.publish(Booked(guest="ada", number=1))
        await stage.publish(Booked(guest="ada", number=2))
        await stage.emitted(DeliveryRetried)
        await stage.vanish()

        again = Stage(tmp_path, make_bus(), stage.clock)
        billing = again.subscriber("billing")
        await again.start()
        await stage.clock.advance(PATIENT.cap)
        delivered = await again.emitted(Delivered, 2)
        await again.settle()
        assert await billing.entries() == [1, 2]
        assert delivered[0].attempt == 2
        await again.stop()

    async def test_a_new_subscriber_begins_now_or_with_the_first_that_is_kept_as_it_declares(
        self, stage: Stage, tmp_path: Path, make_bus: Callable[[], Bus], caplog: pytest.LogCaptureFixture
    ) -> None:
        mail = stage.subscriber("mail")
        await stage.start()
        for number in range(3):
            await stage.publish(Booked(guest="ada", number=number), Noted(number=10 + number))
        await stage.settle()
        assert len(await mail.entries()) == 6
        await stage.stop()

        for after in (3, 4):  # and not once more where it starts again
            again = Stage(tmp_path, make_bus(), stage.clock)
            again.subscriber("mail")
            billing, office = again.subscriber("billing", Noted, first=[Booked]), again.subscriber("office")
            await again.start()
            await again.publish(Booked(guest="ada", number=after), Noted(number=10 + after))
            await again.settle()
            past = [0, 1, 2] if self.keeps_the_past else []
            new = list(range(3, after + 1))
            entries = await billing.entries()
            assert [each for each in entries if each < 10] == past + new
            assert [each - 10 for each in entries if each >= 10] == new
            assert sorted(await office.entries()) == [*new, *(10 + each for each in new)]
            await again.stop()
        told = [each.getMessage() for each in caplog.records if "begin=" in each.getMessage()]
        assert [each.partition(" and nothing of before")[0] for each in told] == (
            [] if self.keeps_the_past else ["billing hears suite.v1.Booked from now on"]
        )

    @pytest.mark.parametrize("moment", ["before the delivery", "in the handler", "before the acknowledgement"])
    async def test_a_process_killed_at_any_moment_loses_nothing_and_repeats_nothing(
        self, tmp_path: Path, url: str, make_bus: Callable[[], Bus], moment: str
    ) -> None:
        program = Path(__file__).with_name("bus_victim.py")
        ended = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, str(program), url, str(tmp_path), moment],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            timeout=60,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL

        stage = Stage(tmp_path, make_bus(), ManualClock())
        billing = stage.subscriber("billing")
        await stage.start()
        assert await stage.database.fetch_value(select(func.count()).select_from(ENTRIES)) == 1
        await stage.emitted(Delivered)
        await stage.settle()
        assert await billing.entries() == [1]
        assert await stage.owed() == []
        await stage.stop()
