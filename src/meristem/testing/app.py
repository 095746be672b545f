"""What a test holds in its hands while a system runs: clients, and a moment at which nothing is left to happen."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from meristem.runtime.assembly import Assembly

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.runtime.storage import ServiceStorage

AGAIN: Final = 0.02  # seconds until a database is asked again about what only it knows of
PRIVATE: Final = "sqlite://"  # a database of each process's own, which vanishes with it
UNDER_WAY: Final = ("running", "undoing")
UNTIL: Final = " until "


class RunningSystem(Assembly):
    """A system that runs in this process; `beside` are its other assemblies, where it has more than one."""

    beside: Sequence[Assembly] = ()

    async def settled(self, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - whoever runs out of time is told what is left
        """Wait until every event is delivered, or a dead letter, and no saga runs; one that waits may go on waiting.

        So may one that sleeps until a ManualClock is advanced. What is to be tried again may not: raises TimeoutError
        that says what is left, and until when it pauses.
        """
        kept = [each.storage for app in (self, *self.beside) for each in app.instances.values() if each.storage]
        try:
            async with asyncio.timeout(timeout):
                await _settle(kept)
        except TimeoutError:
            left = [line for each in kept for line in await _told(each)] or ["what began meanwhile"]
            remedy = "the log may say why"
            if self.options.by_hand and any(UNTIL in line for line in left):
                remedy = f"the clock stands at {_moment(self.options.clock.now())}: advance it"
            raise TimeoutError(f"not settled after {timeout:g} s: {', '.join(left)}; {remedy}") from None


async def _settle(kept: Sequence[ServiceStorage]) -> None:
    while True:
        for each in kept:
            await each.settle()
        left = [each for each in kept if await _is_left(each)]
        if not left and all(each.is_settled for each in kept):  # now, in one instant, and in the databases too
            return
        for each in left:
            await each.scan()
        if left:
            await asyncio.sleep(AGAIN)  # what another process wrote there announces itself to no relay


async def _is_left(keeping: ServiceStorage) -> bool:
    found = await keeping.count()
    return (
        any(found.pending.values()) or any(found.sagas.get(state) for state in UNDER_WAY) or await keeping.is_overdue()
    )


async def _told(keeping: ServiceStorage) -> list[str]:
    """What a service still has to do, in words; of what pauses, until when."""
    from meristem.events.waiting import waiting_in  # noqa: PLC0415 - SQLAlchemy is for systems that keep something

    told = []
    for each in await waiting_in(keeping.database):
        pause = ""
        if each.due_at is not None:
            pause = f" (paused{UNTIL}{_moment(datetime.fromtimestamp(each.due_at, UTC))}: {each.error})"
        told.append(f"{each.count} of {keeping.name}'s events for {each.subscriber}{pause}")
    naps = keeping.naps
    told += [
        f"saga {each.saga} {each.saga_id} of {keeping.name} {each.doing}{UNTIL}{_moment(each.until)}" for each in naps
    ]
    found = (await keeping.count()).sagas
    for state in UNDER_WAY:
        others = found.get(state, 0) - len({each.saga_id for each in naps if each.state == state})
        told += [f"{others} of {keeping.name}'s sagas {state}"] if others > 0 else []
    return told


def _moment(at: datetime) -> str:
    return at.isoformat(sep=" ", timespec="milliseconds")
