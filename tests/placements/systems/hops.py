"""Three services in a row, and a witness who tells what happened at the far end."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Protocol

from sqlalchemy import Column, Integer, MetaData, Table, insert, literal, select, text

from meristem import (
    Call,
    CallError,
    Code,
    Contract,
    Database,
    Fault,
    Handler,
    Identity,
    Message,
    Middleware,
    Service,
    System,
    current,
    operation,
    safe,
)  # fmt: skip
from systems.witness import Witness, Witnessed

MOOD: ContextVar[str] = ContextVar("mood", default="nobody's")
metadata = MetaData()
NUMBERS = Table("numbers", metadata, Column("n", Integer, primary_key=True))
SLOW = text("WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 2000000000) SELECT count(*) FROM n")


class Seen(Message):
    """What a service found in its context."""

    caller: str | None
    user: str | None
    roles: tuple[str, ...]
    trace: str | None
    key: str | None
    remaining: float | None
    operation: str | None


class Empty(Fault):
    """There is nothing left."""

    after: int


class Far(Contract, Protocol, package="parity.hops.v1"):
    @safe(timeout=30.0)
    async def seen(self) -> Seen: ...

    @operation(timeout=30.0)
    async def hang(self, name: str) -> None: ...

    @operation(timeout=60.0)
    async def query(self, name: str) -> int: ...

    @operation(timeout=0.3)
    async def impatient(self, name: str) -> None: ...

    @operation
    async def own_cancellation(self) -> None: ...

    @operation
    async def swallow(self) -> str: ...

    @safe(timeout=30.0)
    def numbers(self, count: int) -> AsyncIterator[int]: ...

    @safe(timeout=30.0)
    def breaking(self, after: int, how: str) -> AsyncIterator[int]: ...

    @operation(timeout=30.0)
    def endless(self, name: str) -> AsyncIterator[int]: ...

    @operation(timeout=0.4)
    def slow_stream(self, name: str) -> AsyncIterator[int]: ...

    @safe(raises=[Empty], timeout=30.0)
    def faulty(self) -> AsyncIterator[int]: ...

    @safe
    def lasting(self) -> AsyncIterator[Seen]: ...

    @safe(idle=0.8)
    def trickle(self, name: str, count: int) -> AsyncIterator[int]: ...

    @safe(timeout=30.0)
    def contexts(self, count: int) -> AsyncIterator[Seen]: ...

    @safe(timeout=30.0)
    def stored(self, count: int) -> AsyncIterator[int]: ...

    @safe(timeout=30.0)
    def moods(self, count: int) -> AsyncIterator[str]: ...

    @operation(timeout=30.0)
    async def mood(self, ends: str) -> str: ...

    @operation(timeout=30.0, authenticated=True)
    async def whoami(self) -> str: ...

    @operation(timeout=30.0, authenticated=True)
    def private(self) -> AsyncIterator[int]: ...

    @operation(http="POST /whoami", authenticated=True)
    async def public_whoami(self) -> str: ...

    @operation(http="POST /seen")
    async def public_seen(self) -> Seen: ...

    @safe(timeout=30.0)
    async def echo(self, value: int) -> int: ...


class Mid(Contract, Protocol, package="parity.hops.v1"):
    @safe(timeout=20.0)
    async def seen(self) -> list[Seen]: ...

    @operation(timeout=20.0)
    async def hang(self, name: str) -> None: ...

    @operation(timeout=60.0)
    async def query(self, name: str) -> int: ...

    @operation(timeout=0.5)
    async def short(self) -> list[Seen]: ...

    @operation(timeout=0.5)
    async def short_hang(self, name: str) -> None: ...

    @operation(timeout=20.0)
    async def impatient(self, name: str) -> None: ...

    @safe(timeout=20.0)
    def numbers(self, count: int) -> AsyncIterator[int]: ...

    @operation(timeout=20.0)
    def endless(self, name: str) -> AsyncIterator[int]: ...

    @safe(timeout=20.0)
    async def total(self, count: int) -> int: ...

    @operation(timeout=20.0)
    async def first(self, name: str) -> int: ...

    @operation(timeout=20.0)
    async def in_transaction(self, when: str) -> str: ...

    @operation(timeout=20.0)
    async def while_reading(self) -> list[int]: ...

    @operation(timeout=20.0)
    async def begun_before_reading(self) -> str: ...

    @safe(timeout=20.0)
    async def moods(self) -> list[str]: ...

    @operation(timeout=20.0)
    async def mood(self, ends: str) -> list[str]: ...

    @operation(timeout=20.0)
    async def whoami(self) -> str: ...


class Near(Contract, Protocol, package="parity.hops.v1"):
    @operation(timeout=10.0)
    async def seen(self) -> list[Seen]: ...

    @operation(timeout=10.0)
    async def hang(self, name: str) -> None: ...

    @operation(timeout=60.0)
    async def query(self, name: str) -> int: ...


def seen() -> Seen:
    context = current()
    user = context.user
    return Seen(
        caller=context.caller,
        user=user.subject if user else None,
        roles=user.roles if user else (),
        trace=context.trace.trace_id if context.trace else None,
        key=context.key,
        remaining=context.remaining(),
        operation=context.place.operation if context.place else None,
    )


class FarService(Witnessed, Far, Witness, Service, tables=metadata):
    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database

    async def seen(self) -> Seen:
        return seen()

    async def _hang(self, name: str) -> None:
        await self.happened(f"{name} began")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await self.happened(f"{name} cancelled")
            raise

    async def hang(self, name: str) -> None:
        await self._hang(name)

    async def query(self, name: str) -> int:
        await self.happened(f"{name} began")
        try:
            return int(await self.database.fetch_value(SLOW))
        finally:
            # what comes after it could only be read once the database is free again
            await self.happened(f"{name} ended")

    async def impatient(self, name: str) -> None:
        await self._hang(name)

    async def own_cancellation(self) -> None:
        other = asyncio.get_running_loop().create_task(asyncio.Event().wait())
        asyncio.get_running_loop().call_soon(other.cancel)
        await other

    async def swallow(self) -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "its own limit"
        return "none"

    async def numbers(self, count: int) -> AsyncIterator[int]:
        for number in range(count):
            yield number

    async def breaking(self, after: int, how: str) -> AsyncIterator[int]:
        for number in range(after):
            yield number
        if how == "call error":
            raise CallError(Code.OUT_OF_RANGE, "no more")
        raise ValueError("s3cret")

    async def faulty(self) -> AsyncIterator[int]:
        yield 1
        raise Empty(after=1)

    async def endless(self, name: str) -> AsyncIterator[int]:
        number = 0
        try:
            while True:
                yield number
                number += 1
                await asyncio.sleep(0)
        finally:
            await self.happened(f"{name} closed")

    async def slow_stream(self, name: str) -> AsyncIterator[int]:
        yield 1
        await self._hang(name)

    async def lasting(self) -> AsyncIterator[Seen]:
        yield seen()

    async def trickle(self, name: str, count: int) -> AsyncIterator[int]:
        for number in range(count):
            await asyncio.sleep(0.2)
            yield number
        await self._hang(name)

    async def contexts(self, count: int) -> AsyncIterator[Seen]:
        for _ in range(count):
            yield seen()

    async def stored(self, count: int) -> AsyncIterator[int]:
        async with self.database.begin() as tx:
            await tx.execute(insert(NUMBERS), [{"n": number} for number in range(count)])
            for number in range(count):
                yield number
            raise CallError(Code.ABORTED, "nothing of it stays")

    async def moods(self, count: int) -> AsyncIterator[str]:
        for number in range(count):
            yield MOOD.get()
            MOOD.set(f"the producer's, {number}")

    async def mood(self, ends: str) -> str:
        found = MOOD.get()
        MOOD.set("the callee's")
        if ends != "at once":
            await asyncio.sleep(0)
            found += f", then {MOOD.get()}"
            MOOD.set("the callee's, later")
        if ends == "badly":
            raise CallError(Code.ABORTED, found)
        return found

    async def whoami(self) -> str:
        user = current().user
        assert user is not None
        return user.subject

    async def private(self) -> AsyncIterator[int]:
        yield 1

    async def public_whoami(self) -> str:
        return await self.whoami()

    async def public_seen(self) -> Seen:
        return seen()

    async def echo(self, value: int) -> int:
        return value


class MidService(Mid, Service, tables=MetaData()):
    def __init__(self, far: Far, database: Database) -> None:
        self.far = far
        self.database = database

    async def seen(self) -> list[Seen]:
        return [seen(), await self.far.seen()]

    async def hang(self, name: str) -> None:
        await self.far.hang(name)

    async def query(self, name: str) -> int:
        return await self.far.query(name)

    async def short(self) -> list[Seen]:
        return await self.seen()

    async def short_hang(self, name: str) -> None:
        await self.far.hang(name)

    async def impatient(self, name: str) -> None:
        await self.far.impatient(name)

    async def numbers(self, count: int) -> AsyncIterator[int]:
        async for number in self.far.numbers(count):
            yield number * 2

    async def endless(self, name: str) -> AsyncIterator[int]:
        async for number in self.far.endless(name):
            yield number

    async def total(self, count: int) -> int:
        return sum([number async for number in self.far.numbers(count)])

    async def first(self, name: str) -> int:
        async for number in self.far.endless(name):
            return number
        return -1

    async def in_transaction(self, when: str) -> str:
        if when == "before":
            async with self.database.begin() as tx:
                await self.far.echo(1)
                await tx.fetch_value(select(literal(1)))
        elif when == "after":
            async with self.database.begin() as tx:
                await tx.fetch_value(select(literal(1)))
            await self.far.echo(1)
        else:
            async with self.database.begin() as tx:
                await tx.fetch_value(select(literal(1)))
                if when == "stream":
                    return str([number async for number in self.far.numbers(1)])
                await self.far.echo(1)
        return "fine"

    async def while_reading(self) -> list[int]:
        found = []
        with suppress(CallError):
            async for number in self.far.stored(3):
                async with self.database.begin() as tx:  # of its own, beside the producer's
                    await tx.fetch_value(select(literal(1)))
                found.append(await self.far.echo(number))
        return found

    async def begun_before_reading(self) -> str:
        numbers = self.far.numbers(1)
        async with self.database.begin() as tx:
            await tx.fetch_value(select(literal(1)))
            return str([number async for number in numbers])

    async def moods(self) -> list[str]:
        found = []
        MOOD.set("the consumer's")
        async for mood in self.far.moods(3):
            found += [mood, MOOD.get()]
            MOOD.set("the consumer's, later")
        return found

    async def mood(self, ends: str) -> list[str]:
        MOOD.set("the caller's")
        try:
            told = await self.far.mood(ends)
        except CallError as error:
            told = error.message
        return [told, MOOD.get()]

    async def whoami(self) -> str:
        return await self.far.whoami()


class NearService(Near, Service):
    def __init__(self, mid: Mid) -> None:
        self.mid = mid

    async def seen(self) -> list[Seen]:
        return [seen(), *(await self.mid.seen())]

    async def hang(self, name: str) -> None:
        await self.mid.hang(name)

    async def query(self, name: str) -> int:
        return await self.mid.query(name)


def marking(handler: Handler) -> Handler:
    """Middleware of the system's author: it sees the context of each call at its service."""

    async def marked(call: Call) -> Any:
        if current().user is not None and current().user == Identity("blocked"):  # the context is there already
            raise CallError(Code.PERMISSION_DENIED, f"{call.operation.label}: blocked users may not")
        return await handler(call)

    return marked


MIDDLEWARE: Sequence[Middleware] = [marking]


async def authenticate(token: str) -> Identity | None:
    return Identity(token.removeprefix("user-")) if token.startswith("user-") else None


system = System(
    "hops", services=[FarService, MidService, NearService], middleware=MIDDLEWARE, authenticate=authenticate
)
