"""PostgreSQL's dialect, whose values are those that SQLite's has: aware instants, exact decimals, JSON by msgspec."""

# ruff: noqa: ARG002 - the signatures are SQLAlchemy's
from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import asyncpg
import msgspec
from sqlalchemy import types
from sqlalchemy.dialects.postgresql.asyncpg import (
    AsyncAdapt_asyncpg_dbapi,
    PGCompiler_asyncpg,
    PGDialect_asyncpg,
    PGIdentifierPreparer_asyncpg,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql.functions import sum as sum_

from meristem.errors import MisuseError

Processor = Callable[[Any], Any]
_LONGEST: Final = 63  # bytes of a name, the server's NAMEDATALEN less one


class _Instant(types.DateTime):
    """`DateTime(timezone=True)` takes aware values and gives them back in UTC; a plain one stays naive."""

    render_bind_cast = True

    def bind_processor(self, dialect: Dialect) -> Processor:
        return _checked_instant if self.timezone else _checked_wall_time

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        return _aware if self.timezone else None


class _Uuid(types.Uuid[Any]):
    """A UUID, or its text where the column says `as_uuid=False`."""

    render_bind_cast = True

    def bind_processor(self, dialect: Dialect) -> Processor | None:
        return _checked_uuid if self.as_uuid else None

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        return None if self.as_uuid else _to_text


class _ExactNumeric(types.Numeric[Any]):
    """Decimals, exact to the last digit that the column keeps."""

    render_bind_cast = True

    def bind_processor(self, dialect: Dialect) -> Processor:
        return _exact

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor | None:
        return None if self.asdecimal else _to_float


class _Float(types.Float[Any]):
    """What the server computes as a numeric, an average for one, is a float all the same."""

    render_bind_cast = True

    def bind_processor(self, dialect: Dialect) -> None:
        return None

    def result_processor(self, dialect: Dialect, coltype: object) -> Processor:
        return _to_decimal if self.asdecimal else _to_float


def _checked_instant(value: datetime | None) -> datetime | None:
    if value is not None and value.tzinfo is None:
        raise MisuseError(
            "it is a naive datetime, the column is DateTime(timezone=True): give it a tzinfo, such as UTC"
        )
    return value


def _aware(value: datetime | None) -> datetime | None:
    # The last and the first instant are the server's infinities, which asyncpg gives back without a time zone.
    return value if value is None or value.tzinfo is not None else value.replace(tzinfo=UTC)


def _checked_wall_time(value: datetime | None) -> datetime | None:
    if value is not None and value.tzinfo is not None:
        raise MisuseError("it is an aware datetime, the column is a plain DateTime: declare DateTime(timezone=True)")
    return value


def _checked_uuid(value: Any) -> Any:
    return value if value is None or value.int is not None else None  # what has no `int` is no UUID


def _exact(value: Any) -> Any:
    return Decimal(repr(value)) if isinstance(value, float) else value


def _to_float(value: Any) -> float | None:
    return None if value is None else float(value)


def _to_decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _to_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _to_json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


_ANY_NUMERIC = types.Numeric()
_ANY_TEXT = types.String()


class _Compiler(PGCompiler_asyncpg):
    """Says what PostgreSQL makes otherwise of: sums of integers, and values cast to the length of their column."""

    def render_bind_cast(self, type_: Any, dbapi_type: Any, sqltext: str) -> str:
        # A cast to NUMERIC(12, 2) would round a rate that a price is multiplied with, one to VARCHAR(8) cut a text.
        if isinstance(dbapi_type, types.Numeric) and not isinstance(dbapi_type, types.Float):
            dbapi_type = _ANY_NUMERIC
        elif isinstance(dbapi_type, types.Enum):
            dbapi_type = _ANY_TEXT
        return str(super().render_bind_cast(type_, dbapi_type, sqltext))  # type: ignore[no-untyped-call]

    def visit_sum_func(self, fn: Any, within: bool = False, **options: Any) -> str:
        text = f"sum{self.function_argspec(fn, **options)}"
        return text if within else _whole(fn, text)

    def visit_over(self, over: Any, **options: Any) -> str:
        text = super().visit_over(over, **options | {"within": True})  # type: ignore[no-untyped-call]
        return _whole(over.element, text)

    def visit_funcfilter(self, funcfilter: Any, within: bool = False, **options: Any) -> str:
        text = super().visit_funcfilter(funcfilter, **options | {"within": True})  # type: ignore[no-untyped-call]
        return text if within else _whole(funcfilter, text)


def _whole(function: Any, text: str) -> str:
    is_sum = isinstance(getattr(function, "func", function), sum_) and isinstance(function.type, types.Integer)
    return f"CAST({text} AS BIGINT)" if is_sum else text


class _Preparer(PGIdentifierPreparer_asyncpg):
    """Refuses a name that the server would cut: of two that begin alike, one table would be the other."""

    def quote(self, ident: str) -> str:
        if len(ident) > _LONGEST // 4 and len(ident.encode()) > _LONGEST:
            raise MisuseError(
                f"the name {str(ident)!r} is longer than the {_LONGEST} bytes that PostgreSQL keeps of one"
            )
        return str(super().quote(ident))


class PostgresqlDialect(PGDialect_asyncpg):
    """What statements for PostgreSQL are compiled with."""

    supports_statement_cache = True
    statement_compiler = _Compiler
    preparer = _Preparer
    # An enum is text, as in SQLite: CREATE TABLE makes no type of it, and another member is no ALTER TYPE.
    supports_native_enum = False
    supports_native_json_deserialization = False
    dialect_injects_custom_json_deserializer = False
    colspecs = {
        **PGDialect_asyncpg.colspecs,
        types.DateTime: _Instant,
        types.TIMESTAMP: _Instant,
        types.Numeric: _ExactNumeric,
        types.Float: _Float,
        types.Uuid: _Uuid,
    }

    def __init__(self) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            dbapi=AsyncAdapt_asyncpg_dbapi(asyncpg),  # type: ignore[no-untyped-call]
            json_serializer=_to_json,
            json_deserializer=msgspec.json.decode,
        )
