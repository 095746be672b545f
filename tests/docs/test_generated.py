"""Code that writes code shows in its docstring what it writes: the example is what is written."""

import inspect
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import Column, Integer, MetaData, Numeric, Table, Text, bindparam, update

from meristem import Message
from meristem.contracts.isolation import _Writer
from meristem.storage.compiled import CompiledStatement, encoder_source
from meristem.storage.rows import ResultColumn, decoder_source, mappings
from meristem.storage.sqlite.dialect import SqliteDialect


def example_of(documented: Callable[..., Any]) -> str:
    """The indented block of a docstring."""
    lines = inspect.cleandoc(documented.__doc__ or "").splitlines()
    inside = [index for index, line in enumerate(lines) if line.startswith("    ")]
    return inspect.cleandoc("\n".join(lines[inside[0] : inside[-1] + 1]))


class Charge(Message):
    cents: Annotated[int, Meta(ge=1)]
    notes: list[str]


def test_the_isolator_of_a_message_is_as_its_writer_shows():
    writer = _Writer()
    writer.isolator(Charge, lambda value: value)
    assert "\n\n".join(writer.texts) == example_of(_Writer)


def test_a_decoder_of_rows_is_as_its_docstring_shows():
    columns = [ResultColumn("id", int, None), ResultColumn("amount", Decimal, Decimal)]
    element = "{'id': c0, 'amount': p1(c1)}"
    assert decoder_source(element, columns) == example_of(decoder_source)
    assert mappings(columns)([(1, "2.50")], []) == [{"id": 1, "amount": Decimal("2.50")}]


def test_an_encoder_of_values_is_as_its_docstring_shows():
    items = Table(
        "items", MetaData(), Column("id", Integer, primary_key=True), Column("name", Text), Column("price", Numeric)
    )
    statement = update(items).where(items.c.id == bindparam("wanted")).values(name="pen", price=bindparam("price"))
    key = statement._generate_cache_key()
    compiled = CompiledStatement(statement.compile(dialect=SqliteDialect(), cache_key=key), SqliteDialect())
    assert encoder_source(compiled._slots, ("wanted", "price")) == example_of(encoder_source)
