"""One hot standby: its connections, what each has been seen to have replayed, and whether it is sound at all."""

from __future__ import annotations

import asyncio
import re
from time import monotonic
from typing import TYPE_CHECKING, Final

from meristem.backoff import HALF, wait_after
from meristem.errors import ConfigurationError, MeristemError, StorageError, StorageUnavailable
from meristem.log_positions import Position
from meristem.storage.facts import Reason
from meristem.storage.postgresql.connection_opener import ConnectionOpener, ServerFullError
from meristem.storage.postgresql.connection_pool import ConnectionPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.storage.driver import Outcome, Statement
    from meristem.storage.postgresql.address import DatabaseAddress
    from meristem.storage.postgresql.session import Session

_STATE: Final = (
    "SELECT pg_is_in_recovery(), coalesce((pg_last_wal_replay_lsn() - '0/0')::bigint, 0), "
    "greatest((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint())), "
    "(SELECT system_identifier FROM pg_control_system())"
)
_CONNECT: Final = 2.0  # seconds for a connection to come about
_PATIENCE: Final = 2.0  # seconds for a connection to become free
_FRESH: Final = 0.02  # seconds for which a standby that was seen to lag is not asked anew
_SILENCE: Final = 1.0  # seconds after which a standby that does not answer is asked whether it lives
_BASE, _CAP = 0.2, 10.0  # seconds between two looks at one that is away
_CONFLICT, _READ_ONLY = "40001", "25006"

WRITES: Final = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE|nextval|setval)\b|\bFOR\s+(KEY\s+)?SHARE\b", re.IGNORECASE)
"""What no standby runs; `FOR UPDATE` is among it. More may be: then the server says so."""


class NotAStandbyError(StorageUnavailable):
    """What answers at a replica's address is no copy of the database."""


class UnansweredError(Exception):
    """A standby did not answer a read, and why."""

    def __init__(self, reason: Reason, *, lasts: bool = False) -> None:
        super().__init__(reason.value)
        self.reason = reason
        self.lasts = lasts  # no standby ever answers this statement


