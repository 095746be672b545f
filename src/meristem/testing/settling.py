"""A moment at which nothing is left to happen in this process, and what is left before it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from meristem.runtime.storage import ServiceStorage

AGAIN: Final = 0.02  # seconds until a database is asked again about what only it knows of
UNDER_WAY: Final = ("running", "undoing")
UNTIL: Final = " until "


async def settle(kept: Sequence[ServiceStorage]) -> None:
    """Wait until every event is delivered or a dead letter, and no saga runs."""
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


async def left_in(keeping: ServiceStorage) -> list[str]:
    """What a service still has to do, in words; of what pauses, until when."""
    from meristem.events.waiting import waiting_in  # noqa: PLC0415 - SQLAlchemy is for systems that keep something

    told = []
    for each in await waiting_in(keeping.database):
        pause = ""
        if each.due_at is not None:
            pause = f" (paused{UNTIL}{moment(datetime.fromtimestamp(each.due_at, UTC))}: {each.error})"
        told.append(f"{each.count} of {keeping.name}'s events for {each.subscriber}{pause}")
    naps = keeping.naps
    told += [
        f"saga {each.saga} {each.saga_id} of {keeping.name} {each.doing}{UNTIL}{moment(each.until)}" for each in naps
    ]
    found = (await keeping.count()).sagas
    for state in UNDER_WAY:
        others = found.get(state, 0) - len({each.saga_id for each in naps if each.state == state})
        told += [f"{others} of {keeping.name}'s sagas {state}"] if others > 0 else []
    return told


def moment(at: datetime) -> str:
    """A time as people read it."""
    return at.isoformat(sep=" ", timespec="milliseconds")
