"""JSON of clients that Meristem did not write is read as the ProtoJSON mapping asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Annotated, Any, Literal

import msgspec
import pytest

from meristem.contracts.message import Message
from meristem.contracts.protojson import lenient
from meristem.contracts.wiretypes import camel
from meristem.errors import CallError


class Board(Enum):
    NONE = "none"
    FULL_BOARD = "full"


class Level(Enum):
    LOW = 1
    HIGH = 2


class Guest(Message):
    full_name: str
    friend: Guest | None = None


class Card(Message, tag="card"):
    card_number: int


class Cash(Message, tag="cash"):
    coins: list[int]


class Stay(Message):
    room_count: Annotated[int, msgspec.Meta(ge=0)] = 1
    total_price: float = 0.0
    board: Board = Board.NONE
    level: Level = Level.LOW
    raw: bytes = b""
    arrives_at: datetime | None = None
    how_long: timedelta = timedelta()
    guests: dict[str, Guest] = {}
    means: Card | Cash | None = None
    pair: tuple[int, str] = (0, "")
    mode: Literal[1, 2] = 1
    matrix: list[list[int]] = []
    prices: dict[int, float] = {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"roomCount": "5"}', {"room_count": 5}),
        ('{"room_count": 5}', {"room_count": 5}),
        ('{"roomCount": "9223372036854775807"}', {"room_count": 2**63 - 1}),
        ('{"roomCount": null, "unknown": {"x": 1}}', {}),
        ('{"totalPrice": "1.5e3"}', {"total_price": 1500.0}),
        ('{"board": "FULL_BOARD"}', {"board": Board.FULL_BOARD}),
        ('{"board": "full", "level": "HIGH"}', {"board": Board.FULL_BOARD, "level": Level.HIGH}),
        ('{"level": "2"}', {"level": Level.HIGH}),
        ('{"raw": "-_8"}', {"raw": b"\xfb\xff"}),
        ('{"raw": "+/8="}', {"raw": b"\xfb\xff"}),
        ('{"arrivesAt": "2030-01-02T03:04:05.5Z"}', {"arrives_at": datetime(2030, 1, 2, 3, 4, 5, 500000, tzinfo=UTC)}),
        ('{"arrivesAt": null}', {"arrives_at": None}),
        ('{"howLong": "-1.5s"}', {"how_long": timedelta(seconds=-1.5)}),
        ('{"howLong": "3.000000001s"}', {"how_long": timedelta(seconds=3)}),
        ('{"howLong": "PT1M"}', {"how_long": timedelta(minutes=1)}),
        (
            '{"guests": {"a": {"fullName": "A", "friend": {"full_name": "B"}}}}',
            {"guests": {"a": Guest(full_name="A", friend=Guest(full_name="B"))}},
        ),
        ('{"means": {"type": "card", "cardNumber": "7"}}', {"means": Card(card_number=7)}),
        ('{"means": {"type": "cash", "coins": ["1", 2]}}', {"means": Cash(coins=[1, 2])}),
        ('{"means": {"cash": {"coins": ["1"]}}}', {"means": Cash(coins=[1])}),
        ('{"pair": ["3", "4"]}', {"pair": (3, "4")}),
        ('{"pair": {"place1": "3", "place2": "4"}}', {"pair": (3, "4")}),
        ('{"matrix": [{"values": ["1"]}, [2]]}', {"matrix": [[1], [2]]}),
        ('{"mode": "2"}', {"mode": 2}),
        ('{"prices": {"7": "1.5"}}', {"prices": {7: 1.5}}),
    ],
)
def test_every_form_of_the_mapping_is_read(text: str, expected: dict[str, Any]):
    assert lenient(Stay)(text.encode()) == Stay(**expected)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"roomCount": "-1"}', "room_count"),
        ('{"room_count": "5.5"}', "room_count"),
        ('{"board": "CAVIAR"}', "board"),
        ('{"raw": "?"}', "raw"),
        ('{"howLong": "soon"}', "how_long"),
        ('{"guests": {"a": {}}}', "guests[...].full_name"),
        ('{"means": {"type": "cheque"}}', "means.type"),
        ("[]", ""),
        ("{", ""),
        ("[" * 100_000, ""),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(text: str, field: str):
    with pytest.raises(CallError) as caught:
        lenient(Stay)(text.encode())

    assert caught.value.violations[0].field == field
    assert not caught.value.may_have_happened


def test_the_reason_of_a_refusal_is_short_and_soon_found_though_the_value_is_long():
    """Each ` - at ` might begin the path; a search from every one of them took the square of their number."""
    with pytest.raises(CallError) as caught:
        lenient(Stay)(b'{"board": "' + b" - at `$" * 200_000 + b'"}')

    assert caught.value.violations[0].field == "board"
    assert len(caught.value.message) < 600


def test_names_are_spelled_as_protobuf_spells_them():
    assert [camel(each) for each in ("a", "booking_id", "x_2_y")] == ["a", "bookingId", "x2Y"]
