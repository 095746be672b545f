"""Migrations make exactly the tables that the code speaks of, also where a shop was opened before there were any."""

from __future__ import annotations

import asyncio
import inspect
import runpy
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from bookshop.system import system
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from meristem import Service
from meristem.runtime import schema
from meristem.storage.database import database_for
from meristem.system.blueprint import Blueprint

KEEPING = [
    pytest.param(spec.implementation, id=name)
    for name, spec in Blueprint(system).specs.items()
    if spec.implementation.tables is not None
]


@pytest.mark.sqlite
@pytest.mark.parametrize("service", KEEPING)
async def test_migrations_make_the_tables_of_the_code(service: type[Service], tmp_path: Path) -> None:
    migrated, made = tmp_path / "migrated.db", tmp_path / "made.db"
    await brought_up_to_date(migrated, service, migrations_of(service))
    await brought_up_to_date(made, service, tmp_path / "none")
    assert await asyncio.to_thread(differences, migrated, service) == []
    assert indexes(migrated) == indexes(made)  # with their conditions, which no comparison of tables looks at


@pytest.mark.sqlite
@pytest.mark.parametrize("service", KEEPING)
async def test_a_shop_that_was_opened_without_migrations_goes_on_with_them(
    service: type[Service], tmp_path: Path
) -> None:
    """Its tables count as those of the first revision."""
    file = tmp_path / "shop.db"
    await asyncio.to_thread(make_first_tables, file, min(migrations_of(service).glob("0001_*.py")))
    assert await brought_up_to_date(file, service, migrations_of(service)) == []
    assert await asyncio.to_thread(differences, file, service) == []


def make_first_tables(file: Path, revision: Path) -> None:
    """The tables as they were then, and no word of a revision."""
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.begin() as connection, Operations.context(MigrationContext.configure(connection)):
        runpy.run_path(str(revision))["upgrade"]()


async def brought_up_to_date(file: Path, service: type[Service], versions: Path) -> list[str]:
    """What is pending or differs after a start of the service alone on a database."""
    database = database_for(f"sqlite:///{file}", name="shop")
    await database.start()
    try:
        await schema.upgrade(database, versions, lambda: service.tables, unsafe=True)
        return await schema.pending(database, versions, lambda: service.tables)
    finally:
        await database.stop()


def migrations_of(service: type[Service]) -> Path:
    folder = Path(inspect.getfile(service)).parent / "migrations" / "versions"
    assert folder.is_dir(), f"{folder} is missing: `meristem migrate --new` writes the first revision"
    return folder


def differences(file: Path, service: type[Service]) -> list[Any]:
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.connect() as connection:
        options = {"include_name": lambda name, kind, _: kind != "table" or not str(name).startswith("meristem_")}
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, service.tables))


def indexes(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as database:
        found = database.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name NOT LIKE 'meristem%'")
        return {" ".join(text.split()) for (text,) in found if text is not None}
