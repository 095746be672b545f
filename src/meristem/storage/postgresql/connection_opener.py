"""Opens connections, waits for a server that is just being restarted, and remembers one that is away."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Final

import asyncpg

from meristem.backoff import HALF, wait_after
from meristem.errors import ConfigurationError, StorageError, StorageUnavailable
from meristem.storage.driver import AWAY, READ_ONLY
from meristem.storage.postgresql.session import Session
from meristem.storage.postgresql.tls_refusals import hint, refusal
from meristem.storage.postgresql.translation import RAISED

if TYPE_CHECKING:
    from collections.abc import Callable

    from meristem.storage.postgresql.address import DatabaseAddress

PATIENCE: Final = 5.0  # seconds for a server that refuses connections: a restart takes one or two
_ATTEMPT: Final = 5.0  # seconds for a connection to come about
_BASE, _CAP = 0.05, 0.5  # seconds between two attempts
_STATEMENTS: Final = 512  # prepared statements that a connection keeps
SESSION: Final = {"TimeZone": "UTC", "DateStyle": "ISO, MDY", "standard_conforming_strings": "on"}
"""What makes the same of a statement wherever it runs, whatever the server and the role have: a date of an instant, a
wall clock's `now()`, and where a string ends. Those that a pooler can hand on."""
_FULL: Final = "53300"
_SCHEMA: Final = "SELECT current_schema(), to_regnamespace(quote_ident($1)) IS NOT NULL"


class ServerFullError(StorageUnavailable):
    """The server has no room for one more connection; those that are open can be waited for."""


class ConnectionOpener:
    """Opens the connections of one database; `problem` says what is wrong while the server can't be reached."""

    def __init__(
        self, address: DatabaseAddress, name: str, patience: float = PATIENCE, attempt: float = _ATTEMPT
    ) -> None:
        self.problem: str | None = None
        self._address = address
        self._name = name
        self._patience = patience
        self._attempt = attempt

    async def connect(self, generation: int, is_first: Callable[[], bool]) -> Session:
        """A new connection. A server that is known to be away is asked once; else it has some seconds to come back.

        Raises ServerFullError at once where this is not the first of those that are open.
        """
        until = monotonic() + (0.0 if self.problem else self._patience)
        attempt = 1
        while True:
            try:
                connection = await self._connect()
            except (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError) as error:
                refused = f"refuses the connection: {error.args[0]}; make the role and the database, or mend the URL"
                break
            except UnicodeError:  # of the name's own codec, which says so before anybody is asked
                refused = "its host is no name of a host"
                break
            except RAISED as error:
                if (untrusted := refusal(self._address.tls, error)) is not None:
                    refused = f"is not talked to: {untrusted}"
                    break
                is_full = getattr(error, "sqlstate", None) == _FULL and not is_first()
                reason, condition = reason_of(error)
                if isinstance(error, asyncpg.PostgresConnectionError):
                    reason += hint(self._address.tls)
            else:
                self.problem = None
                return Session(connection, self._name, generation)
            if is_full:
                raise ServerFullError(f"the server of database {self._name!r} has no connection left: {reason}")
            if monotonic() >= until:
                self.problem = (
                    f"the server of database {self._name!r} ({self._address.server}) is out of reach: {reason}"
                )
                away = StorageUnavailable(f"{self.problem}; start it, or mend the URL: the next statement tries again")
                away.condition = condition
                raise away
            await asyncio.sleep(wait_after(attempt, _BASE, _CAP, HALF))
            attempt += 1
        raise lasting(f"database {self._name!r}: the server at {self._address.server} {refused}")

    async def check(self, session: Session) -> None:
        """See that statements find the service's schema; raises ConfigurationError that says how to make it."""
        if self._address.schema is None:
            return
        current, exists = await session.ask(_SCHEMA, self._address.schema)
        if current != self._address.schema:
            raise ConfigurationError(no_schema(self._address, self._name, exists=exists))

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        settings = {"application_name": f"meristem {self._name}", **SESSION}
        if self._address.schema is not None and not self._address.pooled:
            settings["search_path"] = quoted(self._address.schema)
        connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
            self._address.dsn,
            timeout=self._attempt,
            # A prepared statement belongs to a connection of the server, and a pooler hands those around.
            statement_cache_size=0 if self._address.pooled else _STATEMENTS,
            max_cached_statement_lifetime=0,  # a timer for each would keep the unit of work that was first to run it
            server_settings=settings,
        )
        return connection


def lasting(text: str) -> StorageError:
    """A failure that no repetition mends."""
    failure = StorageError(text)
    failure.lasting = True
    return failure


def no_schema(address: DatabaseAddress, name: str, *, exists: bool) -> str:
    """What to do where the schema isn't the one that statements run in."""
    schema = address.schema or ""
    if exists and address.pooled:
        return (
            f"database {name!r}: behind a pooler the role must know its schema: "
            f"ALTER ROLE … SET search_path = {quoted(schema)}"
        )
    return (
        f"database {name!r}: the schema {schema!r} is not there, or the role may not use it: "
        f"CREATE SCHEMA {quoted(schema)} AUTHORIZATION …"
    )


def quoted(name: str) -> str:
    """An identifier as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def reason_of(error: BaseException) -> tuple[str, str]:
    """Why a connection didn't come about, and what callers may know of it: no text of it holds a value."""
    if isinstance(error, asyncpg.TargetServerAttributeNotMatched):
        return "it takes no writes: it is a standby, or default_transaction_read_only is on", READ_ONLY
    text = str(error.args[0]) if isinstance(error, asyncpg.PostgresError) and error.args else str(error)
    if isinstance(error, TimeoutError):
        text = "nobody answered in time, neither the server nor, where its host is a name, those who know that"
    return " ".join(text.split()) or type(error).__name__, AWAY
