"""What travels with a request, as it is seen wherever the request has consequences."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from enum import Enum
from typing import Protocol

from sqlalchemy import MetaData

from meristem import (
    CallError,
    Code,
    Contract,
    Database,
    Event,
    Flow,
    Message,
    Service,
    System,
    Travelling,
    current,
    every,
    on,
    once,
    operation,
    safe,
    saga,
)  # fmt: skip


class Plan(Enum):
    FREE = "free"
    GOLD = "gold"


class Tenant(Message):
    name: str
    seats: int = 1


Locale = Travelling[str]("parity.locale", default="en", public=True)
Renting = Travelling[Tenant]("parity.tenant")
Paying = Travelling[Plan]("parity.plan", default=Plan.FREE, public=True, traced=False)


class Told(Message):
    """What was found at one place."""

    where: str
    locale: str
    tenant: str | None
    plan: Plan
    baggage: str


def told(where: str) -> Told:
    tenant = Renting.get(None)
    return Told(
        where=where,
        locale=Locale.get(),
        tenant=None if tenant is None else f"{tenant.name} {tenant.seats}",
        plan=Paying.get(),
        baggage=current().baggage,
    )


class Asked(Event, package="parity.travellers.v1", key="name"):
    name: str


class Answered(Event, package="parity.travellers.v1", key="name"):
    name: str


class Clerk(Contract, Protocol, package="parity.travellers.v1"):
    @safe
    async def told(self) -> Told: ...

    @once
    async def noted(self, name: str, where: str) -> str: ...

    @once
    async def take_back(self, name: str) -> None: ...

    @operation(timeout=30.0)
    async def notes(self, name: str, at_least: int) -> list[Told]: ...


class Guide(Contract, Protocol, package="parity.travellers.v1"):
    @safe
    async def seen(self) -> list[Told]: ...

    @safe
    async def seen_in(self, locale: str) -> list[Told]: ...

    @safe
    def stream(self, count: int) -> AsyncIterator[Told]: ...

    @operation(http="POST /seen")
    async def public_seen(self) -> list[Told]: ...

    @operation
    async def publish(self, name: str) -> None: ...

    @operation
    async def answer(self, name: str) -> None: ...

    @once(timeout=30.0)
    async def book(self, name: str, *, fail: bool = False) -> list[Told]: ...

    @once(timeout=30.0)
    async def wait(self, name: str) -> list[Told]: ...

    @operation(timeout=30.0)
    async def tick(self) -> Told: ...


class ClerkService(Clerk, Service, tables=MetaData()):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.found: dict[str, list[Told]] = defaultdict(list)
        self.more = asyncio.Condition()

    async def _note(self, name: str, where: str) -> None:
        async with self.more:
            self.found[name].append(told(where))
            self.more.notify_all()

    async def told(self) -> Told:
        return told("clerk")

    async def noted(self, name: str, where: str) -> str:
        await self._note(name, where)
        return name

    async def take_back(self, name: str) -> None:
        await self._note(name, "undo")

    async def notes(self, name: str, at_least: int) -> list[Told]:
        async with self.more:
            await self.more.wait_for(lambda: len(self.found[name]) >= at_least)
        return self.found[name]

    @on(Asked)
    async def hear(self, event: Asked) -> None:
        await self._note(event.name, "handler")


class GuideService(Guide, Service, tables=MetaData()):
    def __init__(self, clerk: Clerk, database: Database) -> None:
        self.clerk = clerk
        self.database = database
        self.runs: dict[str, list[Told]] = defaultdict(list)
        self.ticked: asyncio.Future[Told] | None = None

    async def seen(self) -> list[Told]:
        return [told("guide"), await self.clerk.told()]

    async def seen_in(self, locale: str) -> list[Told]:
        with Locale.using(locale):
            inside = await self.clerk.told()
        return [inside, await self.clerk.told(), told("guide")]

    async def stream(self, count: int) -> AsyncIterator[Told]:
        for _ in range(count):
            yield told("stream")
            yield await self.clerk.told()

    async def public_seen(self) -> list[Told]:
        return await self.seen()

    async def publish(self, name: str) -> None:
        await self.clerk.noted(name, "once")
        async with self.database.begin() as tx:
            await tx.publish(Asked(name=name))

    async def answer(self, name: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Answered(name=name))

    @saga
    async def book(self, flow: Flow, name: str, *, fail: bool = False) -> list[Told]:
        await flow.with_undo(self.clerk.noted(name, "call of a saga"), self.clerk.take_back)
        step = await flow.step(self._step)
        with Locale.using("it"):
            await self.clerk.noted(name, "another locale")
        if fail:
            raise CallError(Code.ABORTED, "undo it")
        return [step, told("saga")]

    async def _step(self) -> Told:
        return told("step")

    @saga(waits=[Answered])
    async def wait(self, flow: Flow, name: str) -> list[Told]:
        self.runs[name].append(told("saga"))
        await self.clerk.noted(name, "before")
        await flow.wait_for(Answered, key=name, timeout=25)
        await self.clerk.noted(name, "after")
        return self.runs[name]

    @every(seconds=0.05)
    async def look(self) -> None:
        if self.ticked is not None and not self.ticked.done():
            self.ticked.set_result(told("every"))

    async def tick(self) -> Told:
        self.ticked = asyncio.get_running_loop().create_future()
        return await self.ticked


system = System("travellers", services=[ClerkService, GuideService])
