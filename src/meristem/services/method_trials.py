"""Crash loops of `@every` methods: one that ends its process each time is tried with care, and skipped after five ends.

While all is well nothing is written: only the first run of a method after a start, or after the duty of a replica that
is gone was taken over, is counted before it begins. An end of the run in whatever way, in a process that lives on,
clears the count.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, Self

from meristem.errors import StorageError
from meristem.failure_log import log_failure
from meristem.lifecycle import first_of
from meristem.services.facts import Observer, RunSkipped
from meristem.storage.fence import LeaseLostError

logger: Final = logging.getLogger(__name__)

DEADLY: Final = 5  # ends of a process that ran the method, in a row, after which the method is why
BESIDE: Final = 2  # of them, at most, with events and sagas on trial beside it
QUIET: Final = 2.0  # seconds for which the process lives without the method before that is tried alone
_GROWTH: Final = 4.0  # of that time with each end: a process that ends for another reason mostly does so meanwhile
ALONE: Final = 30.0  # seconds after which an event or a saga on trial may have its turn beside a run that goes on
_GLANCE: Final = 0.2  # seconds in which one that wants it takes it: events look every 50 ms
LONG: Final = 600.0  # seconds of a run after which it isn't why a process ends that ends then


class RunCounts(Protocol):
    """Where the ends of processes are counted that ran a method; `duty` is its name there.

    Raises StorageError where that can't be read or written.
    """

    def is_trusted(self, duty: str) -> bool:
        """Whether a run of it has been survived here since this replica took it."""
        ...

    async def crashes(self, duty: str) -> int:
        """How many times in a row a process has ended within it."""
        ...

    async def count(self, duty: str, crashes: int) -> None:
        """Keep how many times that was; 0 when a run was survived."""
        ...

    async def relent(self, duty: str, crashes: int) -> None:
        """Lower the count to this, if it is more and no other replica that lives has the duty."""
        ...


class MethodTrials:
    """The first runs of a service's `@every` methods, which may be the ones that end its process.

    All times are of the machine: a test that moves its clock doesn't meet them. `turn` is shared by all of the process
    that is tried alone. `skipped` are the methods that are not run any more, until the process is stopped in order:
    what starts then, mostly a new release, tries each once more.
    """

    def __init__(self, service: str, turn: asyncio.Lock) -> None:
        self.observers: list[Observer] = []
        self.skipped: dict[str, RunCounts] = {}
        self._service = service
        self._turn = turn
        self._draining = asyncio.Event()
        self._survived: set[str] = set()

    @property
    def problems(self) -> list[str]:
        """A sentence for each method that is not run any more."""
        return [
            f"{duty} is not run any more: its process ended {DEADLY} times in a row while it ran. Mend it, and stop "
            "and start the process in order, as a new release does: then it is tried once more"
            for duty in self.skipped
        ]

    async def recall(self, duty: str, counts: RunCounts) -> None:
        """See at the start whether a method is not run any more, rather than at its first time."""
        try:
            if await counts.crashes(duty) >= DEADLY:
                self._skip(duty, counts)
        except StorageError as error:  # its first run asks again
            log_failure(logger, error, "%s: whether it ended its process could not be read", duty)

    async def run(self, duty: str, counts: RunCounts, job: Callable[[], Awaitable[None]]) -> None:
        """Run a method, unless it ended its process as often as that."""
        if counts.is_trusted(duty):
            return await job()
        # One that was survived here and could not be cleared is no end of a process.
        crashes = 0 if duty in self._survived else await counts.crashes(duty)
        if crashes >= DEADLY:
            self._skip(duty, counts)
            fact = RunSkipped(self._service, duty.removeprefix(f"{self._service}."))
            for observe in self.observers:
                observe(fact)
            return None
        self.skipped.pop(duty, None)
        if crashes < BESIDE:
            return await self._counted(duty, counts, crashes, job, _passes)
        quiet = QUIET * _GROWTH ** (crashes - BESIDE)
        logger.warning("%s: its process ended %d times while it ran; it is tried alone, in %g s", duty, crashes, quiet)
        await first_of(asyncio.sleep(quiet), self._draining.wait())
        if self._draining.is_set():
            return None
        async with _OwnTurn(self._turn) as own:
            return await self._counted(duty, counts, crashes, job, own.passes)

    def drain(self) -> None:
        """End the pauses: nothing is tried any more."""
        self._draining.set()

    async def stop(self) -> None:
        """Have what starts next try once what is not run any more here."""
        for duty, counts in self.skipped.items():
            try:
                await counts.relent(duty, DEADLY - 1)
            except StorageError as error:
                log_failure(logger, error, "%s: that it may be tried once more could not be kept", duty)

    def _skip(self, duty: str, counts: RunCounts) -> None:
        if duty not in self.skipped:
            self.skipped[duty] = counts
            logger.error("%s", self.problems[-1])

    async def _counted(
        self,
        duty: str,
        counts: RunCounts,
        crashes: int,
        job: Callable[[], Awaitable[None]],
        passes: Callable[[], Awaitable[None]],
    ) -> None:
        """Run it as if this process had ended already: if it does, nobody can count that.

        `passes` returns when the run has gone on for so long that something else may end the process as well.
        """
        await counts.count(duty, crashes + 1)
        watch = asyncio.create_task(self._clear_after(passes, duty, counts))
        try:
            await job()
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
            await self._clear(duty, counts)

    async def _clear_after(self, passes: Callable[[], Awaitable[None]], duty: str, counts: RunCounts) -> None:
        await passes()
        await self._clear(duty, counts)

    async def _clear(self, duty: str, counts: RunCounts) -> None:
        self._survived.add(duty)
        if counts.is_trusted(duty):
            return
        try:
            await counts.count(duty, 0)
        except LeaseLostError:  # another replica has it, and counts for itself
            pass
        except StorageError as error:
            log_failure(logger, error, "%s: that its process survived a run could not be kept; it will be", duty)


async def _passes() -> None:
    await asyncio.sleep(LONG)


class _OwnTurn:
    """The turn to be tried alone in this process, from entering to `passes`."""

    def __init__(self, turn: asyncio.Lock) -> None:
        self._turn = turn
        self._has = False

    async def __aenter__(self) -> Self:
        await self._turn.acquire()
        self._has = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self._give()

    async def passes(self) -> None:
        """Return when somebody else has taken the turn, who was let do so every half a minute, or after `LONG`."""
        for _ in range(int(LONG / ALONE)):
            await asyncio.sleep(ALONE)
            self._give()
            await asyncio.sleep(_GLANCE)
            if self._turn.locked():
                return
            await self._turn.acquire()  # at once, as it is free
            self._has = True
        self._give()

    def _give(self) -> None:
        if self._has:
            self._has = False
            self._turn.release()
