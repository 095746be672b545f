"""SQLite's dialect with types that keep their value: instants as UTC, decimals exact, JSON by msgspec."""

# ruff: noqa: ARG002 - the signatures are SQLAlchemy's
from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import types
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Dialect

from meristem.errors import MisuseError

Processor = Callable[[Any], Any]


class _Instant(sqlite.DATETIME):
    """`DateTime(timezone=True)` is stored as UTC text, which sorts, and comes back aware; a plain one stays naive."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        return _instant_to_text if self.timezone else _wall_time_to_text

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        return _text_to_instant if self.timezone else _text_to_wall_time


class _Uuid(types.Uuid[Any]):
    """A UUID that is read in a third of the time."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        if self.as_uuid:
            return _text_to_uuid
        return super().result_processor(dialect, coltype)  # type: ignore[no-untyped-call,no-any-return]


class _ExactNumeric(types.Numeric[Any]):
    """Decimals as SQLite numbers, so that SQL can compare and sum them, and none that would lose a digit."""

    def bind_processor(self, dialect: Dialect) -> Processor:
        return _decimal_to_number

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        if not self.asdecimal:
            return None
        if self.scale is None:
            return _number_to_decimal
        template = f"%.{self.scale}f"
        return lambda value: None if value is None else Decimal(template % value)


def _instant_to_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is None:
        raise MisuseError(
            "it is a naive datetime, the column is DateTime(timezone=True): give it a tzinfo, such as UTC"
        )
    # A quarter of what isoformat() takes: RFC 3339, but for the separator and for microseconds even if there are none.
    value = value.astimezone(UTC)
    text = msgspec.to_builtins(value)
    return f"{text[:10]} {text[11:26]}" if value.microsecond else f"{text[:10]} {text[11:19]}.000000"


def _wall_time_to_text(value: datetime | None) -> str | None:
    if value is None:
        return None
    if value.tzinfo is not None:
        raise MisuseError("it is an aware datetime, the column is a plain DateTime: declare DateTime(timezone=True)")
    return value.isoformat(" ", "microseconds")


def _text_to_instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text + "+00:00")


def _text_to_wall_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _text_to_uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else msgspec.convert(text, UUID)
    except msgspec.ValidationError:  # another program may have written it in braces, or as a URN
        return UUID(text)


def _decimal_to_number(value: Decimal | float | None) -> int | float | None:
    if not isinstance(value, Decimal):
        return value
    if value.is_finite():
        whole = int(value)
        number = whole if whole == value else float(value)
        if abs(whole) < 2**63 and (isinstance(number, int) or Decimal(repr(number)) == value):
            return number
    raise MisuseError(
        "it is a Decimal with more digits than SQLite keeps (15): store it as a String or in smaller units"
    )


def _number_to_decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(repr(value))


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class SqliteDialect(SQLiteDialect_pysqlite):
    """What statements for SQLite are compiled with."""

    supports_statement_cache = True
    colspecs = {
        **SQLiteDialect_pysqlite.colspecs,
        types.DateTime: _Instant,
        types.TIMESTAMP: _Instant,
        types.Float: types.Float,
        types.Numeric: _ExactNumeric,
        types.Uuid: _Uuid,
    }

    def __init__(self) -> None:
        super().__init__(
            dbapi=sqlite3,
            paramstyle="qmark",
            json_serializer=_to_json,
            json_deserializer=msgspec.json.decode,
        )
