"""The PostgreSQL adapter: a few connections, transactions side by side, reads each in one way there and back."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, Executable, text

from meristem.errors import MeristemError, MisuseError
from meristem.storage.driver import Outcome, Statement
from meristem.storage.postgresql.address import ISOLATIONS, read_address
from meristem.storage.postgresql.announcements import Announcements
from meristem.storage.postgresql.connection_opener import ConnectionOpener
from meristem.storage.postgresql.connection_pool import ConnectionPool
from meristem.storage.postgresql.dialect import PostgresqlDialect
from meristem.storage.postgresql.migration import TAKE_TURNS, migration, short_waits
from meristem.storage.postgresql.read_replicas import PostgresqlReplicas
from meristem.storage.postgresql.session import LEAD
from meristem.storage.postgresql.transaction import ATTEMPTS, PostgresqlTransaction
from meristem.storage.postgresql.translation import writes
from meristem.storage.postgresql.twin import PostgresqlTwin, twin

if TYPE_CHECKING:
    from meristem.storage.postgresql.address import DatabaseAddress
    from meristem.storage.postgresql.session import Session

_TABLES: Final = "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()"
_INDEXES: Final = "SELECT indexname FROM pg_catalog.pg_indexes WHERE schemaname = current_schema()"
_READS: Final = re.compile(rf"(?:{LEAD}\()*{LEAD}(SELECT|VALUES|TABLE|SHOW|EXPLAIN|WITH)\b", re.IGNORECASE)
_MAY_WRITE: Final = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)


class PostgresqlDriver:
    """One database of a server, or one schema of it."""

    def __init__(self, address: DatabaseAddress, *, name: str) -> None:
        self.system = "postgresql"
        self.server = address.server
        self.writes_side_by_side = True
        self.is_temporary = False
        self.file = None
        self.dialect = PostgresqlDialect()
        self.name = name
        self.commits_by_itself = not address.pooled and address.isolation == ISOLATIONS[0]
        self._address = address
        self._begin = "BEGIN" if address.isolation == ISOLATIONS[0] else f"BEGIN ISOLATION LEVEL {address.isolation}"
        self._opener = ConnectionOpener(address, name)
        self._pool: ConnectionPool | None = None
        self.announcement: Executable | None = None
        self.doubts: list[Callable[[], None]] = []
        self.listeners: list[Callable[[], None]] = []
        self._listener: Announcements | None = None
        if address.listen is not None:
            channel = f"meristem_{hashlib.sha256((address.schema or name).encode()).hexdigest()[:16]}"
            self.announcement = text(f"SELECT pg_notify('{channel}', '')")
            self._listener = Announcements(address.listen, channel, name)
            self.listeners = self._listener.listeners

    @property
    def pool(self) -> ConnectionPool:
        """The connections; raises MisuseError where there are none."""
        if self._pool is None:
            raise MisuseError(
                f"database {self.name!r} is not started: `await database.start()` first, and not after stop()"
            )
        return self._pool

    @property
    def tables(self) -> Statement:
        """The tables of the schema; a transaction that begins with it holds an advisory lock to its end.

        For others' locks on tables it waits for two seconds at most.
        """
        return Statement(_TABLES, decode=_names)

    @property
    def indexes(self) -> Statement:
        """The indexes of the schema."""
        return Statement(_INDEXES, decode=_names)

    def beginning(self, steps: Sequence[Statement]) -> str:
        """The statements that begin a transaction with these steps."""
        # Before the statement that lists the tables: what one statement waits for, it does not see.
        return f"{self._begin}; {TAKE_TURNS}; {short_waits()}" if steps[0].text == _TABLES else self._begin

    def replicas(self, urls: Sequence[str]) -> PostgresqlReplicas:
        """The hot standbys at these URLs."""
        addresses = [read_address(each, self.name, writes=False) for each in urls]
        return PostgresqlReplicas(addresses, self.name, self.read)

    async def start(self) -> None:
        """Connect once, and see that the service's schema is there."""
        address = self._address
        server = id(asyncio.get_running_loop()), address.server
        self._pool = pool = ConnectionPool(
            self.name, self._opener.connect, limit=address.limit, server=server, server_limit=address.server_limit
        )
        try:
            session = await pool.take(writes=False)
            try:
                await self._opener.check(session)
            finally:
                pool.give(session)
        except BaseException:
            await self.stop()
            raise
        if self._listener is not None:
            self._listener.start()

    async def stop(self) -> None:
        """Finish what is under way, roll back what is left open, close the connections."""
        if self._listener is not None:
            await self._listener.stop()
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    def exists(self) -> bool:
        """A database of a server is made by its administrator, never by a start."""
        return True

    def missing(self) -> str | None:
        """That the server is out of reach, where the last attempt to connect found that."""
        return self._opener.problem if self._pool is None or self._pool.is_bare else None

    def close_soon(self) -> None:
        """Drop the connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.close_soon()

    def try_read(self, step: Statement) -> None:  # noqa: ARG002 - the port's signature
        """Nothing on a server is read on the spot."""
        return

    async def read(self, step: Statement) -> Outcome:
        """Run one statement on a connection of its own; anew on another one, where it is lost on the way."""
        if _READS.match(step.text) is None:
            raise writes(self.name, step.text)
        attempt = 1
        while True:
            session = await self.pool.take(writes=False, urgent=step.urgent)
            try:
                outcome = await self._read(session, step)
            except MeristemError:
                self.pool.recover(session)
                if attempt == ATTEMPTS or not session.may_repeat:
                    raise
                attempt += 1
            except BaseException:
                self.pool.recover(session)
                raise
            else:
                self.pool.give(session)
                return outcome

    async def _read(self, session: Session, step: Statement) -> Outcome:
        if not self._address.pooled and _MAY_WRITE.search(step.text) is None:
            return await session.run(step)
        # A pooler may hand each statement to another connection, of which one alone has prepared it.
        await session.send("BEGIN READ ONLY")
        session.only_reads = True
        try:
            outcome = await session.run(step)
        finally:
            session.only_reads = False
        await session.send("COMMIT")
        return outcome

    def transaction(self) -> PostgresqlTransaction:
        """A new write transaction, not begun yet."""
        self.pool  # noqa: B018 - refuses where the driver isn't started
        return PostgresqlTransaction(self)

    def twin(self) -> AbstractContextManager[PostgresqlTwin]:
        """A schema beside the service's, in a transaction that is undone."""
        return twin(self._address, self.name)

    def migration(self) -> AbstractContextManager[Connection]:
        """A connection that holds the schema's advisory lock."""
        return migration(self._address, self.name)


def _names(rows: list[Any], _: object) -> list[Any]:
    return [name for (name,) in rows]
