"""From a URL to the SQLite driver that it means."""

from __future__ import annotations

import math
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from meristem.errors import ConfigurationError
from meristem.storage.sqlite.driver import PATIENCE, SqliteDriver


def open_driver(url: str, *, name: str, directory: Path) -> SqliteDriver:
    """The driver of `sqlite:///path/to/file.db`, or of `sqlite://`, a private temporary database.

    `?synchronous=normal` or `off` acknowledges commits before they are on the disk. `?busy_timeout=2` gives up after
    two seconds on a lock that another program holds.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigurationError(
            f"database {name!r}: the URL is malformed; write it like sqlite:///data/{name}.db"
        ) from None
    unknown = parsed.query.keys() - {"synchronous", "busy_timeout"}
    if unknown:
        raise ConfigurationError(
            f"database {name!r}: the URL has an unknown option {min(unknown)!r}; there are synchronous and busy_timeout"
        )
    path = None if parsed.database in {None, "", ":memory:"} else (directory / str(parsed.database)).absolute()
    return SqliteDriver(
        path,
        name=name,
        synchronous=str(parsed.query.get("synchronous", "full")),
        busy_timeout=_seconds(name, str(parsed.query.get("busy_timeout", PATIENCE))),
    )


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < math.inf:
        raise ConfigurationError(f"database {name!r}: busy_timeout={text} is no number of seconds; give 0 or more")
    return seconds
