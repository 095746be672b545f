"""The connections of one database: few, taken first come first served, and one of them for reads alone."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from time import monotonic
from typing import Any, Final, NamedTuple

from meristem.errors import MeristemError, StorageUnavailable
from meristem.storage.postgresql.connection_opener import ServerFullError
from meristem.storage.postgresql.server_limit import ServerLimit
from meristem.storage.postgresql.session import Session

PATIENCE: Final = 10.0  # seconds for a connection
_IDLE: Final = 300.0  # seconds after which a connection that nobody needs is closed
_FULL: Final = 5.0  # seconds for which a server that was full is asked for no further connection
_RECOVERY: Final = 5.0  # seconds for a cancelled statement to end, and its transaction to be rolled back
_GOODBYE: Final = 2.0  # seconds


class _Waiter(NamedTuple):
    future: asyncio.Future[Session | None]
    writes: bool


class ConnectionPool:
    """Up to `limit` connections. Transactions leave one to reads, and to what is urgent: a replica says that it lives.

    A transaction may wait for its own process's read, by a task that it started: that read always gets its turn, since
    reads hold a connection for one statement and wait for nothing. Two transactions of which one waits for the other's
    connection are ended by the patience.
    """

    def __init__(
        self,
        database: str,
        connect: Callable[[int, Callable[[], bool]], Coroutine[Any, Any, Session]],
        *,
        limit: int,
        server: object,
        server_limit: int,
        patience: float = PATIENCE,
    ) -> None:
        self.size = 0
        self._opening = 0
        self._full_until = 0.0
        self._database = database
        self._connect = connect
        self._limit = limit
        self._most_writing = max(1, limit - 1)
        self._patience = patience
        self._idle: deque[Session] = deque()
        self._waiters: deque[_Waiter] = deque()
        self._writing = 0
        self._generation = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._emptied = asyncio.Event()
        self._server = ServerLimit.join(server, server_limit, self)

    @property
    def is_waiting(self) -> bool:
        """Whether somebody waits for a connection, and one more would help."""
        return self._has_room and self._next(remove=False) is not None

    @property
    def is_bare(self) -> bool:
        """Whether no connection is open."""
        return self.size <= self._opening

    @property
    def _has_room(self) -> bool:
        return self.size < self._limit and monotonic() >= self._full_until

    async def take(self, *, writes: bool, urgent: bool = False) -> Session:
        """A connection, for one who will `give` it back; raises StorageUnavailable where there is none in time.

        What is `urgent` comes before whoever waits.
        """
        session: Session | None = None
        # A read passes transactions that wait for one of their own to end.
        if (urgent or self._next(remove=False) is None) and (not writes or self._writing < self._most_writing):
            session = self._take_idle()
            if session is None and self._may_grow():
                self.size += 1
                return await self._open(writes) or await self.take(writes=writes, urgent=urgent)
        if session is None:
            return await self._wait(writes, urgent=urgent)
        if writes and not session.writes:
            self._writing += 1
            session.writes = True
        return session

    def give(self, session: Session) -> None:
        """Take a connection back, in no transaction."""
        self._lay_down(session)
        if session.is_lost or session.generation != self._generation or self._is_closed:
            self._drop(session)
        elif self._server.wants_back(self):
            self.spawn(session.close(_GOODBYE))
            self._forget()
        else:
            self._hand_on(session)

    def recover(self, session: Session, *, after: asyncio.Task[None] | None = None) -> None:
        """Take a connection back whose statement was cancelled, or whose transaction is open still."""
        if session.is_lost:
            self.suspect()
            self.give(session)
        else:
            self.spawn(self._recover(session, after))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something in the background, which `close` waits for."""
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def suspect(self) -> None:
        """Use none of the connections any more that are open now: the server was restarted, or is a standby."""
        self._generation += 1
        while self._idle:
            self._drop(self._idle.pop())

    def give_up_one(self) -> bool:
        """Close an idle connection, if there is one."""
        if not self._idle:
            return False
        self.size -= 1
        self.spawn(self._idle.popleft().close(_GOODBYE))
        return True

    def grow(self) -> None:
        """Open a connection for who waits longest."""
        waiter = self._next()
        if waiter is not None:
            self.size += 1
            waiter.future.set_result(None)

    async def close(self) -> None:
        """Close what is idle, and what is in use as soon as it is given back; after some seconds, whatever is left."""
        while self.give_up_one():
            pass
        self.close_soon()
        if self.size:
            try:
                async with asyncio.timeout(_RECOVERY):
                    await self._emptied.wait()
            except TimeoutError:
                self.size = 0
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)  # a transport that was cut off closes its socket in the loop's next turn

    def close_soon(self) -> None:
        """Close what is idle without waiting; whoever waits for a connection is refused."""
        if self._is_closed:
            return
        self._is_closed = True
        for waiter in self._waiters:
            if not waiter.future.done():
                waiter.future.set_exception(StorageUnavailable(f"database {self._database!r} was stopped"))
        self._waiters.clear()
        while self._idle:
            self._drop(self._idle.pop())
        self._server.leave(self)

    def _take_idle(self) -> Session | None:
        while self._idle:
            session = self._idle.pop()  # the last used: the others may become old, and be closed
            if not session.is_lost:
                return session
            self._drop(session)
        return None

    def _may_grow(self) -> bool:
        return self._has_room and self._server.admits(self)

    async def _open(self, writes: bool) -> Session | None:
        """Open a connection, whose place is counted already; None where the server has none left and we have others."""
        self._writing += writes
        self._opening += 1
        # In variables of its own: a connection would else keep those of who was first, a unit of work among them.
        opening = asyncio.get_running_loop().create_task(
            self._connect(self._generation, lambda: self.is_bare), context=Context()
        )
        try:
            session = await opening
        except BaseException as error:
            self._writing -= writes
            if opening.done() and not opening.cancelled() and opening.exception() is None:
                opening.result().terminate()  # it came just as its wait was cancelled
            is_full = isinstance(error, ServerFullError)
            if is_full:
                self._full_until = monotonic() + _FULL
            self._forget()
            if not is_full:
                raise
            return None
        finally:
            self._opening -= 1
        session.writes = writes
        return session

    async def _wait(self, writes: bool, *, urgent: bool) -> Session:
        loop = asyncio.get_running_loop()
        waiter = _Waiter(loop.create_future(), writes)
        if urgent:
            self._waiters.appendleft(waiter)
        else:
            self._waiters.append(waiter)
        end = loop.call_later(self._patience, self._refuse, waiter)
        try:
            session = await waiter.future
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.exception() is None:
                self._pass_on(waiter.future.result())
            elif waiter in self._waiters:
                self._waiters.remove(waiter)
            raise
        finally:
            end.cancel()
        return session or await self._open(writes) or await self.take(writes=writes, urgent=urgent)

    def _pass_on(self, session: Session | None) -> None:
        """What came for one who waits no more."""
        if session is None:
            self._forget()
        else:
            self.give(session)

    def _refuse(self, waiter: _Waiter) -> None:
        if not waiter.future.done():
            self._waiters.remove(waiter)
            waiter.future.set_exception(
                StorageUnavailable(
                    f"no connection to database {self._database!r} became free within {self._patience:g} s: let "
                    "transactions be shorter, or raise `?pool=` and `?server_pool=` in its URL"
                )
            )

    def _next(self, *, remove: bool = True) -> _Waiter | None:
        """Who waits longest, of those that may have a connection now."""
        for waiter in self._waiters:
            if not waiter.future.done() and (not waiter.writes or self._writing < self._most_writing):
                if remove:
                    self._waiters.remove(waiter)
                return waiter
        return None

    def _hand_on(self, session: Session) -> None:
        waiter = self._next()
        if waiter is None:
            session.idle_since = now = monotonic()
            self._idle.append(session)
            if now - self._idle[0].idle_since > _IDLE:
                self.give_up_one()
                self._server.freed()
            return
        if waiter.writes:
            self._writing += 1
            session.writes = True
        waiter.future.set_result(session)

    def _lay_down(self, session: Session) -> None:
        if session.writes:
            self._writing -= 1
            session.writes = False

    def _drop(self, session: Session) -> None:
        session.terminate()
        self._forget()

    def _forget(self) -> None:
        """A place is free again."""
        self.size -= 1
        if self._is_closed:
            if self.size <= 0:
                self._emptied.set()
        else:
            self._server.freed()

    async def _recover(self, session: Session, after: asyncio.Task[None] | None) -> None:
        try:
            if after is not None:
                await after
            await session.send("ROLLBACK", patience=_RECOVERY)
        except MeristemError:
            session.terminate()
        self.give(session)