class Standby:
    """A standby; `problem` says what is wrong with it, None where nothing is. `identity` tells the primary's server.

    What was replayed is known of each connection by itself: behind one address there may be several servers.
    """

    def __init__(
        self,
        address: DatabaseAddress,
        name: str,
        identity: Callable[[], int | None],
        on_change: Callable[[Standby], None],
    ) -> None:
        self.problem: str | None = "it has not been looked at yet"
        self.server = address.server
        self.in_flight = 0
        self._address = address
        self._name = name
        self._identity = identity
        self._on_change = on_change
        self._opener = ConnectionOpener(address, name, patience=0.0, attempt=_CONNECT)
        self._pool: ConnectionPool | None = None
        self._lagged: tuple[float, Position] = (0.0, Position(0, 0))
        self._failures = 0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look at it, in the background."""
        address = self._address
        server = id(asyncio.get_running_loop()), address.server
        self._pool = ConnectionPool(
            self._name,
            self._connect,
            limit=address.limit,
            server=server,
            server_limit=address.server_limit,
            patience=_PATIENCE,
        )
        self._pool.spawn(self._look_again())

    async def stop(self) -> None:
        """Close its connections."""
        if self._timer is not None:
            self._timer.cancel()
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def read(self, step: Statement, needed: Position, reason: Reason) -> Outcome:
        """Run a statement where all up to `needed` is seen; raises UnansweredError, with `reason` where that is not so.

        Whatever the statement fails with, the primary has to say: a table may be missing here for a moment.
        """
        pool, now = self._pool, monotonic()
        if pool is None:
            raise UnansweredError(Reason.AWAY)
        at, seen = self._lagged
        if now - at < _FRESH and not seen.covers(needed):
            raise UnansweredError(reason)
        self.in_flight += 1
        session: Session | None = None
        watch: asyncio.TimerHandle | None = None
        try:
            session = await pool.take(writes=False)
            watch = asyncio.get_running_loop().call_later(_SILENCE, self._suspect, session)
            outcome = await self._read(session, step, needed, reason)
        except MeristemError as error:
            raise self._failed(pool, session, error) from None
        except UnansweredError:
            if session is not None:
                (pool.recover if self._address.pooled else pool.give)(session)
            raise
        except BaseException:
            if session is not None:
                pool.recover(session)
            raise
        finally:
            self.in_flight -= 1
            if watch is not None:
                watch.cancel()
        pool.give(session)
        return outcome

    async def _read(self, session: Session, step: Statement, needed: Position, reason: Reason) -> Outcome:
        if self._address.pooled:
            # A pooler may hand each transaction to another server.
            await session.send("BEGIN READ ONLY")
            session.replayed = None
        if session.replayed is None or not session.replayed.covers(needed):
            seen = await self._look(session)
            if not seen.covers(needed):
                self._lagged = (monotonic(), seen)
                raise UnansweredError(reason)
        outcome = await session.run(step)
        if self._address.pooled:
            await session.send("COMMIT")
        return outcome

    def _failed(self, pool: ConnectionPool, session: Session | None, error: MeristemError) -> UnansweredError:
        is_none = isinstance(error, NotAStandbyError)
        if session is None:
            # No connection came: it is away, unless it has as many as it may, and others use them.
            if is_none or self._opener.problem is not None or not pool.size:
                self._leave(str(error))
            return UnansweredError(Reason.AWAY)
        lost = session.is_lost
        pool.recover(session)
        if session.sqlstate == _CONFLICT:
            return UnansweredError(Reason.CONFLICT)
        if session.sqlstate == _READ_ONLY:
            return UnansweredError(Reason.REFUSED, lasts=True)
        if not lost and not is_none:
            return UnansweredError(Reason.REFUSED)
        self._leave(str(error))
        return UnansweredError(Reason.AWAY)

    async def _connect(self, generation: int, is_first: Callable[[], bool]) -> Session:
        session = await self._opener.connect(generation, is_first)
        try:
            session.keep_alive()
            await self._opener.check(session)
            if not self._address.pooled:
                await self._look(session)
        except BaseException:
            session.terminate()
            raise
        return session

    async def _look(self, session: Session) -> Position:
        """What the server at the other end has replayed; raises NotAStandbyError."""
        is_standby, offset, timeline, identity = await session.ask(_STATE)
        primary = self._identity()
        if not is_standby:
            raise NotAStandbyError(f"{self.server} is no standby: it takes writes, since a fail-over perhaps")
        if primary is not None and identity != primary:
            raise NotAStandbyError(f"{self.server} is a standby of another server than that of database {self._name!r}")
        session.replayed = seen = Position(timeline, offset)
        return seen

    def _suspect(self, session: Session) -> None:
        """A read takes long: see whether anybody is there at all, and end its wait where nobody is."""
        if self._pool is not None:
            self._pool.spawn(self._probe(session))

    async def _probe(self, session: Session) -> None:
        try:
            async with asyncio.timeout(_CONNECT):
                other = await self._connect(0, lambda: False)
            await other.close(_CONNECT)
        except ServerFullError:
            return  # it answers
        except (MeristemError, TimeoutError) as error:
            self._leave(str(error) or f"{self.server} does not answer")
            session.terminate()

    def _leave(self, problem: str) -> None:
        """Give it no more reads, and look at it again later."""
        pool = self._pool
        if pool is None:
            return
        pool.suspect()
        before, self.problem = self.problem, problem
        if self._timer is None:
            self._failures += 1
            pause = wait_after(self._failures, _BASE, _CAP, HALF)
            self._timer = asyncio.get_running_loop().call_later(pause, self._due)
        if before is None or self._failures == 1:
            self._on_change(self)

    def _due(self) -> None:
        self._timer = None
        if self._pool is not None:
            self._pool.spawn(self._look_again())

    async def _look_again(self) -> None:
        pool = self._pool
        if pool is None:
            return
        try:
            session = await pool.take(writes=False)
        except (StorageError, ConfigurationError) as error:
            self._leave(str(error))
            return
        try:
            if not self._address.pooled:
                await self._look(session)
        except StorageError as error:
            pool.recover(session)
            self._leave(str(error))
            return
        pool.give(session)
        self._failures = 0
        if self.problem is not None:
            self.problem = None
            self._on_change(self)
