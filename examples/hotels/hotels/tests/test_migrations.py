"""Migrations make exactly the tables that the code speaks of, and statements are written for every database."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hotels.system import system
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import NullPool
from sqlalchemy.sql import ClauseElement, Executable

from meristem import Service
from meristem.storage.database import database_for
from meristem.storage.migrations import upgrade
from meristem.system.blueprint import Blueprint

SPECS = Blueprint(system).specs
SERVICES = [pytest.param(spec.implementation, id=name) for name, spec in SPECS.items()]


@pytest.mark.sqlite
@pytest.mark.parametrize("service", SERVICES)
async def test_migrations_make_the_tables_of_the_code(service: type[Service], tmp_path: Path) -> None:
    file = Path(sys.modules[service.__module__].__file__ or "")
    url = f"sqlite:///{tmp_path}/{service.service_name}.db"
    await upgrade(database_for(url), file.parent / "migrations" / "versions")

    assert await asyncio.to_thread(_differences, url, service) == []


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize("service", SERVICES)
def test_every_statement_is_understood_by_every_database(service: type[Service], dialect: Any) -> None:
    tables = sys.modules[service.__module__].tables
    statements = {
        name: value
        for name, value in vars(tables).items()
        if name.isupper() and isinstance(value, Executable) and isinstance(value, ClauseElement)
    }

    assert len(statements) > 3
    for statement in statements.values():
        assert str(statement.compile(dialect=dialect))


def _differences(url: str, service: type[Service]) -> list[Any]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        options = {"include_name": lambda name, kind, _: kind != "table" or not str(name).startswith("meristem_")}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, service.tables))
