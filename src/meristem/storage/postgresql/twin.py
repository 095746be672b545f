"""The twin of a schema: another one with its tables and without their rows, made in a transaction that is undone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from sqlalchemy import Connection, text

from meristem.errors import ConfigurationError
from meristem.storage.postgresql.connection_opener import quoted
from meristem.storage.postgresql.migration import connected
from meristem.storage.survival import Effect, Survival

if TYPE_CHECKING:
    from meristem.storage.postgresql.address import DatabaseAddress

_MANY: Final = 1_000_000  # rows, which take a second or more to read or to write anew
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
_VIEWS: Final = "SELECT viewname, definition FROM pg_views WHERE schemaname = :schema ORDER BY viewname"
_SIZE: Final = (
    "SELECT greatest(c.reltuples, 0)::bigint FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = :schema AND c.relname = :table"
)
_INDEX: Final = re.compile(r'CREATE (?:UNIQUE )?INDEX (?:.*?) ON (?:ONLY )?"?(\w+)"?', re.IGNORECASE | re.DOTALL)
_WHOLE: Final = re.compile(
    r'ALTER TABLE (?:ONLY )?"?(\w+)"? (?:ADD CONSTRAINT|ALTER COLUMN .* (?:TYPE|SET NOT NULL))',
    re.IGNORECASE | re.DOTALL,
)


class PostgresqlTwin:
    """A twin that is open, and knows the schema that it is of."""

    is_asking = False

    def __init__(self, connection: Connection, schema: str) -> None:
        self.connection = connection
        self._schema = schema

    def tolls(self, statements: Sequence[str]) -> Sequence[Effect]:
        """The locks under which a table is read or written as a whole."""
        found = []
        for each in statements:
            if match := _INDEX.match(each.strip()):
                hurts = "what writes to it waits meanwhile"
                found.append(self._toll(match[1], "indexes", hurts))
            elif match := _WHOLE.match(each.strip()):
                hurts = "what reads or writes it waits meanwhile"
                found.append(self._toll(match[1], "reads or writes anew all of", hurts))
        return found

    def _toll(self, table: str, does: str, hurts: str) -> Effect:
        rows = self.connection.scalar(text(_SIZE), {"schema": self._schema, "table": table}) or 0
        verdict = Survival.LOOK if rows >= _MANY else Survival.SAFE
        what = f"{does} {table}: about {rows:,} rows"
        return Effect(verdict, what, hurts, "apply it when little is written" if rows >= _MANY else "")


@contextmanager
def twin(address: DatabaseAddress, name: str) -> Iterator[PostgresqlTwin]:
    """A twin of the schema as it is committed; of what is done to it nothing remains, and nobody else sees it."""
    with connected(address, name, commits=False) as connection:
        schema = str(connection.scalar(text("SELECT current_schema()")))
        if not connection.scalar(text("SELECT has_database_privilege(current_database(), 'CREATE')")):
            raise ConfigurationError(
                f"database {name!r}: a migration is tried in a schema beside the service's, which the role may not "
                "make: GRANT CREATE ON DATABASE … TO the role; it gives no right on what is in other schemas"
            )
        _make_like(connection, schema, f"meristem_twin_{uuid4().hex[:12]}")
        yield PostgresqlTwin(connection, schema)


def _make_like(connection: Connection, schema: str, twin_name: str) -> None:
    original, made = quoted(schema), quoted(twin_name)

    def found(query: str) -> list[Any]:
        return list(connection.execute(text(query), {"schema": schema}))

    def run(statement: str) -> None:
        connection.exec_driver_sql(statement.replace("%", "%%"))

    # Read in the original's search path: what is told of tables then bears no schema, and means the twin's below.
    tables, rules, views = [name for (name,) in found(_TABLES)], found(_RULES), found(_VIEWS)
    indexes = found(_INDEXES)
    run(f"CREATE SCHEMA {made}")
    others = "" if schema == "public" else ", public"
    run(f"SET LOCAL search_path = {made}{others}")
    for name in tables:
        run(f"CREATE TABLE {quoted(name)} (LIKE {original}.{quoted(name)} INCLUDING ALL EXCLUDING INDEXES)")
    for name in (each for each in tables if each in _KEPT):
        run(f"INSERT INTO {quoted(name)} SELECT * FROM {original}.{quoted(name)}")  # noqa: S608 - one of the names above
    for table, rule, definition in rules:
        run(f"ALTER TABLE {quoted(table)} ADD CONSTRAINT {quoted(rule)} {definition}")
    for table, definition in indexes:
        places = {
            f" ON {start}{schema_name}.{table_name} "
            for start in ("", "ONLY ")
            for schema_name in (schema, original)
            for table_name in (table, quoted(table))
        }
        place = next(each for each in places if each in definition)
        run(definition.replace(place, f" ON {quoted(table)} ", 1))
    for view, definition in views:
        run(f"CREATE VIEW {quoted(view)} AS {definition}")
