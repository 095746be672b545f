"""A service's database: typed reads, units of work, and the hooks that the framework hangs on their commits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy import Connection, MetaData
from sqlalchemy.sql import Executable

from meristem.context import CURRENT
from meristem.errors import IntegrityViolation, MisuseError
from meristem.storage import versions
from meristem.storage.adapters import DATABASES
from meristem.storage.database_file import DatabaseFile
from meristem.storage.driver import Driver, Outcome, Statement
from meristem.storage.fence import fence_of
from meristem.storage.observation import Observers, begin, emit
from meristem.storage.planned import PlannedRevision
from meristem.storage.queries import Queries
from meristem.storage.replication import ReadReplicas, replicas_of, tolerance, wrote
from meristem.storage.scope import Scope, current_unit
from meristem.storage.statement_cache import Parameters, Prepared, StatementCache
from meristem.storage.twin import Twin
from meristem.storage.unit import Hook, Result, UnitOfWork
from meristem.storage.versions import Schema


class Database(Queries):
    """One service's database behind its driver; `database_for(url)` makes it.

    Reads run at once, or inside the open transaction of the current unit of work; writes need `begin()`.
    `before_commit` hooks run inside the transaction of a unit that published events; `observers` see each statement.
    """

    def __init__(self, driver: Driver, *, name: str = "database", replicas: ReadReplicas | None = None) -> None:
        self.name = name
        self.replicas = replicas
        self.before_commit: list[Hook] = []
        self.observers: Observers = []
        self._driver = driver
        self._statements = StatementCache(driver.dialect)
        self._started = False

    @property
    def system(self) -> str:
        """The database system's name, as OpenTelemetry lists them: `sqlite`, `postgresql`."""
        return self._driver.system

    @property
    def server(self) -> str:
        """Where its server is, `db.internal:5432`; empty where it has none."""
        return self._driver.server

    @property
    def writes_side_by_side(self) -> bool:
        """Whether write transactions run at the same time, or one after the other as in SQLite."""
        return self._driver.writes_side_by_side

    @property
    def is_temporary(self) -> bool:
        """Whether it is empty at every start and gone with `stop`."""
        return self._driver.is_temporary

    @property
    def file(self) -> DatabaseFile | None:
        """The one file that it is; None for a temporary one, and for one that a server keeps."""
        return self._driver.file

    @property
    def doubts(self) -> list[Callable[[], None]]:
        """Whom it calls, on the event loop, when nobody can tell whether a commit has happened."""
        return self._driver.doubts

    @property
    def listeners(self) -> list[Callable[[], None]]:
        """Whom it calls, on the event loop, when another process has announced that something waits."""
        return self._driver.listeners

    def announce(self, unit: UnitOfWork) -> None:
        """Tell other processes with the unit's commit that something waits, where they listen."""
        if self._driver.announcement is not None:
            unit.at_commit(self._driver.announcement)

    async def start(self) -> None:
        """Open the database; starting again is fine."""
        if not self._started:
            await self._driver.start()
            self._started = True
            if self.replicas is not None:
                await self.replicas.start()

    def exists(self) -> bool:
        """Whether there is a database to open; else `start` would make one."""
        return self._driver.exists()

    def missing(self) -> str | None:
        """What is gone of the open database, and what to do; None when all is there."""
        return self._driver.missing() if self._started else None

    async def drain(self) -> None:
        """Nothing to do: commits under way are finished by `stop`."""

    async def stop(self) -> None:
        """Finish commits under way, roll back what is left open, close; stopping again is fine."""
        if self._started:
            self._started = False
            if self.replicas is not None:
                await self.replicas.stop()
            await self._driver.stop()

    def begin(self) -> Scope:
        """`async with database.begin() as tx`: a transaction, or a part of the current unit that can fail alone."""
        if CURRENT.get().steps is not None:
            raise _between_steps()
        return Scope(self, self._new_unit, join=True)

    def unit(self) -> Scope:
        """`async with database.unit() as unit`: a unit of work of its own, refused where one is current."""
        return Scope(self, self._new_unit, join=False)

    async def execute(self, statement: Executable, parameters: Parameters = None) -> Result:
        """Run one statement in the current unit of work, or in a transaction of its own, in one hop."""
        unit = current_unit(self)
        if unit is not None:
            return await unit.execute(statement, parameters)
        if CURRENT.get().steps is not None:
            raise _between_steps()
        if fence_of(self) is not None:
            async with self.unit() as unit:
                return await unit.execute(statement, parameters)
        step = self._statements.prepare(statement, parameters).step(parameters)
        began = begin(self.observers)
        try:
            outcome = await self._driver.transaction().commit((step,))
        except BaseException as error:
            if self.replicas is not None and not isinstance(error, IntegrityViolation | MisuseError):
                wrote(self.name)
            emit(self.observers, self.name, step.text, began, error)
            raise
        if self.replicas is not None:
            wrote(self.name)
        emit(self.observers, self.name, step.text, began, outcome.rowcount)
        return Result(outcome.rowcount)

    async def create(self, metadata: MetaData) -> None:
        """Create the tables and indexes that don't exist yet; what exists stays as it is."""
        await versions.create(self._driver, self.name, metadata)

    async def tables(self) -> list[str]:
        """The names of the tables that exist."""
        return (await self._driver.read(self._driver.tables)).rows

    def definition(self, metadata: MetaData) -> list[str]:
        """The statements that make the tables and indexes, as `create` runs them."""
        return [versions.compiled(self._driver.dialect, each).text for each in versions.creation(metadata)]

    def migration(self) -> AbstractContextManager[Connection]:
        """A connection in one transaction to change the schema with; for a thread, not the event loop."""
        return self._driver.migration()

    def twin(self) -> AbstractContextManager[Twin]:
        """A database of the same shape and without rows, to try a migration in; for a thread, not the event loop."""
        return self._driver.twin()

    async def upgrade(self, schemas: Sequence[Schema]) -> list[str]:
        """Bring the framework's own tables to their newest shape; see `versions.upgrade`."""
        return await versions.upgrade(self._driver, self.name, schemas)

    async def pending(self, schemas: Sequence[Schema]) -> list[str]:
        """The revisions of the framework's own tables that `upgrade` would apply."""
        return await versions.pending(self._driver, self.name, schemas)

    async def planned(self, schemas: Sequence[Schema]) -> list[PlannedRevision]:
        """As `pending`, with what each of them does."""
        return await versions.planned(self._driver, self.name, schemas)

    async def _fetch(self, prepared: Prepared, step: Statement) -> Outcome:
        unit = current_unit(self)
        if unit is not None and unit.has_begun:
            return await unit.run(step)
        if CURRENT.get().steps is not None:
            raise _between_steps()
        if prepared.shape.writes:
            raise MisuseError("this statement writes: run it inside `async with database.begin() as tx`, by tx.fetch_*")
        began = begin(self.observers)
        # A unit that has not begun yet is one all the same: what is read in it decides what it writes.
        if self.replicas is not None and unit is None and (tolerated := tolerance(self.name)) is not None:
            answer = await self.replicas.read(step, *tolerated)
            if answer is not None:
                emit(self.observers, self.name, step.text, began, answer.outcome.rowcount, answer.server)
                return answer.outcome
        try:
            outcome = self._driver.try_read(step) or await self._driver.read(step)
        except BaseException as error:
            emit(self.observers, self.name, step.text, began, error)
            raise
        emit(self.observers, self.name, step.text, began, outcome.rowcount)
        return outcome

    def _new_unit(self) -> UnitOfWork:
        told = wrote if self.replicas is not None else None
        unit = UnitOfWork(self.name, self._driver, self._statements, self.before_commit, self.observers, wrote=told)
        if (fence := fence_of(self)) is not None:
            unit.at_commit(fence.statement, fence.parameters, otherwise=fence.lost)
        return unit

    def __del__(self) -> None:
        if getattr(self, "_started", False):
            warnings.warn(f"database {self.name!r} was not stopped", ResourceWarning, source=self, stacklevel=2)
            self._driver.close_soon()


def _between_steps() -> MisuseError:
    return MisuseError(
        "a saga's function leaves the database to its steps, which are in the journal: put the statement in a method "
        "of the service, and run it by `await flow.step(self.method, …)`"
    )


def database_for(
    url: str, *, name: str = "database", directory: Path | None = None, replicas: Sequence[str] = ()
) -> Database:
    """The database at a URL, not started: `sqlite:///path/to/file.db`, or `sqlite://` for a private temporary one.

    `name` is its service; a relative path is one below `directory`, by default the current one. `replicas` are URLs of
    copies of it, for what may be stale. Raises ConfigurationError for a scheme without an adapter, and for a URL that
    its adapter can't read.
    """
    driver = DATABASES.adapter(url)(url, name=name, directory=directory or Path())
    return Database(driver, name=name, replicas=replicas_of(driver, replicas, name))
