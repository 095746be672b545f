"""A herald that publishes in every way there is, and a scribe who writes down for whom and in which trace it was."""

import asyncio
from typing import Protocol

from msgspec.structs import replace

from meristem import (
    Contract,
    Database,
    Event,
    Fault,
    Flow,
    Identity,
    Message,
    Service,
    System,
    current,
    every,
    on,
    once,
    operation,
    saga,
    using,
)
from meristem.context import Trace

TICKS = "ticks"
TRACE = Trace("1" * 32, "2" * 16)


class Cried(Event, package="parity.herald.v1", key="tag"):
    way: str
    tag: str


class Muttered(Event, package="parity.herald.v1"):
    word: str


class Nobody(Fault):
    """There is nobody to hear it."""


class Heard(Message):
    way: str
    user: str | None
    roles: tuple[str, ...]
    trace: str | None


class Herald(Contract, Protocol, package="parity.herald.v1"):
    @operation
    async def plain(self, tag: str) -> None: ...

    @operation
    async def mutter(self, word: str) -> None: ...

    @operation
    async def for_another(self, tag: str) -> None: ...

    @once(timeout=20.0)
    async def kept(self, tag: str) -> None: ...

    @once(timeout=20.0)
    async def step(self, tag: str) -> None: ...

    @once(timeout=20.0)
    async def late(self, tag: str) -> None: ...

    @once(timeout=20.0, raises=[Nobody])
    async def undo(self, tag: str) -> None: ...


class Scribe(Contract, Protocol, package="parity.scribe.v1"):
    @operation(timeout=20.0)
    async def heard(self, tag: str, at_least: int) -> list[Heard]: ...


class HeraldService(Herald, Service):
    def __init__(self, database: Database) -> None:
        self.database = database

    async def _cry(self, way: str, tag: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Cried(way=way, tag=tag))

    async def plain(self, tag: str) -> None:
        await self._cry("plain", tag)

    async def mutter(self, word: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Muttered(word=word))

    async def for_another(self, tag: str) -> None:
        async with self.database.begin() as tx:
            await tx.publish(Cried(way="own", tag=tag))
            with using(replace(current(), user=Identity("bob"))):
                await tx.publish(Cried(way="another's", tag=tag))

    async def kept(self, tag: str) -> None:
        await self._cry("kept", tag)

    @saga
    async def step(self, flow: Flow, tag: str) -> None:
        await flow.step(self._cry, "step", tag)
        await asyncio.gather(*(flow.step(self._cry, f"branch {number}", tag) for number in range(2)))

    @saga
    async def late(self, flow: Flow, tag: str) -> None:
        await flow.sleep(0.01)
        await flow.step(self._cry, "late", tag)

    @saga
    async def undo(self, flow: Flow, tag: str) -> None:
        await flow.with_undo(flow.step(self._cry, "done", tag), self._take_back)
        raise Nobody

    async def _take_back(self, _: None) -> None:
        await self._cry("undone", "undo")

    @on(Cried)
    async def pass_on(self, event: Cried) -> None:
        if event.way == "plain":
            await self._cry("on", event.tag)

    @every(seconds=0.05)
    async def tick(self) -> None:
        await self._cry("nobody's", TICKS)
        async with self.database.begin() as tx:
            with using(replace(current(), user=Identity("clock"), trace=TRACE)):
                await tx.publish(Cried(way="clock's", tag=TICKS))


class ScribeService(Scribe, Service):
    def __init__(self, database: Database) -> None:
        self.database = database
        self.changed = asyncio.Event()
        self.all: dict[str, list[Heard]] = {}
        self.muttered = 0

    @on(Muttered, attempts=4, base=0.01, cap=0.01)
    async def make_out(self, event: Muttered) -> None:
        self.muttered += 1
        raise KeyError(event.word if self.muttered < 4 else "at the last attempt")

    @on(Cried)
    async def write(self, event: Cried) -> None:
        context = current()
        user, trace = context.user, context.trace
        self.all.setdefault(event.tag, []).append(
            Heard(
                way=event.way,
                user=user.subject if user else None,
                roles=user.roles if user else (),
                trace=trace.trace_id if trace else None,
            )
        )
        self.changed.set()
        self.changed = asyncio.Event()

    async def heard(self, tag: str, at_least: int) -> list[Heard]:
        while True:
            changed, found = self.changed, self.all.get(tag, [])
            if len(found) >= at_least:
                return found
            await changed.wait()


system = System("heralds", services=[HeraldService, ScribeService])
