"""What the tests of sagas are made of: remote services that keep their effects, and a service that books."""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from meristem import CallError, Code, Contract, Event, Fault, Message, idempotent, once, safe
from meristem.clock import SystemClock
from meristem.context import Context, using
from meristem.contracts.call import Call
from meristem.contracts.contract import operations
from meristem.sagas.engine import SagaEngine
from meristem.sagas.flow import Flow
from meristem.sagas.policy import Backoff, SagaPolicy
from meristem.sagas.saga import saga
from meristem.sagas.tables import SCHEMA
from meristem.services.client import make_client
from meristem.services.outbound import entry
from meristem.storage.database import Database, database_for
from meristem.storage.driver import Driver
from meristem.storage.lease import Lease
from meristem.storage.lease_tables import SCHEMA as LEASE
from meristem.storage.scope import transaction_is_open
from meristem.storage.sqlite.opening import open_driver

QUICK = SagaPolicy(scan=0.02, retry=Backoff(0.001, 0.005), undo=Backoff(0.001, 0.005, attempts=6), grace=0.2)


class RoomTaken(Fault):
    """Somebody else was faster."""

    room: str


class CardDeclined(Fault):
    """The bank refused."""

    reason: str


class Hold(Message):
    room: str
    number: int


class Payment(Message):
    amount: int
    number: int


class Booking(Message):
    room: str
    paid: int


class Request(Message):
    room: str = "blue"
    amount: int = 100


class PaymentSettled(Event, package="tests.sagas.v1", key="room"):
    room: str
    amount: int


class Rooms(Contract, Protocol, package="tests.sagas.v1"):
    @once(raises=[RoomTaken])
    async def hold(self, room: str) -> Hold: ...

    @idempotent()
    async def release(self, hold: Hold) -> None: ...

    async def shout(self, text: str) -> None: ...

    @safe()
    async def look(self, room: str) -> int: ...


class Payments(Contract, Protocol, package="tests.sagas.v1"):
    @once(raises=[CardDeclined])
    async def charge(self, amount: int) -> Payment: ...

    @once()
    async def refund(self, payment: Payment) -> None: ...


def unavailable(*, sent: bool) -> CallError:
    return CallError(Code.UNAVAILABLE, "the line is dead", may_have_happened=sent)


class Remote:
    """Every other service: one effect per key, and trouble on demand.

    `plans[method]` is a list of what the next calls do: an exception is raised instead of the effect, `"lost"` does
    the effect and loses the answer, `"hang"` does the effect and waits for `freed`.
    """

    def __init__(self) -> None:
        self.effects: list[tuple[str, str]] = []
        self.answers: dict[tuple[str, str], Any] = {}
        self.calls: list[tuple[str, str | None]] = []
        self.plans: dict[str, list[Any]] = {}
        self.freed = asyncio.Event()
        self.reached = asyncio.Event()
        self._called = asyncio.Event()

    async def called(self, *names: str) -> None:
        """Wait until each of these methods has been called."""
        async with asyncio.timeout(60):
            while not set(names) <= {name for name, _ in self.calls}:
                self._called.clear()
                await self._called.wait()

    async def handle(self, call: Call) -> Any:
        name, key = call.operation.name, call.context.key or ""
        self.calls.append((name, key))
        self._called.set()
        plan = self.plans.get(name) or [None]
        step = plan.pop(0)
        if isinstance(step, Exception):
            raise step
        reply = self._effect(name, key, call.request)
        if step == "lost":
            raise unavailable(sent=True)
        if step == "hang":
            self.reached.set()
            await self.freed.wait()
        return reply

    def _effect(self, name: str, key: str, request: Any) -> Any:
        if (name, key) not in self.answers:
            self.effects.append((name, key))
            self.answers[name, key] = self._reply(name, request)
        return self.answers[name, key]

    def _reply(self, name: str, request: Any) -> Any:
        if name == "hold":
            return Hold(room=request.room, number=len(self.effects))
        if name == "charge":
            return Payment(amount=request.amount, number=len(self.effects))
        return 7 if name == "look" else None

    def client(self, contract: Any) -> Any:
        known = operations(contract)
        return make_client(
            contract, {name: entry(each, self.handle, "tests", transaction_is_open) for name, each in known.items()}
        )

    def names(self) -> list[str]:
        return [name for name, _ in self.effects]


class Bookings:
    """A service with sagas."""

    def __init__(self, remote: Remote, database: Database | None = None) -> None:
        self.rooms: Rooms = remote.client(Rooms)
        self.payments: Payments = remote.client(Payments)
        self.database = database
        self.seen: list[Any] = []

    @saga
    async def book(self, flow: Flow, request: Request) -> Booking:
        hold = await flow.with_undo(self.rooms.hold(request.room), self.rooms.release)
        payment = await flow.with_undo(self.payments.charge(request.amount), self.payments.refund)
        return Booking(room=hold.room, paid=payment.amount)


@asynccontextmanager
async def engine(
    service: Any,
    database: Database,
    clock: Any = None,
    policy: SagaPolicy = QUICK,
    observers: Any = (),
    *,
    renewal=0.25,
):
    """A running engine for a service."""
    lease = Lease(database, str(uuid.uuid4()), renewal=renewal)
    await lease.start()
    made = SagaEngine(
        "bookings", service, database, clock or SystemClock(), lease=lease, policy=policy, observers=observers
    )
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
        await lease.stop()


@asynccontextmanager
async def opened(path: Path, driver: Driver | None = None):
    """A started database in a file."""
    # A killed process loses nothing that it handed to the system: tests need not wait for the disk.
    found = driver or open_driver(f"sqlite:///{path}?synchronous=normal", name="bookings", directory=path.parent)
    async with _started(Database(found, name="bookings")) as database:
        yield database


@asynccontextmanager
async def opened_at(url: str):
    """A started database at a URL."""
    async with _started(database_for(url, name="bookings")) as database:
        yield database


@asynccontextmanager
async def _started(database: Database):
    await database.start()
    await database.upgrade([LEASE, SCHEMA])
    try:
        yield database
    finally:
        await database.stop()


class Facts:
    """An observer that can be waited for."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self._changed = asyncio.Event()

    def __call__(self, fact: Any) -> None:
        self.all.append(fact)
        self._changed.set()

    async def until(self, kind: type, **fields: Any) -> Any:
        """The first fact of this kind with these fields, once it has come."""
        async with asyncio.timeout(60):
            while True:
                for fact in self.all:
                    if type(fact) is kind and all(getattr(fact, name) == value for name, value in fields.items()):
                        return fact
                self._changed.clear()
                await self._changed.wait()


def keyed(key: str, **more: Any) -> Any:
    """A block in which calls are made under an idempotency key."""
    return using(Context(key=key, **more))


def told(key: str, name: str = "book") -> str:
    """The id of the saga that `keyed(key)` begins."""
    return hashlib.sha256(f"bookings\n{name}\n{key}".encode()).hexdigest()[:32]
