"""Code that writes code shows in its docstring what it writes: the example is what is written."""

import inspect
import textwrap
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, Protocol

from msgspec import Meta
from sqlalchemy import Column, Integer, MetaData, Numeric, Table, Text, bindparam, update

from meristem import Contract, Message, operation, safe
from meristem.contracts.contract import operations
from meristem.contracts.isolator_writer import IsolatorWriter
from meristem.services import outbound
from meristem.services.client import Entry, method_source
from meristem.storage.compiled import CompiledStatement, encoder_source
from meristem.storage.rows import ResultColumn, decoder_source, mappings
from meristem.storage.sqlite.dialect import SqliteDialect


def example_of(documented: Callable[..., Any]) -> str:
    """The indented block of a docstring."""
    lines = inspect.cleandoc(documented.__doc__ or "").splitlines()
    inside = [index for index, line in enumerate(lines) if line.startswith("    ")]
    return textwrap.dedent("\n".join(lines[inside[0] : inside[-1] + 1]))


class Charge(Message):
    sum: Annotated[int, Meta(ge=1)]
    notes: list[str]


class Ask(Message):
    city: str


class Search(Contract, Protocol, package="generated.v1"):
    @operation
    async def find(self, city: str, *, nights: int = 1) -> str: ...

    @safe
    async def quote(self, q: Ask) -> str: ...


def test_a_clients_method_is_as_its_docstring_shows():
    entry = Entry(("return __enter({request})",), {})
    assert method_source(operations(Search)["find"], entry) == example_of(method_source)


def test_a_clients_safe_method_is_as_its_docstring_shows():
    async def handler(_: Any) -> None: ...

    quote = operations(Search)["quote"]
    entry = outbound.entry(quote, handler, "web", lambda: False)
    assert method_source(quote, entry) == example_of(outbound._safe_entry)


def test_the_isolator_of_a_message_is_as_its_writer_shows():
    writer = IsolatorWriter()
    writer.isolator(Charge, lambda value: value)
    assert "\n\n".join(writer.texts) == example_of(IsolatorWriter)


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
