"""What a test holds in its hands while a system runs: clients, and a moment at which nothing is left to happen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meristem.runtime.assembly import Assembly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.runtime.storage import ServiceStorage

AGAIN: Final = 0.02  # seconds until a database is asked again about what only it knows of
UNDER_WAY: Final = ("running", "undoing")


class RunningSystem(Assembly):
    """A system that runs in this process; `beside` are its other assemblies, where it has more than one."""

    beside: Sequence[Assembly] = ()

    async def settled(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - whoever runs out of time is told what is left
        """Wait until every event is delivered, or a dead letter, and no saga runs; one that waits may go on waiting.

        Raises TimeoutError that says what is left.
        """
        kept = [each.storage for app in (self, *self.beside) for each in app.instances.values() if each.storage]
        try:
            async with asyncio.timeout(timeout):
                await _settle(kept)
        except TimeoutError:
            left = [line for each in kept for line in await _left(each)] or ["what began meanwhile"]
            raise TimeoutError(f"not settled after {timeout:g} s: {', '.join(left)}; the log may say why") from None


async def _settle(kept: Sequence[ServiceStorage]) -> None:
    while True:
        for each in kept:
            await each.settle()
        left = [each for each in kept if await _left(each)]
        if not left and all(each.is_settled for each in kept):  # now, in one instant, and in the databases too
            return
        for each in left:
            await each.scan()
        if left:
            await asyncio.sleep(AGAIN)  # what another process wrote there announces itself to no relay


async def _left(keeping: ServiceStorage) -> list[str]:
    """What a service's database says is still to be done, in words."""
    found = await keeping.count()
    events = [f"{count} of {keeping.name}'s events for {name}" for name, count in found.pending.items()]
    sagas = [(state, found.sagas.get(state, 0)) for state in UNDER_WAY]
    return events + [f"{count} of {keeping.name}'s sagas {state}" for state, count in sagas if count]
