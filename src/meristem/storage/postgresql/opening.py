"""From a URL to the PostgreSQL driver that it means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meristem.errors import ConfigurationError

try:
    from meristem.storage.postgresql.driver import PostgresqlDriver
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in ("asyncpg", "psycopg"):
        raise
    raise ConfigurationError(
        f"PostgreSQL needs an extra ({error.name} is missing): pip install 'meristem[postgresql]'"
    ) from error

from meristem.storage.postgresql.address import read_address

if TYPE_CHECKING:
    from pathlib import Path


def open_driver(url: str, *, name: str, directory: Path) -> PostgresqlDriver:  # noqa: ARG001 - no path is in it
    """The driver of `postgresql://role:password@host/database?schema=name`.

    `?pool=10` bounds its connections, `?server_pool=20` those of all databases of the process on that server.
    `?listen=` is a URL of the server itself, to hear there what other processes announce.
    `?pooler=transaction` says that a pooler stands before it, `?isolation=serializable` how transactions are isolated.
    """
    return PostgresqlDriver(read_address(url, name), name=name)
