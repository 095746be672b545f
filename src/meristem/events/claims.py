"""When a relay may claim rows from disk, and deliver from memory alone, beside the other replicas of its service."""

from __future__ import annotations

import asyncio
import math
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meristem.clock import Clock
    from meristem.storage.lease import Lease

_FRESH: Final = 2.0  # polls for which a relay may believe that it is the only one


class Claims:
    """What one relay knows of the others by its `lease`, at which it looks every `poll` seconds.

    What other replicas do takes time of the machine: no clock that steps, and no test that moves one by days, makes
    a relay believe for longer that it is alone, or look at every second between. So `pulse` None is the machine's.
    """

    def __init__(self, lease: Lease, poll: float, pulse: Clock | None) -> None:
        self._lease = lease
        self._poll = poll
        self._pulse = pulse
        self._others = 0
        self._from = -math.inf  # before that another relay may still deliver from memory: claim nothing
        self._alone_until = -math.inf  # so long no other relay can hold an earlier event of a key

    def now(self) -> float:
        """The time by which this relay and the others judge one another, in seconds."""
        return monotonic() if self._pulse is None else self._pulse.steady()

    async def pause(self) -> None:
        """Wait until it is time for the next look."""
        await (asyncio.sleep(self._poll) if self._pulse is None else self._pulse.sleep(self._poll))

    async def start(self) -> None:
        """Give the others, if there are any, the time to see this relay: they may deliver from memory until then."""
        self._others = await self._lease.others()
        if self._others:
            self.wait()

    def wait(self) -> None:
        """Claim nothing until every relay that believes that it is alone has looked again."""
        self._alone_until = -math.inf
        self._from = self.now() + 2 * _FRESH * self._poll

    async def look(self) -> None:
        """See whether other replicas live."""
        self._others = await self._lease.others()
        if self._others:
            self._alone_until = -math.inf

    def believe(self, since: float) -> None:
        """It is known what is on disk alone: if no other relay lived, none holds an event for a while from `since` on.

        `since` is a moment before the look: a relay that joins while it runs is not in what it found.
        """
        if self._others == 0:
            self._alone_until = since + _FRESH * self._poll

    @property
    def are_shared(self) -> bool:
        """Whether other replicas live, which may have what this one leaves."""
        return self._others > 0

    @property
    def are_open(self) -> bool:
        """Whether rows that no replica holds may be claimed."""
        return self.now() >= self._from

    @property
    def is_alone(self) -> bool:
        """Whether no other relay can hold an earlier event."""
        return self._alone_until >= (monotonic() if self._pulse is None else self.now())  # on every publish: one call
