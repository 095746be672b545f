"""The twin of a schema: another one with its tables and without their rows, made in a transaction that is undone."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from meristem.errors import ConfigurationError
from meristem.storage.postgresql.connection_opener import quoted
from meristem.storage.postgresql.lock_probe import LockProbe, rows_of, sizes_in, unseen
from meristem.storage.postgresql.migration import connected
from meristem.storage.survival import Effect
from meristem.storage.written_rows import changed_table

if TYPE_CHECKING:
    from meristem.storage.postgresql.address import DatabaseAddress

logger: Final = logging.getLogger("meristem.storage")
_KEPT: Final = ("alembic_version", "meristem_revision")
"""The tables whose rows say what the database has been brought to."""
_TABLES: Final = "SELECT tablename FROM pg_tables WHERE schemaname = :schema ORDER BY tablename"
# Keys before references, and those before what may use them; all in words, with the names that they have.
_RULES: Final = (
    "SELECT c.relname, r.conname, pg_get_constraintdef(r.oid) FROM pg_constraint r "
    "JOIN pg_class c ON c.oid = r.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND r.contype IN ('p', 'u', 'x', 'f') "
    "ORDER BY r.contype = 'f', r.conname"
)
_INDEXES: Final = (
    "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = :schema AND indexname NOT IN (SELECT conname FROM "
    "pg_constraint WHERE connamespace = to_regnamespace(quote_ident(:schema)))"
)
_TRIGGERS: Final = (
    "SELECT c.relname, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN "
    "pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = :schema AND NOT t.tgisinternal AND c.relkind IN "
    "('r', 'p') ORDER BY t.tgname"
)
_VIEWS: Final = "SELECT viewname, definition FROM pg_views WHERE schemaname = :schema ORDER BY viewname"
_PRIVATE: Final = "pg_temp"  # the schema of a connection's own tables, which are committed and end with it
_ROWS_ONLY: Final = re.compile(r"\s*(?:INSERT|UPDATE|DELETE|SELECT|VALUES|WITH|SAVEPOINT|RELEASE|SET)\b", re.IGNORECASE)


class PostgresqlTwin:
    """A twin that is open, and knows the schema that it is of."""

    def __init__(self, connection: Connection, probe: LockProbe | None, sizes: dict[str, int]) -> None:
        self.connection = connection
        self._probe = probe
        self._sizes = sizes

    def tolls(self, statements: Sequence[str]) -> Sequence[Effect]:
        """The locks that are taken, and what is read or written as a whole under them."""
        return [toll for each in statements for toll in self._of(each)]

    def _of(self, statement: str) -> Iterable[Effect]:
        if _ROWS_ONLY.match(statement) is not None:
            table = changed_table(statement)
            return () if table is None else rows_of(table, self._sizes.get(table, 0))
        return unseen(self._sizes) if self._probe is None else self._probe.tolls(statement)


@contextmanager
def twin(address: DatabaseAddress, name: str) -> Iterator[PostgresqlTwin]:
    """A twin of the schema as it is committed; of what is done to it nothing remains, and nobody else sees it."""
    with connected(address, name, commits=False) as connection, _probe(address, name) as probe:
        schema = str(connection.scalar(text("SELECT current_schema()")))
        _check_right(connection, name, "CREATE")
        sizes = sizes_in(connection, schema)
        made = f"meristem_twin_{uuid4().hex[:12]}"
        connection.exec_driver_sql(f"CREATE SCHEMA {made}")
        _make_like(connection, schema, made)
        yield PostgresqlTwin(connection, probe, sizes)


@contextmanager
def _probe(address: DatabaseAddress, name: str) -> Iterator[LockProbe | None]:
    if address.pooled:
        yield None
        return
    with connected(address, name, commits=False) as connection:
        schema = str(connection.scalar(text("SELECT current_schema()")))
        _check_right(connection, name, "TEMPORARY")
        sizes = sizes_in(connection, schema)
        _make_like(connection, schema, _PRIVATE)
        yield LockProbe(connection, sizes)


def _check_right(connection: Connection, name: str, right: str) -> None:
    if not connection.scalar(text(f"SELECT has_database_privilege(current_database(), '{right}')")):
        raise ConfigurationError(
            f"database {name!r}: a migration is tried in tables beside the service's, which the role may not make: "
            "GRANT CREATE, TEMPORARY ON DATABASE … TO the role, which gives no right on what is in other schemas; or "
            "apply it untried, by `meristem migrate --unsafe`"
        )


def _make_like(connection: Connection, schema: str, twin_name: str) -> None:
    original = quoted(schema)

    def found(query: str) -> list[Any]:
        return list(connection.execute(text(query), {"schema": schema}))

    def run(statement: str) -> None:
        connection.exec_driver_sql(statement.replace("%", "%%"))

    # Read in the original's search path: what is told of tables then bears no schema, and means the twin's below.
    tables, rules, views = [name for (name,) in found(_TABLES)], found(_RULES), found(_VIEWS)
    # Functions and operators stay where they are, so triggers and indexes name them with their schema.
    run("SET LOCAL search_path = pg_catalog")
    triggers, indexes = found(_TRIGGERS), found(_INDEXES)
    others = "" if schema == "public" else ", public"
    run(f"SET {'' if twin_name == _PRIVATE else 'LOCAL'} search_path = {twin_name}{others}")
    for name in tables:
        run(f"CREATE TABLE {quoted(name)} (LIKE {original}.{quoted(name)} INCLUDING ALL EXCLUDING INDEXES)")
    for name in (each for each in tables if each in _KEPT):
        run(f"INSERT INTO {quoted(name)} SELECT * FROM {original}.{quoted(name)}")  # noqa: S608 - one of the names above
    for table, rule, definition in rules:
        run(f"ALTER TABLE {quoted(table)} ADD CONSTRAINT {quoted(rule)} {definition}")
    for table, definition in (*indexes, *triggers):
        places = {
            f" ON {start}{schema_name}.{table_name} "
            for start in ("", "ONLY ")
            for schema_name in (schema, original)
            for table_name in (table, quoted(table))
        }
        place = next(each for each in places if each in definition)
        run(definition.replace(place, f" ON {quoted(table)} ", 1))
    # One may be over another one, whatever their names: again, until none can be made any more.
    missing = dict(views)
    while made := [view for view, definition in missing.items() if _is_made(connection, view, definition)]:
        missing = {view: definition for view, definition in missing.items() if view not in made}
    for view in missing:
        # Over what no twin has, a materialized view for one: a revision that changes it is told to fail here.
        logger.info("the view %s is not in the twin of schema %s", view, schema)


def _is_made(connection: Connection, view: str, definition: str) -> bool:
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"CREATE VIEW {quoted(view)} AS {definition}".replace("%", "%%"))
    except ProgrammingError:
        return False
    return True
