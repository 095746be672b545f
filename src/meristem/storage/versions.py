"""The framework's own tables have versions: each room's ordered revisions, recorded in the database they were run in.

A revision and its record are one transaction. What a release records says whether older code may run beside it, since
the older code has never heard of the revision and can't know.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Boolean, Column, ColumnElement, DateTime, Index, MetaData, String, Table, func, insert, select
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateIndex, CreateTable, ExecutableDDLElement
from sqlalchemy.sql.dml import Insert
from sqlalchemy.sql.elements import ClauseElement

from meristem.errors import ConfigurationError
from meristem.storage.driver import Driver, Outcome, Statement, Transaction
from meristem.storage.lock_patience import until_free
from meristem.storage.planned import PlannedRevision, PlannedStep
from meristem.storage.survival import Effect, Survival

SERVICE: Final = "service"
"""The room under which a service's own Alembic revisions are recorded."""

REVISIONS: Final = Table(
    "meristem_revision",
    MetaData(),
    Column("room", String(50), primary_key=True),
    Column("name", String(200), primary_key=True),
    Column("compatible", Boolean, nullable=False),  # whether a release without this revision may run
    Column("applied", DateTime(timezone=True), nullable=False),
)
_ALONE: Final = "stop all that runs on the database before"
_RECORDED: Final = select(REVISIONS.c.room, REVISIONS.c.name, REVISIONS.c.compatible)


class Revision(NamedTuple):
    """One change of a room's tables. `steps` are DDL and statements without parameters, frozen as they were written.

    `compatible` says that a release without this revision may run on the changed tables: it only adds what that
    release doesn't see. Expand in one release; contract in a later one, when nobody runs the first any more.
    """

    name: str
    compatible: bool
    steps: Sequence[ClauseElement] = ()


class Schema(NamedTuple):
    """The tables of one room: their newest shape, and the revisions that lead to it from the first.

    A database that has `anchor` but no record was made before there were records: it is at the first revision.
    """

    room: str
    tables: MetaData
    anchor: str
    revisions: Sequence[Revision]


class Recorded(NamedTuple):
    """A revision that a database has been brought to."""

    room: str
    name: str
    compatible: bool

    @property
    def label(self) -> str:
        return f"{self.room} {self.name}"


class AddColumn(ExecutableDDLElement):
    """`ALTER TABLE … ADD COLUMN …`, for a column of the table as the revision knows it."""

    def __init__(self, column: Column[Any]) -> None:
        self.element = column


@compiles(AddColumn)
def _add_column(added: AddColumn, compiler: Any, **_: Any) -> str:
    table = compiler.preparer.format_table(added.element.table)
    return f"ALTER TABLE {table} ADD COLUMN {compiler.get_column_specification(added.element)}"


class DropColumn(ExecutableDDLElement):
    """`ALTER TABLE … DROP COLUMN …`, for a column that no index holds."""

    def __init__(self, column: Column[Any]) -> None:
        self.element = column


@compiles(DropColumn)
def _drop_column(dropped: DropColumn, compiler: Any, **_: Any) -> str:
    column, names = dropped.element, compiler.preparer
    return f"ALTER TABLE {names.format_table(column.table)} DROP COLUMN {names.format_column(column)}"


class RenameTable(ExecutableDDLElement):
    """`ALTER TABLE … RENAME TO …`; the table's indexes keep their names."""

    def __init__(self, table: Table, to: str) -> None:
        self.element = table
        self.to = to


@compiles(RenameTable)
def _rename_table(renamed: RenameTable, compiler: Any, **_: Any) -> str:
    names = compiler.preparer
    return f"ALTER TABLE {names.format_table(renamed.element)} RENAME TO {names.quote(renamed.to)}"


_Run: TypeAlias = Callable[[Statement], Awaitable[Outcome]]


class _Database(NamedTuple):
    """What a database tells of itself."""

    tables: Collection[str]
    recorded: Sequence[Recorded]

    def has(self, room: str, name: str) -> bool:
        return any(each.room == room and each.name == name for each in self.recorded)

    def knows(self, room: str) -> bool:
        return any(each.room == room for each in self.recorded)


