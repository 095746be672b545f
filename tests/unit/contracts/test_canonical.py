"""The text by which a request is known again."""

from datetime import date
from uuid import UUID

import msgspec
import pytest

from meristem.contracts.canonical import canonical
from meristem.contracts.message import Message


class Card(Message, tag="card"):
    number: str
    holder: str = "nobody"


class Cash(Message, tag="cash"):
    coins: dict[int, int] = {}


class Seat(Message):
    row: int = msgspec.field(name="seat_row")
    with_: list[str] = msgspec.field(default_factory=lambda: ["a view"])
    paid: Card | Cash | None = None
    flag: bool = False


TWO_CARDS = '[[{"number":"1","type":"card"},{"number":"2","type":"card"}]]'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Seat(row=1), '{"seat_row":1}'),
        (Seat(row=1, with_=["a view"], flag=False), '{"seat_row":1}'),
        (Seat(row=1, with_=[], flag=True), '{"flag":true,"seat_row":1,"with_":[]}'),
        (Seat(row=1, paid=Card(number="4")), '{"paid":{"number":"4","type":"card"},"seat_row":1}'),
        (Seat(row=1, paid=Cash()), '{"paid":{"type":"cash"},"seat_row":1}'),
        (Cash(coins={200: 1, 50: 2}), '{"coins":{"200":1,"50":2},"type":"cash"}'),
        ({date(2026, 1, 2): {3, 1}, date(2025, 1, 2): ()}, '{"2025-01-02":[],"2026-01-02":[1,3]}'),
        ({UUID(int=1): 0}, '{"00000000-0000-0000-0000-000000000001":0}'),
        ([frozenset({Card(number="2"), Card(number="1")})], TWO_CARDS),
        ((0, False, "", None), '[0,false,"",null]'),
    ],
)
def test_equal_values_are_one_text_in_one_order_without_what_is_the_default(value, text):
    assert canonical(value).decode() == text
