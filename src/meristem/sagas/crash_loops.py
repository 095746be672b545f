"""Crash loops: a saga that ends its process each time is tried alone, and parked after five ends.

Nothing is written while all is well. A saga is stamped with the number of the process that works on it, and one that
stops in order takes the stamp off: so whoever claims a saga with the number of a dead one knows of an end, and counts
it in the statement that claims. What the saga journals next, in a process that lives on, clears the count.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from meristem.clock import Clock
from meristem.errors import StorageError
from meristem.failure_log import log_failure
from meristem.sagas.family import parent_of
from meristem.sagas.records import Kind, SagaRow, StepRow

logger: Final = logging.getLogger(__name__)

DEADLY: Final = 5  # ends of a process that worked on the saga without a step in between, after which the saga is why
BESIDE: Final = 2  # of them, at most, with other sagas of the service under way as well
QUIET: Final = 2.0  # seconds for which the process lives without the saga before that is tried alone
_GROWTH: Final = 4.0  # of that time with each end: a process that ends for another reason mostly does so meanwhile
ALONE: Final = 30.0  # seconds, at most, for which others wait for a saga on trial, and it for them
_SOON: Final = 0.05  # seconds until it looks again


class SagaTrials:
    """The sagas of one service that were under way when a process ended for the second time in a row, or more often.

    Each is tried after a pause in which it is not held, so that an end in the pause is not counted. `turn` is taken for
    as long as one is alone: until it journals something or rests, and no longer than `ALONE`. `is_busy` tells whether
    sagas run here, and `ended` is called when others may go on.
    """

    def __init__(
        self, clock: Clock, turn: asyncio.Lock, *, is_busy: Callable[[], bool], ended: Callable[[], None]
    ) -> None:
        self._clock = clock
        self._turn = turn
        self._is_busy = is_busy
        self._ended = ended
        self._parents: dict[str, str | None] = {}  # of each that is tried, or is to be
        self._alone: str | None = None
        self._over = asyncio.Event()
        self._over.set()

    def __contains__(self, saga_id: str) -> bool:
        return saga_id in self._parents

    def __len__(self) -> int:
        return len(self._parents)

    @property
    def is_on(self) -> bool:
        """Whether a saga goes on alone now, and no other may begin."""
        return self._alone is not None

    async def may_begin(self, saga: SagaRow) -> None:
        """Return when a new saga may begin: at once, but for a trial that it is no part of."""
        parent = parent_of(saga)
        while self.is_on and (parent is None or parent.id != self._alone):
            await self._over.wait()

    def survived(self, saga_id: str) -> None:
        """A saga has come further, or is worked on no more, and the process lives."""
        if saga_id == self._alone:
            self._over.set()

    async def run(self, saga: SagaRow, ends: int, attempt: Callable[[str], Awaitable[bool]]) -> None:
        """Try a saga alone after a pause; `attempt` begins to work on it, and is False where there is nothing to do."""
        quiet = QUIET * _GROWTH ** (ends - BESIDE)
        logger.warning(
            "saga %s %s: its process ended %s times while it was worked on; it goes on alone, in %g seconds",
            saga.name, saga.id, ends, quiet,
        )  # fmt: skip
        parent = parent_of(saga)
        self._parents[saga.id] = None if parent is None else parent.id
        try:
            await self._clock.sleep(quiet)
            await self._until(lambda: saga.id not in self._parents.values())  # a child first: its parent waits for it
            async with self._turn:
                await self._try(saga.id, attempt)
        except StorageError as error:
            log_failure(logger, error, "saga %s %s could not be taken up; trying again", saga.name, saga.id)
        finally:
            del self._parents[saga.id]
            self._ended()

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Of what others do, with no event of its own; rare enough to be looked at again and again."""
        while True:
            if holds():
                return
            await asyncio.sleep(_SOON)

    async def _try(self, saga_id: str, attempt: Callable[[str], Awaitable[bool]]) -> None:
        self._alone = saga_id
        self._over.clear()
        try:
            # What has run for so long meanwhile, and did not end the process, hardly ends it just then.
            with suppress(TimeoutError):
                async with asyncio.timeout(ALONE):
                    await self._until(lambda: not self._is_busy())
            if await attempt(saga_id):
                async with asyncio.timeout(ALONE):
                    await self._over.wait()
        except TimeoutError:  # it may wait for what it kept waiting
            logger.warning("saga %s has not come further in %g seconds; others go on beside it", saga_id, ALONE)
        finally:
            self._alone = None
            self._over.set()


def poisoned(saga: SagaRow, history: list[StepRow]) -> str:
    """Why a saga is parked that ended its process as often as that, for a person."""
    answered = [row for row in history if row.sequence and row.kind is not Kind.UNDO]
    last = max(answered, key=lambda row: row.sequence, default=None)
    where = "at its beginning" if last is None else f"after step {last.position} ({last.name})"
    return (
        f"its process ended {saga.crashes} times while it was worked on {where}, and nothing else of its service's "
        f"sagas the last {DEADLY - BESIDE} times: a step that was under way, or the function between two steps, ends "
        f"the process; mend that, then `meristem sagas retry {saga.id}`, or cancel it"
    )
