"""Text of a path or query becomes a value of every type."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Protocol

import msgspec
import pytest

from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.operation import Http, idempotent, safe
from meristem.errors import CallError
from meristem.transports.http.rest.binding import Binder


class Level(Enum):
    LOW = 1
    HIGH = 2


class Seat(Message):
    class_: str = msgspec.field(name="class")
    row_number: int = 1


class Strict(Message, forbid_unknown_fields=True):
    newsletter: bool


class Seats(Contract, Protocol, package="seats.v1"):
    @safe(http="GET /seats")
    async def find(
        self, level: Level | None = None, raw: bytes = b"", wait: timedelta | None = None,
        price: Decimal | None = None, ratio: float = 0.0, levels: list[Level] | None = None,
    ) -> None: ...  # fmt: skip

    @safe(http="GET /seat")
    async def seat(self, seat: Seat) -> None: ...

    @idempotent(http="PUT /strict")
    async def strict(self, strict: Strict) -> None: ...

    @idempotent(http="PUT /seats/{row_number}.txt")
    async def keep(self, seat: Seat) -> None: ...


def bound(name: str, query: str, *placeholders: str, body: bytes = b"") -> Any:
    known = operations(Seats)[name]
    assert isinstance(known.http, Http)
    return Binder(known, known.http).bind(placeholders, query.encode(), body)


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        ("level=2", "level", Level.HIGH),
        ("levels=1&levels=2", "levels", [Level.LOW, Level.HIGH]),
        ("raw=%2B/8%3D", "raw", b"\xfb\xff"),
        ("wait=PT90S", "wait", timedelta(seconds=90)),
        ("wait=PT1.5S", "wait", timedelta(seconds=1.5)),
        ("price=10000000000000000.01", "price", Decimal("10000000000000000.01")),
        ("ratio=1.5", "ratio", 1.5),
    ],
)
def test_a_query_is_read_by_type(query, field, value):
    assert getattr(bound("find", query), field) == value


@pytest.mark.parametrize(
    "query",
    [
        *("level=3", "level=HIGH", "level=02", "raw=%3F", "raw=-_8", "wait=soon", "wait=1.5s", "wait=90"),
        *("price=NaN", "price=Infinity", "ratio=nan", "ratio=inf", "ratio=1_0", "ratio="),
    ],
)
def test_text_that_is_no_value_is_refused_by_name(query):
    with pytest.raises(CallError) as caught:
        bound("find", query)

    assert [each.field for each in caught.value.violations] == [query.partition("=")[0]]


def test_renamed_fields_have_their_names_in_query_and_body():
    assert bound("seat", "class=first&row_number=7") == Seat(class_="first", row_number=7)
    assert bound("keep", "", "7", body=b'{"class": "first"}') == Seat(class_="first", row_number=7)


def test_a_field_that_a_strict_message_does_not_have_is_refused_in_its_body():
    with pytest.raises(CallError) as caught:
        bound("strict", "", body=b'{"newsletter": true, "newsleter_day": 3}')

    assert [each.field for each in caught.value.violations] == ["newsleter_day"]
    assert bound("strict", "", body=b'{"newsletter": true}') == Strict(newsletter=True)
