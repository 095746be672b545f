"""What is on disk alone, by subscriber: a relay fetches it key by key, round after round."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meristem.events.delivery import Delivery
    from meristem.events.outbox import Outbox

_TURNS: Final = 64  # keys of one claim to begin with: as many as are served side by side
_FEW: Final = 8
_SHARE: Final = 128  # rows that a relay has in memory to begin with, beside others that may have the rest
_SHORT, _LONG = 0.5, 2.0  # seconds for which its share should last it
_REFUSALS: Final = 10  # claims in a row that found another relay claiming: that one may stand still
_UNDER_WAY: Final = 1.0  # seconds within which a commit that has begun is over


class Backlog:
    """The rows of one subscriber that may be free, and where in them the relay is.

    Each claim takes a run of rows of each of the next keys: few keys with long runs where there are many rows of each,
    many keys with short ones where there are few. So a claim costs what it brings, however many rows wait, and no key
    waits for the rows of another one.
    """

    def __init__(self, outbox: Outbox, subscriber: str) -> None:
        self._is_all: bool | None = False
        self._outbox = outbox
        self._subscriber = subscriber
        self._after: str | None = None
        self._turns = _TURNS
        self._refusals = 0
        self._share = _SHARE
        self._shared_at = 0.0

    @property
    def refusals(self) -> int:
        """How many of the last claims in a row got nothing because another relay claimed just then."""
        return self._refusals

    @property
    def is_at_start(self) -> bool:
        """Whether the next claim begins a round."""
        return self._after is None

    @property
    def share(self) -> int:
        """How many rows a relay has in memory beside others: about what it delivers in a second.

        So all of them have something to do to the end, and little is done once more after one of them.
        """
        return self._share

    def is_used_up(self) -> None:
        """The share was delivered but for a rest: let the next one last for neither too short nor too long."""
        now = monotonic()
        if now - self._shared_at < _SHORT:
            self._share *= 2
        elif now - self._shared_at > _LONG:
            self._share = max(_SHARE, self._share // 2)
        self._shared_at = now

    async def claim(self, room: int) -> list[Delivery]:
        """Take over about `room` rows, oldest of each key first; `is_empty` says whether none is free afterwards."""
        turns = min(self._turns, room)
        regardless = self._refusals >= _REFUSALS
        claim = await self._outbox.claim(
            self._subscriber, self._after, turns=turns, run=room // turns, unkeyed=room, regardless=regardless
        )
        self._refusals = 0 if claim.has_turn else self._refusals + 1
        if not claim.has_turn:
            return []
        # Nothing may be awaited between that answer and what the relay does by `is_empty`, or a row that is committed
        # meanwhile would be taken for one in memory.
        self._is_all = claim.is_all
        self._after = None if claim.is_end else claim.key
        if len(claim.deliveries) < room // 2:
            # Too short a run of too few keys, or too few rows of too many.
            self._turns = max(_FEW, turns // 2) if claim.is_end else 2 * turns
        return claim.deliveries

    async def is_empty(self) -> bool:
        """Whether no row was free after the last claim, or is now."""
        if self._is_all is None:
            self._is_all = not await self._outbox.has_free(self._subscriber)
        return self._is_all


class Backlogs:
    """The subscribers with rows on disk that are not in memory.

    `due` has those of them that are worth a look before the next scan: not those all of whose keys are in another
    replica's hands.
    """

    def __init__(self, outbox: Outbox) -> None:
        self.due: set[str] = set()
        self._outbox = outbox
        self._behind: set[str] = set()
        # When the last row of a subscriber was fetched from disk: one may follow whose commit is still under way.
        self._caught_up: dict[str, float] = {}
        self._of: dict[str, Backlog] = {}

    @property
    def are_empty(self) -> bool:
        """Whether no subscriber has one."""
        return not self._behind

    def behind(self, subscriber: str) -> Backlog | None:
        """The rows of a subscriber that has some on disk alone."""
        return self.of(subscriber) if subscriber in self._behind else None

    def is_caught_up(self, subscriber: str) -> bool:
        """Whether a subscriber has had none for long enough that no commit can still bring one."""
        if subscriber in self._behind:
            return False
        since = self._caught_up.get(subscriber)
        if since is not None and since + _UNDER_WAY > monotonic():
            return False
        self._caught_up.pop(subscriber, None)
        return True

    def of(self, subscriber: str) -> Backlog:
        """The rows of a subscriber, and where in them the relay is."""
        backlog = self._of.get(subscriber)
        if backlog is None:
            backlog = self._of[subscriber] = Backlog(self._outbox, subscriber)
        return backlog

    def add(self, subscriber: str) -> None:
        """A subscriber has rows on disk alone; where that is known, it is not looked at any sooner."""
        if subscriber not in self._behind:
            self._behind.add(subscriber)
            self.due.add(subscriber)

    def remove(self, subscriber: str) -> None:
        """Its last row was fetched."""
        self._behind.discard(subscriber)
        self.due.discard(subscriber)
        self._caught_up[subscriber] = monotonic()

    def put_off(self, subscriber: str) -> None:
        """None of its rows is free: look again after the next scan."""
        self.due.discard(subscriber)

    def retry(self) -> None:
        """A scan is under way: all of them are worth a look."""
        self.due |= self._behind
