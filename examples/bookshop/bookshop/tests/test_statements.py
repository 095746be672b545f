"""Statements are written for every database, and tables have what they need in each."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import ClauseElement, Executable

KEEPING = ["catalogue", "carts", "inventory", "customers", "transactions", "promotions", "mail", "recommendations"]


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=["sqlite", "postgresql"])
@pytest.mark.parametrize("service", KEEPING)
def test_every_statement_is_understood_by_every_database(service: str, dialect: Any) -> None:
    tables = importlib.import_module(f"bookshop.{service}.tables")
    statements = [
        value
        for name, value in vars(tables).items()
        if name.isupper() and isinstance(value, Executable) and isinstance(value, ClauseElement)
    ]
    assert len(statements) > 2
    for statement in statements:
        assert str(statement.compile(dialect=dialect))
    for table in tables.metadata.sorted_tables:
        assert str(CreateTable(table).compile(dialect=dialect))
        for index in table.indexes:
            assert str(CreateIndex(index).compile(dialect=dialect))


@pytest.mark.parametrize("dialect", [sqlite.dialect(), postgresql.dialect()], ids=["sqlite", "postgresql"])
def test_the_promotion_is_once_on_every_database(dialect: Any) -> None:
    tables = importlib.import_module("bookshop.transactions.tables")
    (once,) = [each for each in tables.transactions.indexes if each.name == "promotion_once"]
    assert str(CreateIndex(once).compile(dialect=dialect)) == (
        "CREATE UNIQUE INDEX promotion_once ON transactions (customer_id) "
        "WHERE buy_two_get_one_free_promo AND status <> 'failed'"
    )
