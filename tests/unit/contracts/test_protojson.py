"""JSON of clients that Meristem did not write is read as the ProtoJSON mapping asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meristem.contracts.coercion import coercer
from meristem.contracts.message import Message
from meristem.contracts.protojson import lenient, read_by
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


class Bed(Message):
    bed_width: int = 90
    is_upper: bool = False


class Room(Message):
    room_number: int
    main_bed: Bed | None = None
    more_beds: list[Bed] = []
    by_side: dict[str, Bed] = {}


Item = TypeVar("Item")


class Shelf(Message, Generic[Item]):
    top_most: Item | None = None
    all_others: list[Item] = []


class Half(Message):
    some_share: float = 0.5


class Deal(Message):
    share: Half | int


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"room_number": 7}', Room(room_number=7)),
        ('{"room_number": 7, "mainBed": {}}', Room(room_number=7, main_bed=Bed())),
        ('{"room_number": 7, "main_bed": {"bedWidth": 80}}', Room(room_number=7, main_bed=Bed(bed_width=80))),
        ('{"room_number": 7, "more_beds": [{"bedWidth":80}]}', Room(room_number=7, more_beds=[Bed(bed_width=80)])),
        (
            '{"room_number": 7, "by_side": {"a": {"isUpper": true}}}',
            Room(room_number=7, by_side={"a": Bed(is_upper=True)}),
        ),
        (r'{"room_number": 7, "main\u0042ed": {"bed\u0057idth": 80}}', Room(room_number=7, main_bed=Bed(bed_width=80))),
        ('{"room_number": "7", "main_bed": {"bed_width": 80}}', Room(room_number=7, main_bed=Bed(bed_width=80))),
        ('{"roomNumber": 7}', Room(room_number=7)),
    ],
)
def test_no_spelling_of_a_field_is_overlooked_because_the_rest_is_written_as_in_the_contract(text: str, expected: Room):
    assert lenient(Room)(text.encode()) == expected


def test_a_generic_message_is_read_as_its_fields_are_with_the_type_in_place():
    page = lenient(Shelf[Bed])(b'{"topMost": {"bedWidth": "80"}, "all_others": [{"isUpper": true}]}')
    assert page == Shelf(top_most=Bed(bed_width=80), all_others=[Bed(is_upper=True)])
    assert lenient(Shelf[Bed])(b'{"all_others": [{"isUpper": true}]}').all_others == [Bed(is_upper=True)]


def test_of_a_field_that_is_given_in_both_spellings_the_one_of_the_contract_counts():
    assert lenient(Room)(b'{"room_number": 7, "roomNumber": 8}') == Room(room_number=7)


def test_a_oneof_is_no_field_that_may_be_passed_over():
    assert lenient(Deal)(b'{"share": {"half": {"someShare": 0.25}}}') == Deal(share=Half(some_share=0.25))


NAMES = ("room_number", "main_bed", "more_beds", "by_side", "bed_width", "is_upper")
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.sampled_from(["7", "x", "1.5"]), st.floats(0, 9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(st.sampled_from([*NAMES, *map(camel, NAMES)]), inner, max_size=4),
    ),
)


@example(value={"room_number": 0.0}, number=False)
@given(value=JSON, number=st.booleans())
def test_what_is_read_exactly_is_read_as_the_mapping_reads_it(value: Any, number: bool):
    if isinstance(value, dict) and number:
        value = {**value, "room_number": 7}
    twice = {"room_number", "roomNumber"} <= (value.keys() if isinstance(value, dict) else set())
    body = msgspec.json.encode(value)

    def outcome(read: Any) -> Any:
        try:
            return read(body)
        except CallError as error:
            return error.violations[0].field

    assert twice or outcome(lenient(Room)) == outcome(read_by(Room, coercer(Room)))


class Bill(Message, forbid_unknown_fields=True):
    amount: Decimal
    class_: str = msgspec.field(name="class", default="none")
    ratio: float = 0.0
    count: int = 0
    either: Decimal | None = None


@pytest.mark.parametrize("amount", ["10000000000000000.01", "12.10", "1e3", "0.1", "123456789012345678901234567890"])
def test_a_number_reaches_a_decimal_with_all_of_its_digits(amount):
    for body in (
        f'{{"amount": {amount}}}',
        f'{{"amount": "{amount}", "ratio": 0.5}}',
        f'{{"amount": {amount}, "count": 7.0}}',
    ):
        assert lenient(Bill)(body.encode()).amount == Decimal(amount)
    assert lenient(Bill)(f'{{"amount": 1, "either": {amount}, "count": "5"}}'.encode()).either == Decimal(amount)


def test_a_renamed_field_has_its_name_on_the_wire():
    assert lenient(Bill)(b'{"amount": 1, "class": "first", "count": "2"}') == Bill(
        amount=Decimal(1), class_="first", count=2
    )


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"amount": 1, "amuont": 2}', "amuont"),
        ('{"amount": "NaN"}', "amount"),
        ('{"amount": "Infinity", "count": "1"}', "amount"),
        ('{"amount": 1, "ratio": "NaN"}', "ratio"),
        ('{"amount": 1, "ratio": 1e400}', "ratio"),
        ('{"amount": 1, "count": 1e999999}', "count"),
        ('{"amount": 1, "count": 1.5}', "count"),
        ('{"amount": 1, "class": 1.5}', "class"),
        ('{"amount": 1, "class_": "first"}', "class_"),
    ],
)
def test_what_is_no_number_or_no_field_is_refused(text, field):
    with pytest.raises(CallError) as caught:
        lenient(Bill)(text.encode())

    assert caught.value.violations[0].field == field


class Line(Message):
    article: str
    count: int
    gift: bool
    notes: list[str]
    price: Decimal
    left: int = 3
    tags: tuple[str, ...] = ("new",)


def test_a_client_of_protobuf_may_leave_out_zeros_and_no_other_value():
    read = lenient(Line, zeros=True)

    assert read(b'{"price": "1"}') == Line(article="", count=0, gift=False, notes=[], price=Decimal(1))
    assert read(b'{"price": "1", "count": "7", "left": 0}').left == 0
    for body, reader in ((b"{}", read), (b'{"price": "1"}', lenient(Line))):
        with pytest.raises(CallError, match="is required"):
            reader(body)


class Order(Message):
    lines: list[Line]
    guest: Guest
    nights: Annotated[int, msgspec.Meta(ge=1)]


def test_everything_that_does_not_fit_is_told():
    line = b'{"article": "a", "count": "x", "gift": 1, "notes": [], "price": "NaN"}'
    text = b'{"lines": [%b, 7], "guest": {}, "nights": 0}' % line

    with pytest.raises(CallError) as caught:
        lenient(Order)(text)

    assert [each.field for each in caught.value.violations] == [
        "lines[0].count", "lines[0].gift", "lines[0].price", "lines[1]", "guest.full_name", "nights",
    ]  # fmt: skip


def test_names_are_spelled_as_protobuf_spells_them():
    assert [camel(each) for each in ("a", "booking_id", "x_2_y")] == ["a", "bookingId", "x2Y"]


class Choice(Message):
    of: Literal["a", 3, None]


@pytest.mark.parametrize("of", ["a", 3, None])
def test_none_among_the_choices_of_a_literal_is_one_of_them(of):
    body = msgspec.json.encode({"of": of})

    assert read_by(Choice, coercer(Choice))(body) == lenient(Choice)(body) == Choice(of=of)


class Perhaps(Message):
    names: list[str] | None = None
    counts: dict[str, int] | None = None
    several: list[dict[str, int]] = []
    deep: dict[str, dict[str, int]] = {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"names": {"values": []}}', Perhaps(names=[])),
        ('{"names": []}', Perhaps(names=[])),
        ('{"counts": {"values": {"a": "1"}}}', Perhaps(counts={"a": 1})),
        ('{"counts": {"values": 1}}', Perhaps(counts={"values": 1})),
        ('{"several": [{"values": {"a": 1}}, {"b": 2}]}', Perhaps(several=[{"a": 1}, {"b": 2}])),
        ('{"deep": {"values": {"a": 1}}}', Perhaps(deep={"values": {"a": 1}})),
    ],
)
def test_a_collection_may_have_the_message_around_it_that_protobuf_needs(text: str, expected: Perhaps):
    assert lenient(Perhaps)(text.encode()) == expected
