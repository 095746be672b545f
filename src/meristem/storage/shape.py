"""The shape of a database: its tables, what their columns and rules are, and its views; two of them are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, inspect, text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import NullType

from meristem.storage.alembic_folder import FRAMEWORK_PREFIX

_TYPES: Final = {
    "postgresql": text(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_catalog.pg_class c JOIN "
        "pg_catalog.pg_attribute a ON a.attrelid = c.oid JOIN pg_catalog.pg_type t ON t.oid = a.atttypid WHERE "
        "c.relnamespace = to_regnamespace(quote_ident(current_schema())) AND c.relkind IN ('r', 'p') AND a.attnum > 0 "
        "AND t.oid >= 16384"  # what an initdb has made is below
    )
}
_SAID: Final = {"ondelete": "ON DELETE", "onupdate": "ON UPDATE"}
_NOT_THE_SERVICES: Final = ("alembic_version", FRAMEWORK_PREFIX)


class ColumnShape(NamedTuple):
    """What a column takes. `is_filled` says that the database gives a value where a statement gives none."""

    type: str
    nullable: bool
    is_filled: bool


class TableShape(NamedTuple):
    """A table as others use it: `rules` are what a row must keep to, in SQL's words, and the columns each means."""

    columns: Mapping[str, ColumnShape]
    key: tuple[str, ...]
    rules: Mapping[str, frozenset[str]]
    indexes: Mapping[str, frozenset[str]]


class Shape(NamedTuple):
    """The service's tables, and the text of each of its views."""

    tables: Mapping[str, TableShape]
    views: Mapping[str, str]


def shape_of(connection: Connection) -> Shape:
    """The shape of the service's part of a database, as it is now."""
    found, dialect = inspect(connection), connection.dialect
    columns, keys = _by_table(found.get_multi_columns()), _by_table(found.get_multi_pk_constraint())
    uniques, checks = _by_table(found.get_multi_unique_constraints()), _by_table(found.get_multi_check_constraints())
    references, indexes = _by_table(found.get_multi_foreign_keys()), _by_table(found.get_multi_indexes())
    tables, types = {}, _own_types(connection)
    for name, own in columns.items():
        rules = {f"UNIQUE ({', '.join(each['column_names'])})": each["column_names"] for each in uniques[name]}
        rules |= {f"CHECK ({each['sqltext']})": () for each in checks[name]}
        for each in references[name]:
            target = f"{each['referred_table']} ({', '.join(each['referred_columns'])})"
            does = "".join(f" {_SAID.get(key, key)} {value}" for key, value in sorted(each.get("options", {}).items()))
            rules[f"FOREIGN KEY ({', '.join(each['constrained_columns'])}) REFERENCES {target}{does}"] = ()
        plain = {}
        for each in indexes[name]:
            means = [column or "an expression" for column in each["column_names"]]
            if not each["unique"]:
                plain[str(each["name"])] = frozenset(means)
            elif "duplicates_constraint" not in each:
                rules[f"UNIQUE INDEX {each['name']} ({', '.join(means)})"] = means
        tables[name] = TableShape(
            {each["name"]: _column(each, dialect, types.get((name, each["name"]))) for each in own},
            tuple(keys[name]["constrained_columns"]),
            {rule: frozenset(means) for rule, means in rules.items()},
            plain,
        )
    return Shape(tables, {each: str(found.get_view_definition(each)) for each in found.get_view_names()})


def _by_table(found: Mapping[tuple[str | None, str], Any]) -> dict[str, Any]:
    return {name: each for (_, name), each in found.items() if not name.startswith(_NOT_THE_SERVICES)}


def _own_types(connection: Connection) -> Mapping[tuple[str, str], str]:
    """The types of columns by table and name, where the database has others than SQLAlchemy knows."""
    query = _TYPES.get(connection.dialect.name)
    return {} if query is None else {(table, column): kind for table, column, kind in connection.execute(query)}


def _column(column: Any, dialect: Dialect, own_type: str | None) -> ColumnShape:
    fills = column.get("default") is not None or column.get("computed") or column.get("identity")
    kind = column["type"]
    # A type of an extension, or of the service's own.
    named = own_type or "of an unknown type" if isinstance(kind, NullType) else str(kind.compile(dialect))
    return ColumnShape(named, bool(column["nullable"]), bool(fills))
