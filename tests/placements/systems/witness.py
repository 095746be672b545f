"""A witness of what happens in a service, whom a test can ask and wait for, wherever that service lives."""

import asyncio
from collections import Counter
from typing import Protocol

from meristem import Contract, operation


class Witness(Contract, Protocol, package="parity.witness.v1"):
    """Lives with a service and tells what happened there; `until` waits for it, `let` has something happen."""

    @operation(timeout=60.0)
    async def until(self, event: str) -> int: ...

    @operation(timeout=60.0)
    async def count(self, event: str) -> int: ...

    @operation(timeout=60.0)
    async def let(self, name: str) -> None: ...


class Witnessed:
    """Makes a service its own witness: it says what `happened`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.more = asyncio.Condition()

    async def happened(self, event: str) -> None:
        self.counts[event] += 1
        async with self.more:
            self.more.notify_all()

    async def until(self, event: str) -> int:
        async with self.more:
            await self.more.wait_for(lambda: self.counts[event])
        return self.counts[event]

    async def count(self, event: str) -> int:
        return self.counts[event]

    async def let(self, name: str) -> None:
        await self.happened(f"{name} may go")
