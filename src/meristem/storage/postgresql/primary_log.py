"""How far the primary's log had come, and when: it tells, without any clock of a server, how old a copy is."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final

from meristem.errors import StorageError
from meristem.log_positions import Position
from meristem.storage.driver import Statement

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from meristem.storage.driver import Outcome

_logger = logging.getLogger("meristem.storage")
_POSITION: Final = (
    "SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint, "
    "(pg_current_wal_insert_lsn() - '0/0')::bigint, current_setting('wal_block_size')::int, "
    "(SELECT system_identifier FROM pg_control_system())"
)
_PAGE_HEADERS: Final = (24, 40)  # bytes: where a page has only its header, the last record ends with the page before
IDLE: Final = 30.0  # seconds for which the primary is asked on after the last read that may be stale
_SHORTEST, _LONGEST = 0.05, 2.0  # seconds between two looks
_SHARE: Final = 5  # looks in the time that a read may be stale
_KEPT: Final = 2048  # looks; of earlier ones each second is kept


class PrimaryLog:
    """Looks at the primary's position while somebody wants to know how old replicas are, and remembers when it was.

    What a replica has replayed up to the position of a look, it has of all that was committed before that look began.
    `read` runs a statement at the primary; `identity` is its server's, once known.
    """

    def __init__(self, read: Callable[[Statement], Coroutine[Any, Any, Outcome]], clock: Callable[[], float]) -> None:
        self.identity: int | None = None
        self._read = read
        self._clock = clock
        self._looks: deque[tuple[float, Position]] = deque()
        self._shortest = _LONGEST
        self._wanted = 0.0
        self._watch: asyncio.Task[None] | None = None
        self._running: asyncio.Task[Position] | None = None
        self._coming: asyncio.Task[Position] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    def needed(self, max_staleness: float) -> Position | None:
        """What a replica must have replayed to be no older than so many seconds; None where that is not known.

        Looks are taken from now on, so that it is known soon.
        """
        now = self._clock()
        self._wanted = now
        pause = min(_LONGEST, max(_SHORTEST, max_staleness / _SHARE))
        if self._watch is None:
            self._shortest = pause
            self._watch = self._spawn(self._look_on())
        elif pause < self._shortest:
            self._shortest = pause
        # The earliest look that is young enough is the one that replicas have had the most time to reach.
        return next((position for at, position in self._looks if at >= now - max_staleness), None)

    async def position(self) -> Position:
        """A position that covers all that was committed when this was called; raises StorageError.

        Those who ask while an answer is on its way share the next one.
        """
        if self._coming is None:
            self._coming = self._spawn(self._after(self._running))
        return await asyncio.shield(self._coming)

    async def stop(self) -> None:
        """Look no more."""
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _after(self, before: asyncio.Task[Position] | None) -> Position:
        if before is not None:
            await asyncio.wait((before,))
        self._running, self._coming = self._coming, None
        began = self._clock()
        # A statement of its own each time: what one run makes of it is not for the next.
        timeline, offset, block, identity = (await self._read(Statement(_POSITION, decode=_raw, first=True))).rows[0]
        self.identity = identity
        rest = offset % block
        position = Position(timeline, offset - rest if rest in _PAGE_HEADERS else offset)
        self._remember(began, position)
        return position

    def _remember(self, began: float, position: Position) -> None:
        if self._looks and self._looks[-1][1].timeline < position.timeline:
            # What a fail-over has lost, a standby that doesn't follow the new primary still has: it is none any more.
            self._looks.clear()
        if not self._looks or self._looks[-1][0] <= began:
            self._looks.append((began, position))
        if len(self._looks) > _KEPT:
            kept = list(self._looks)
            self._looks = deque(kept[: _KEPT // 2 : 2] + kept[_KEPT // 2 :])

    async def _look_on(self) -> None:
        try:
            is_told = False
            while self._clock() - self._wanted < IDLE:
                try:
                    await self.position()
                except StorageError as error:
                    if not is_told:
                        _logger.warning("no replica is read from until it is known how far its primary is: %s", error)
                    is_told = True
                    await asyncio.sleep(_LONGEST)  # what is known becomes old meanwhile, and then the primary is asked
                else:
                    is_told = False
                    await asyncio.sleep(self._shortest)
        finally:
            self._watch = None

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waited has it; where nobody did, nothing depends on it


def _raw(rows: list[Any], _: object) -> list[Any]:
    return rows
