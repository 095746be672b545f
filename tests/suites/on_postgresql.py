"""Runs any suite on PostgreSQL: `pytest -p tests.suites.on_postgresql` gives each SQLite database of this process a
schema there in its place. Tests marked `sqlite` look into SQLite's own file, and are left out.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from meristem.storage.adapters import DATABASES
from meristem.storage.postgresql.opening import open_driver
from tests.suites.postgresql import DATABASE, SERVER, administrate, require

_made: set[str] = set()


def _open_there(url: str, *, name: str, directory: Path) -> object:
    """The schema that stands for a file, the same each time; a private database is another one each time."""
    is_file = url.startswith("sqlite:///")
    place = f"{url.partition('?')[0]} {directory.absolute()} {name}" if is_file else uuid4().hex
    schema = f"file_{hashlib.sha256(place.encode()).hexdigest()[:16]}"
    if schema not in _made:
        _made.add(schema)
        administrate(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    return open_driver(f"{SERVER}/{DATABASE}?schema={schema}&pool=4&server_pool=16", name=name, directory=directory)


def pytest_sessionstart() -> None:
    """Fail at once where there is no server: nothing would be left to test."""
    try:
        require()
    except pytest.skip.Exception as missing:
        pytest.exit(str(missing), returncode=1)
    DATABASES._loaded["sqlite"] = _open_there  # type: ignore[assignment]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what looks into SQLite's own file."""
    items[:] = [each for each in items if each.get_closest_marker("sqlite") is None]


def pytest_sessionfinish() -> None:
    """Drop the schemas, each by itself: a transaction of all would hold more locks than a server has."""
    for schema in _made:
        try:
            administrate(f"DROP SCHEMA {schema} CASCADE")
        except psycopg.Error as error:
            print(f"{schema} stays: {error}")