class _Change(NamedTuple):
    """What one transaction does: its statements, and the revisions that stand afterwards."""

    steps: Sequence[ClauseElement]
    revisions: Sequence[Recorded]


async def upgrade(driver: Driver, name: str, schemas: Sequence[Schema]) -> list[str]:
    """Bring the framework's tables to their newest shape; answers with what was applied, oldest first.

    Each revision is one transaction. Of replicas that start at once the first migrates, the others wait and find it
    done. Raises ConfigurationError where a newer release has changed the tables so that this one can't work.
    """
    applied: list[str] = []
    found = await _look(driver, driver.read)
    check_newer(name, _newer(found, schemas))
    while _next(found, schemas) is not None:
        applied += await until_free(name, lambda: _apply_next(driver, schemas))
        found = await _look(driver, driver.read)
    return applied


async def _apply_next(driver: Driver, schemas: Sequence[Schema]) -> list[str]:
    """Run the next transaction, if nobody else has meanwhile."""
    async with _taking_turns(driver) as transaction:
        change = _next(await _look(driver, lambda step: transaction.run([step])), schemas)
        if change is None:
            return []
        await transaction.commit(_statements(driver.dialect, change))
    return [each.label for each in change.revisions]


async def create(driver: Driver, name: str, metadata: MetaData) -> None:
    """Make the tables and indexes that are not there: of replicas that start at once the first does."""
    await until_free(name, lambda: _create(driver, metadata))


async def _create(driver: Driver, metadata: MetaData) -> None:
    # Looked for first, since `CREATE INDEX IF NOT EXISTS` locks the table against writers before it looks.
    if not _not_there(metadata, (await driver.read(driver.tables)).rows, (await driver.read(driver.indexes)).rows):
        return
    async with _taking_turns(driver) as transaction:
        tables = (await transaction.run([driver.tables])).rows
        steps = _not_there(metadata, tables, (await transaction.run([driver.indexes])).rows)
        if steps:
            await transaction.commit([compiled(driver.dialect, each) for each in steps])


@asynccontextmanager
async def _taking_turns(driver: Driver) -> AsyncIterator[Transaction]:
    """A transaction to change tables in, which begins with `driver.tables`; rolled back unless it is committed."""
    transaction = driver.transaction()
    try:
        yield transaction
    finally:
        if transaction.is_open:
            transaction.abandon()


def _not_there(metadata: MetaData, tables: Collection[str], indexes: Collection[str]) -> list[ClauseElement]:
    return [
        each
        for each in creation(metadata)
        if str(each.element.name) not in (tables if isinstance(each, CreateTable) else indexes)
    ]


async def pending(driver: Driver, name: str, schemas: Sequence[Schema]) -> list[str]:
    """What `upgrade` would apply, oldest first; raises as it does."""
    found = await _look(driver, driver.read)
    check_newer(name, _newer(found, schemas))
    return [f"{schema.room} {each.name}" for schema in schemas for each in _missing(found, schema)]


async def planned(driver: Driver, name: str, schemas: Sequence[Schema]) -> list[PlannedRevision]:
    """As `pending`, with the statements of each; one that is not compatible is safe only where nothing is yet."""
    found = await _look(driver, driver.read)
    check_newer(name, _newer(found, schemas))
    foreseen = []
    for schema in schemas:
        is_new = not found.knows(schema.room) and schema.anchor not in found.tables
        for each in _missing(found, schema):
            steps = each.steps if not is_new else creation(schema.tables) if each is schema.revisions[0] else ()
            done = Effect(Survival.SAFE, "changes the framework's own tables")
            if not is_new and not each.compatible:
                done = Effect(Survival.UNSAFE, done.what, "the Meristem that runs can't work on them", _ALONE)
            texts = [compiled(driver.dialect, step).text.strip() for step in steps]
            told = [PlannedStep([text], [done]) for text in texts] or [PlannedStep([], [done])]
            label = f"{schema.room} {each.name}"
            foreseen.append(PlannedRevision(label, "", each.compatible, told, of_framework=True))
    return foreseen


