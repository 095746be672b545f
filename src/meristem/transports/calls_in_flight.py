"""The calls of a client that have not ended, and who waits until there is none."""

from __future__ import annotations

import asyncio


class CallsInFlight:
    """Counts them in `in_flight`; whoever takes one off calls `calm`, if anybody waits."""

    def __init__(self) -> None:
        self.in_flight = 0
        self.quiet: asyncio.Future[None] | None = None

    async def drain(self) -> None:
        """Wait until no call is in flight."""
        if self.in_flight:
            self.quiet = self.quiet or asyncio.get_running_loop().create_future()
            # Shielded: all who drain wait for one future.
            await asyncio.shield(self.quiet)

    def calm(self) -> None:
        """Tell who waits when the last call has ended."""
        if self.quiet is not None and not self.in_flight:
            self.quiet.set_result(None)
            self.quiet = None
