"""Runs the examples' sites on PostgreSQL: `pytest -p tests.suites.sites_on_postgresql` places each site that a test
starts so that every service has a schema and a role of its own there, by the recipe of the documentation.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Self

import psycopg
import pytest

from meristem.testing.harness import load_system
from tests.suites.postgresql import drop_services, make_services, require, template

if TYPE_CHECKING:
    from served import Served

TOGETHER = '[processes]\nall = ["*"]\n'


class Databases:
    """Those of sites, by their folders; they are gone behind the block."""

    def __init__(self) -> None:
        self._made: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        require()
        return self

    def __exit__(self, *_: object) -> None:
        for prefix, services in self._made.items():
            try:
                drop_services(prefix, services)
            except psycopg.Error as error:
                print(f"{prefix} stays: {error}")

    def placed(self, home: Path, site: type[Served], placement: Path | None) -> Path:
        """The placement with databases on the server, the same ones for each run of a folder."""
        prefix = _prefix(home)
        if prefix not in self._made:
            services = load_system(site.system).services
            named = (resolve_name(each) if isinstance(each, str) else each for each in services)
            self._made[prefix] = [each.service_name for each in named]
            make_services(prefix, self._made[prefix])
        text = TOGETHER if placement is None else placement.read_text()
        assert "[resources]" not in text, "this placement says where its databases are"
        written = home / f"{'together' if placement is None else placement.stem}_on_postgresql.toml"
        written.write_text(f'{text}\n[resources]\ndatabase = "{template(prefix)}&pool=2&server_pool=40"\n')
        return written

    def url(self, home: Path, service: str) -> str:
        """What a service of a folder's site connects to, for PostgreSQL's own programs."""
        return template(_prefix(home)).format(service=service).partition("?")[0]


def _prefix(home: Path) -> str:
    return f"site_{hashlib.sha256(str(home).encode()).hexdigest()[:8]}"


_databases = Databases()


def pytest_sessionstart() -> None:
    """Fail at once where there is no server: nothing would be left to test."""
    try:
        _databases.__enter__()
    except pytest.skip.Exception as missing:
        pytest.exit(str(missing), returncode=1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what looks into SQLite's own files."""
    import served  # noqa: PLC0415 - found by the path of the examples' tests, which pytest sets

    served.Served.placed = lambda site, placement: _databases.placed(site.home, type(site), placement)  # type: ignore[method-assign]
    items[:] = [each for each in items if each.get_closest_marker("sqlite") is None]


def pytest_sessionfinish() -> None:
    """Drop what was made, each by itself."""
    _databases.__exit__()