def check_newer(name: str, newer: Sequence[Recorded]) -> None:
    """Refuse a database that a newer release has changed so that older ones can't work with it."""
    against = [each.label for each in newer if not each.compatible]
    if against:
        raise ConfigurationError(
            f"database {name!r} was migrated by a newer release ({', '.join(against)}) to a shape that this release "
            "can't work with: run the newer release, or restore a backup that was made before it"
        )


async def _look(driver: Driver, run: _Run) -> _Database:
    tables = (await run(driver.tables)).rows
    if REVISIONS.name not in tables:
        return _Database(tables, ())
    text = str(_RECORDED.compile(dialect=driver.dialect))
    return _Database(tables, (await run(Statement(text, decode=_as_recorded))).rows)


def _as_recorded(rows: list[Any], _: object) -> list[Recorded]:
    return [Recorded(room, name, bool(compatible)) for room, name, compatible in rows]


def _newer(found: _Database, schemas: Sequence[Schema]) -> list[Recorded]:
    """The recorded revisions that this release has never heard of."""
    known = {(schema.room, each.name) for schema in schemas for each in schema.revisions}
    return [each for each in found.recorded if each.room != SERVICE and (each.room, each.name) not in known]


def _missing(found: _Database, schema: Schema) -> Sequence[Revision]:
    if not found.knows(schema.room) and schema.anchor in found.tables:
        return schema.revisions[1:]
    return [each for each in schema.revisions if not found.has(schema.room, each.name)]


def _next(found: _Database, schemas: Sequence[Schema]) -> _Change | None:
    """The next transaction: first all rooms that are new or were never recorded, then one revision after the other."""
    steps: list[ClauseElement] = []
    revisions: list[Recorded] = []
    for schema in schemas:
        if not found.knows(schema.room):
            is_new = schema.anchor not in found.tables
            # A new room is made as it is now: to run every revision since the first would keep each old shape alive.
            steps += creation(schema.tables) if is_new else ()
            revisions += _records(schema, schema.revisions if is_new else schema.revisions[:1])
    if revisions:
        return _Change([CreateTable(REVISIONS, if_not_exists=True), *steps], revisions)
    for schema in schemas:
        for each in _missing(found, schema):
            return _Change(each.steps, _records(schema, [each]))
    return None


def _records(schema: Schema, revisions: Sequence[Revision]) -> list[Recorded]:
    return [Recorded(schema.room, each.name, each.compatible) for each in revisions]


def creation(tables: MetaData) -> list[CreateTable | CreateIndex]:
    """What makes the tables and indexes that don't exist yet."""
    steps: list[CreateTable | CreateIndex] = []
    for table in tables.sorted_tables:
        steps.append(CreateTable(table, if_not_exists=True))
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        steps += [CreateIndex(index, if_not_exists=True) for index in indexes]
    return steps


def index_where(name: str, condition: ColumnElement[bool], *columns: Column[Any]) -> Index:
    """A partial index, which holds only the rows that fulfil the condition; a statement it serves repeats that."""
    return Index(name, *columns, sqlite_where=condition, postgresql_where=condition)


def record(each: Recorded) -> Insert:
    """The statement that records a revision as applied now."""
    return insert(REVISIONS).values({**each._asdict(), "applied": func.current_timestamp()})


def _statements(dialect: Dialect, change: _Change) -> list[Statement]:
    return [compiled(dialect, each) for each in (*change.steps, *map(record, change.revisions))]


def compiled(dialect: Dialect, step: ClauseElement) -> Statement:
    """DDL, or a statement whose values stand in its text, ready for the driver."""
    is_ddl = isinstance(step, ExecutableDDLElement)
    return Statement(str(step.compile(dialect=dialect, compile_kwargs={} if is_ddl else {"literal_binds": True})))
