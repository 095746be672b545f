"""A belt that is fed with items, a loader that feeds it, and a witness who tells what happened there."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import Annotated, Protocol

from msgspec import Meta

from meristem import (
    CallError,
    Contract,
    Fault,
    Message,
    Service,
    System,
    Travelling,
    operation,
    safe,
)  # fmt: skip
from systems.hops import Seen, seen
from systems.witness import Witness, Witnessed

MOOD: ContextVar[str] = ContextVar("mood", default="nobody's")
Lane = Travelling[str]("parity.lane", default="none")
BLOB = b"x" * 65_536


class Box(Message):
    """What lies on a belt; `marks` can be changed."""

    number: Annotated[int, Meta(ge=0)]
    marks: list[str] = []


class Full(Fault):
    """The belt holds no more."""

    after: int


class Tagged(Message):
    seen: Seen
    lane: str


class Belt(Contract, Protocol, package="parity.belts.v1"):
    @operation
    async def total(self, numbers: AsyncIterator[int]) -> int: ...

    @operation
    async def mark(self, boxes: AsyncIterator[Box]) -> list[Box]: ...

    @operation
    async def forgiving(self, boxes: AsyncIterator[Box]) -> list[str]: ...

    @operation
    async def first(self, numbers: AsyncIterator[int], /) -> list[int]: ...

    @operation(raises=[Full])
    async def fill(self, *, numbers: AsyncIterator[int]) -> int: ...

    @operation
    async def stumble(self, numbers: AsyncIterator[int]) -> int: ...

    @operation
    async def watched(self, names: AsyncIterator[str]) -> str: ...

    @operation
    async def gated(self, names: AsyncIterator[str]) -> int: ...

    @operation(timeout=0.4)
    async def hurried(self, names: AsyncIterator[str]) -> int: ...

    @operation(idle=0.4)
    async def patient(self, numbers: AsyncIterator[int]) -> int: ...

    @safe
    async def tags(self, numbers: AsyncIterator[int]) -> list[Tagged]: ...

    @operation
    async def moods(self, moods: AsyncIterator[str]) -> list[str]: ...

    @operation(authenticated=True)
    async def private(self, numbers: AsyncIterator[int]) -> int: ...

    @operation
    def echo(self, boxes: AsyncIterator[Box]) -> AsyncIterator[Box]: ...

    @operation
    def running(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]: ...

    @operation
    def flood(self, blobs: AsyncIterator[bytes]) -> AsyncIterator[bytes]: ...

    @operation(raises=[Full])
    def faulty(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]: ...

    @operation
    def few(self, names: AsyncIterator[str]) -> AsyncIterator[str]: ...

    @operation(idle=0.4)
    def silent(self, names: AsyncIterator[str]) -> AsyncIterator[str]: ...

    @operation
    def tagging(self, numbers: AsyncIterator[int]) -> AsyncIterator[Tagged]: ...


class Loader(Contract, Protocol, package="parity.belts.v1"):
    @operation(timeout=20.0)
    async def load(self, count: int) -> int: ...

    @operation(timeout=20.0)
    async def tags(self) -> list[Tagged]: ...

    @operation
    async def pass_on(self, numbers: AsyncIterator[int]) -> int: ...

    @operation
    def hand_on(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]: ...

    @operation(timeout=20.0)
    async def moods(self) -> list[str]: ...


class BeltService(Witnessed, Belt, Witness, Service):
    async def forgiving(self, boxes: AsyncIterator[Box]) -> list[str]:
        met = []
        for _ in range(4):
            try:
                met.append(str((await anext(boxes)).number))
            except CallError as error:
                met.append(str(error))
        return met

    async def total(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])

    async def mark(self, boxes: AsyncIterator[Box]) -> list[Box]:
        found = []
        async for box in boxes:
            box.marks.append("seen")
            found.append(box)
        return found

    async def first(self, numbers: AsyncIterator[int], /) -> list[int]:
        return [await anext(numbers) for _ in range(3)]

    async def fill(self, *, numbers: AsyncIterator[int]) -> int:
        assert [await anext(numbers), await anext(numbers)] == [0, 1]
        raise Full(after=2)

    async def stumble(self, numbers: AsyncIterator[int]) -> int:
        async for number in numbers:
            if number == 2:
                raise ValueError("s3cret")
        return 0

    async def _watch(self, names: AsyncIterator[str], name: str) -> None:
        """Take all items, and tell how that ended."""
        try:
            async for _ in names:
                await self.happened(f"{name} took one")
            await self.happened(f"{name} took all")
        except CallError as error:
            await self.happened(f"{name} met {error.code.value}")
            raise
        except asyncio.CancelledError:
            await self.happened(f"{name} was cancelled")
            raise

    async def watched(self, names: AsyncIterator[str]) -> str:
        name = await anext(names)
        await self.happened(f"{name} began")
        await self._watch(names, name)
        return "done"

    async def gated(self, names: AsyncIterator[str]) -> int:
        name = await anext(names)
        await self.happened(f"{name} began")
        await self.until(f"{name} may go")
        return len([each async for each in names])

    async def hurried(self, names: AsyncIterator[str]) -> int:
        await self._watch(names, await anext(names))
        return 0

    async def patient(self, numbers: AsyncIterator[int]) -> int:
        total = 0
        async for number in numbers:
            if number == 99:
                await asyncio.sleep(0.6)  # its own time is no silence of its caller
            total += number
        return total

    async def tags(self, numbers: AsyncIterator[int]) -> list[Tagged]:
        return [Tagged(seen=seen(), lane=Lane.get()) async for _ in numbers]

    async def moods(self, moods: AsyncIterator[str]) -> list[str]:
        found = []
        async for mood in moods:
            found += [mood, MOOD.get()]
            MOOD.set("the callee's")
        return found

    async def private(self, numbers: AsyncIterator[int]) -> int:
        return await self.total(numbers)

    async def echo(self, boxes: AsyncIterator[Box]) -> AsyncIterator[Box]:
        async for box in boxes:
            yield box

    async def running(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        total = 0
        async for number in numbers:
            total += number
            yield total

    async def flood(self, blobs: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        for _ in range(128):
            yield BLOB
        async for blob in blobs:
            assert len(blob) == len(BLOB)
        yield b"all read"

    async def faulty(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        yield await anext(numbers)
        raise Full(after=1)

    async def few(self, names: AsyncIterator[str]) -> AsyncIterator[str]:
        first = await anext(names)
        try:
            yield first
            async for name in names:
                yield name
                if name == "and out":
                    return
        except CallError as error:
            await self.happened(f"{first} met {error.code.value}")
            raise
        finally:
            await self.happened(f"{first} ended")

    async def silent(self, names: AsyncIterator[str]) -> AsyncIterator[str]:
        yield await anext(names)
        await self._watch(names, "silent")

    async def tagging(self, numbers: AsyncIterator[int]) -> AsyncIterator[Tagged]:
        async for _ in numbers:
            yield Tagged(seen=seen(), lane=Lane.get())


async def upto(count: int) -> AsyncIterator[int]:
    for number in range(count):
        yield number


class LoaderService(Loader, Service):
    def __init__(self, belt: Belt) -> None:
        self.belt = belt

    async def load(self, count: int) -> int:
        return await self.belt.total(upto(count))

    async def tags(self) -> list[Tagged]:
        own: list[Tagged] = []

        async def numbers() -> AsyncIterator[int]:
            for number in range(2):
                own.append(Tagged(seen=seen(), lane=Lane.get()))
                yield number

        return [*(await self.belt.tags(numbers())), *own]

    async def pass_on(self, numbers: AsyncIterator[int]) -> int:
        return await self.belt.total(numbers)

    async def hand_on(self, numbers: AsyncIterator[int]) -> AsyncIterator[int]:
        async for total in self.belt.running(numbers):
            yield total

    async def moods(self) -> list[str]:
        MOOD.set("the caller's")

        async def moods() -> AsyncIterator[str]:
            yield MOOD.get()
            MOOD.set("the iterator's")
            yield MOOD.get()

        return [*(await self.belt.moods(moods())), MOOD.get()]


system = System("belts", services=[BeltService, LoaderService])
