"""From a URL to the SQLite driver that it means."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from meristem.errors import ConfigurationError
from meristem.storage.sqlite.driver import SqliteDriver


def open_driver(url: str, *, name: str, directory: Path) -> SqliteDriver:
    """The driver of `sqlite:///path/to/file.db`, or of `sqlite://`, a private temporary database.

    `?synchronous=normal` or `off` acknowledges commits before they are on the disk.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            f"database {name!r}: the URL is malformed; write it like sqlite:///data/{name}.db"
        ) from None
    unknown = parsed.query.keys() - {"synchronous"}
    if unknown:
        raise ConfigurationError(
            f"database {name!r}: the URL has an unknown option {min(unknown)!r}; there is synchronous"
        )
    path = None if parsed.database in {None, "", ":memory:"} else (directory / str(parsed.database)).absolute()
    return SqliteDriver(path, name=name, synchronous=str(parsed.query.get("synchronous", "full")))
