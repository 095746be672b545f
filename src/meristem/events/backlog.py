"""What of one subscriber is on disk: a relay fetches it key by key, round after round."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meristem.events.outbox import Delivery, Outbox

_TURNS: Final = 64  # keys of one claim to begin with: as many as are served side by side
_FEW: Final = 8


class Backlog:
    """The rows of one subscriber that may be free, and where in them the relay is.

    Each claim takes a run of rows of each of the next keys: few keys with long runs where there are many rows of each,
    many keys with short ones where there are few. So a claim costs what it brings, however many rows wait, and no key
    waits for the rows of another one.
    """

    def __init__(self, outbox: Outbox, subscriber: str) -> None:
        self.is_empty = False
        self._outbox = outbox
        self._subscriber = subscriber
        self._after: str | None = None
        self._turns = _TURNS

    @property
    def is_at_start(self) -> bool:
        """Whether the next claim begins a round."""
        return self._after is None

    async def claim(self, room: int) -> list[Delivery]:
        """Take over about `room` rows, oldest of each key first; `is_empty` says whether none is free afterwards."""
        turns = min(self._turns, room)
        claim = await self._outbox.claim(self._subscriber, self._after, turns=turns, run=room // turns, unkeyed=room)
        # Nothing may be awaited between that answer and what the relay does by `is_empty`, or a row that is committed
        # meanwhile would be taken for one in memory.
        self.is_empty = claim.is_all
        self._after = None if claim.is_end else claim.key
        if len(claim.deliveries) < room // 2:
            # Too short a run of too few keys, or too few rows of too many.
            self._turns = max(_FEW, turns // 2) if claim.is_end else 2 * turns
        return claim.deliveries
