"""What waits to be delivered, for a person who asks why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meristem.events import statements
from meristem.events.delivery import Depth

if TYPE_CHECKING:
    from meristem.storage.database import Database


class Waiting(msgspec.Struct, frozen=True):
    """The events that a subscriber is owed: how many, and since when, in seconds since the epoch.

    Of `failed` of them the last attempt failed; the first of these is tried again at `due_at`, and failed by `error`.
    """

    subscriber: str
    count: int
    oldest: float
    failed: int = 0
    due_at: float | None = None
    error: str | None = None


class _Failed(msgspec.Struct):
    subscriber: str
    failed: int
    due_at: float
    error: str


async def waiting_in(database: Database) -> list[Waiting]:
    """What waits in a publishing service's database, by subscriber."""
    failed = {each.subscriber: each for each in await database.fetch_all(statements.WAITING, into=_Failed)}
    found = []
    for each in await database.fetch_all(statements.PENDING, into=Depth):
        one = Waiting(each.subscriber, each.count, each.oldest)
        if (why := failed.get(each.subscriber)) is not None:
            one = msgspec.structs.replace(one, failed=why.failed, due_at=why.due_at, error=why.error)
        found.append(one)
    return found
