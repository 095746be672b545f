"""A connection to change the schema with: SQLAlchemy's own over psycopg, as Alembic needs a synchronous one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from meristem.errors import ConfigurationError, MeristemError, StorageError
from meristem.storage.driver import shorten
from meristem.storage.lock_patience import TableInUse
from meristem.storage.postgresql.connection_opener import SESSION, lasting, no_schema, quoted
from meristem.storage.postgresql.tls_refusals import refusal

if TYPE_CHECKING:
    from meristem.storage.postgresql.address import DatabaseAddress

TAKE_TURNS: Final = "SELECT pg_advisory_xact_lock(1296389716, hashtext(current_schema()))"
"""Has those who change the tables of one schema wait for each other, until their transactions end."""
LONGEST_WAIT: Final = "2s"
"""For the lock of a table: whoever comes while a migration waits for one waits behind it, readers as well."""
_AS_USUAL: Final = text("SELECT " + ", ".join(f"set_config('{key}', '{each}', true)" for key, each in SESSION.items()))
_CONNECTING: Final = 10  # seconds
_LOCKED: Final = "55P03"
_PASSING: Final = ("08", "40", "53", "57", "25006")
_ENDS: Final = ("COMMIT", "ROLLBACK", "ABORT", "END", "BEGIN", "START")
_ONE_TRANSACTION: Final = "a revision runs in one transaction, which it neither begins nor ends"


def short_waits() -> str:
    """The statement by which the rest of a transaction waits for no lock for long; behind `TAKE_TURNS`, which may."""
    return f"SET LOCAL lock_timeout = '{LONGEST_WAIT}'"


@contextmanager
def migration(address: DatabaseAddress, name: str) -> Iterator[Connection]:
    """A connection inside one transaction: replicas migrate one after the other."""
    with connected(address, name) as connection:
        connection.execute(text(TAKE_TURNS))
        connection.execute(text(short_waits()))
        yield connection


@contextmanager
def connected(address: DatabaseAddress, name: str, *, commits: bool = True) -> Iterator[Connection]:
    """A connection inside one transaction in the service's schema, which is rolled back unless it `commits`."""
    # Rows that a revision writes may be personal: its errors tell none of them, and have no cause that does.
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: _connect(address, name), poolclass=NullPool, hide_parameters=True
    )
    engine.dialect.supports_native_enum = False  # as statements are compiled
    event.listen(engine, "before_cursor_execute", _stay_in_it)
    failure: MeristemError | None = None
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            connection.execute(_AS_USUAL)
            if address.schema is not None:
                connection.execute(text(f"SET LOCAL search_path = {quoted(address.schema)}"))
                if connection.scalar(text("SELECT current_schema()")) is None:
                    raise ConfigurationError(no_schema(address, name, exists=False))
            yield connection
            if not commits:
                transaction.rollback()
    except (SQLAlchemyError, psycopg.Error) as error:
        failure = _explained(error, name)
    finally:
        engine.dispose()
    if failure is not None:
        raise failure


def _connect(address: DatabaseAddress, name: str) -> psycopg.Connection[Any]:
    try:
        # Without prepared statements, which a pooler couldn't keep.
        return psycopg.connect(address.dsn, connect_timeout=_CONNECTING, prepare_threshold=None)
    except psycopg.Error as error:
        where = f"database {name!r}: the server at {address.server}"
        untrusted = refusal(address.tls, error)
        told = f"is out of reach or refuses the connection: {' '.join(str(error).split())}"
        failure = (
            StorageError(f"{where} {told}") if untrusted is None else lasting(f"{where} is not talked to: {untrusted}")
        )
    raise failure


def _stay_in_it(_: Connection, __: Any, statement: str, *___: Any) -> None:
    first, *others = statement.upper().split(maxsplit=2) or [""]
    if first.rstrip(";") in _ENDS and not (first == "ROLLBACK" and others[:1] == ["TO"]):
        raise ConfigurationError(f"{_ONE_TRANSACTION}: {shorten(statement)}")


def _explained(error: SQLAlchemyError | psycopg.Error, name: str) -> MeristemError:
    """The failure in one line: one of the revision's own, which no repetition helps, or of the server or a lock."""
    cause: Any = getattr(error, "orig", None) or error
    statement = shorten(getattr(error, "statement", None) or "")
    places = [*getattr(error, "__notes__", ()), *([f"statement: {statement}"] if statement else [])]
    where = f" ({', '.join(places)})" if places else ""
    state = getattr(cause, "sqlstate", None) or ""
    told = f"{_reason(cause, state)}{where}"
    if state == _LOCKED:
        return TableInUse(f"a migration of database {name!r} waited for a table and was rolled back: {told}")
    if isinstance(cause, psycopg.OperationalError) and (not state or state.startswith(_PASSING)):
        return StorageError(f"a migration of database {name!r} failed and was rolled back: {told}")
    return ConfigurationError(
        f"a migration of database {name!r} cannot succeed and was rolled back: {told}; mend the revision"
    )


def _reason(cause: Any, state: str) -> str:
    kind = type(cause).__name__
    if not isinstance(cause, psycopg.Error):
        return f"{kind}: {' '.join(str(cause).split())}"
    if not state:
        return f"{kind}: {' '.join(str(cause).split())}"  # of the connection: it holds no row
    # The first line alone: DETAIL holds values, and so does what the server says of data.
    return kind if state.startswith("22") else f"{kind}: {cause.diag.message_primary}"
