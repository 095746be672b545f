"""Contracts as protobuf: the text compiles in the mind of google.protobuf, and values survive the trip."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Generic, Literal, Protocol, TypeVar
from uuid import UUID

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec import field

from meristem.contracts.codec import encode
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.operation import idempotent, safe
from meristem.contracts.protobuf.binary import ProtoCodec, fault_bytes, read_fault
from meristem.contracts.protobuf.json_replies import ProtoReplies
from meristem.contracts.protobuf.proto_text import proto_text
from meristem.errors import CallError, Fault


class Board(Enum):
    NONE = "none"
    FULL = "full"


class Level(Enum):
    LOW = 1
    HIGH = 2


class Card(Message, tag="card"):
    number: str


class Cash(Message, tag="cash"):
    coins: list[int]


class Node(Message):
    name: str
    below: list[Node] = []
    left: Node | None = None


class Everything(Message):
    flag: bool
    count: int
    ratio: float
    price: Decimal
    raw: bytes
    day: date
    clock: time
    moment: datetime
    length: timedelta
    key: UUID
    board: Board
    level: Level
    mode: Literal["a", "b"]
    means: Card | Cash
    either: int | str | None
    matrix: list[list[int]]
    lists: dict[str, list[str]]
    numbers: dict[int, Board]
    pair: tuple[int, Card | None]
    tree: Node
    several: list[Card | Cash]
    note: str | None = None
    nights: int = 3


class Rooms(Contract, Protocol, package="shop.rooms.v1"):
    @safe
    async def echo(self, everything: Everything) -> Everything: ...

    @idempotent
    async def many(self, ids: list[UUID]) -> dict[str, int]: ...

    @safe
    async def nothing(self) -> None: ...

    @safe
    async def perhaps(self) -> int | None: ...


OPERATIONS = operations(Rooms)
ECHO = OPERATIONS["echo"]
CODEC = ProtoCodec(OPERATIONS.values())
VALUES = 1000

names = st.text(st.characters(codec="utf-8"), max_size=8)
int64 = st.integers(-(2**63), 2**63 - 1)
means = st.builds(Card, number=names) | st.builds(Cash, coins=st.lists(int64, max_size=3))
nodes = st.recursive(
    st.builds(Node, name=names),
    lambda inner: st.builds(Node, name=names, below=st.lists(inner, max_size=2), left=inner),
)
everything = st.builds(
    Everything,
    flag=st.booleans(),
    count=int64,
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    price=st.decimals(allow_nan=False, allow_infinity=False, places=2),
    raw=st.binary(max_size=10),
    day=st.dates(),
    clock=st.times(),
    moment=st.datetimes(min_value=datetime(1, 1, 2), timezones=st.just(UTC)),  # noqa: DTZ001 - made aware
    length=st.timedeltas(timedelta(days=-3000), timedelta(days=3000)),
    key=st.uuids(),
    board=st.sampled_from(Board),
    level=st.sampled_from(Level),
    mode=st.sampled_from(["a", "b"]),
    means=means,
    either=int64 | names | st.none(),
    matrix=st.lists(st.lists(int64, max_size=3), max_size=3),
    lists=st.dictionaries(names, st.lists(names, max_size=2), max_size=3),
    numbers=st.dictionaries(int64, st.sampled_from(Board), max_size=3),
    pair=st.tuples(int64, st.builds(Card, number=names) | st.none()),
    tree=nodes,
    several=st.lists(means, max_size=3),
    note=names | st.none(),
    nights=int64,
)


@settings(max_examples=60, deadline=None, phases=[Phase.explicit, Phase.generate, Phase.shrink])
@given(everything)
def test_every_value_survives_binary_protobuf(value):
    assert CODEC.read_request(ECHO, CODEC.write_reply(ECHO, value), VALUES) == value


@settings(max_examples=30, deadline=None, phases=[Phase.explicit, Phase.generate, Phase.shrink])
@given(everything)
def test_a_client_writes_what_a_server_reads_and_reads_what_it_writes(value):
    assert CODEC.read_request(ECHO, CODEC.write_request(ECHO, value), VALUES) == value
    assert CODEC.read_reply(ECHO, CODEC.write_reply(ECHO, value)) == value


def test_a_client_reads_replies_that_are_no_messages():
    many, nothing, perhaps = OPERATIONS["many"], OPERATIONS["nothing"], OPERATIONS["perhaps"]

    assert CODEC.read_reply(many, CODEC.write_reply(many, {"a": 1})) == {"a": 1}
    assert CODEC.read_reply(many, b"") == {}
    for result in (None, 0, 7):
        assert CODEC.read_reply(perhaps, CODEC.write_reply(perhaps, result)) == result
    assert CODEC.read_reply(nothing, CODEC.write_reply(nothing, None)) is None
    with pytest.raises(CallError, match=r"ManyReply"):
        CODEC.read_reply(many, b"\xff")


class Mixed(Message):
    word: Literal["a", 3]
    others: list[Literal["b", 4]] = []
    none: Literal[1, 2, None] = None


class Mixing(Contract, Protocol, package="mixing.v1"):
    @safe
    async def mix(self, mixed: Mixed) -> Mixed: ...


def test_a_number_among_texts_is_written_as_text_and_read_as_the_number():
    mix = operations(Mixing)["mix"]
    codec = ProtoCodec([mix])

    assert "string word = 1;\n  repeated string others = 2;\n  optional int64 none = 3;" in proto_text([mix])
    for value in (Mixed(word=3, others=["b", 4]), Mixed(word="a", none=2), Mixed(word="a", none=None)):
        assert codec.read_request(mix, codec.write_reply(mix, value), VALUES) == value
    written = ProtoReplies(mix).json(encode(Mixed(word=3, others=[4], none=2)))
    assert json.loads(written) == {"word": "3", "others": ["4"], "none": "2"}


def test_replies_that_are_no_messages_stand_in_a_field():
    many = CODEC.write_reply(OPERATIONS["many"], {"a": 1})

    assert dict(CODEC.reply_class(OPERATIONS["many"]).FromString(many).result) == {"a": 1}
    assert CODEC.write_reply(OPERATIONS["nothing"], None) == b""


T = TypeVar("T")


class Listed(Message, Generic[T]):
    items: list[T]
    class_: str | None = field(name="class", default="none")
    total: int = 0


class Gone(Fault):
    """It is gone."""

    item_id: int
    nodes: list[Node] = []


class Elsewhere:
    class Gone(Message):
        """A message of the fault's name."""

        why: str


class Faulty(Contract, Protocol, package="faulty.v1"):
    @safe(raises=[Gone])
    async def find(self, gone: Elsewhere.Gone) -> None: ...


def test_faults_are_messages_of_the_contract_by_which_their_details_are_read():
    known = list(operations(Faulty).values())

    detail = ProtoCodec(known).message_class("Gone").FromString(fault_bytes(Gone(item_id=2**60), "faulty.v1"))

    assert detail.item_id == 2**60
    gone = read_fault(Gone, "faulty.v1", detail.SerializeToString())
    assert isinstance(gone, Gone)
    assert (gone.item_id, gone.nodes) == (2**60, [])
    assert "message Gone {\n  int64 item_id = 1;\n  repeated Node nodes = 2;" in proto_text(known)
    assert "rpc Find(Gone2) returns" in proto_text(known)


class Lists(Contract, Protocol, package="lists.v1"):
    @safe
    async def all(self) -> Listed[Node]: ...


def test_a_reply_for_clients_of_protobuf_has_whole_numbers_as_text_and_null_where_a_default_differs():
    known = operations(Lists)["all"]
    reply = encode(Listed(items=[Node(name="a")], class_=None, total=2**60))

    written = ProtoReplies(known).json(reply)

    assert json.loads(written) == {"items": [{"name": "a", "below": []}], "class": None, "total": str(2**60)}
    assert "message NodeListed {\n  repeated Node items = 1;\n  optional string class = 2;" in proto_text([known])


def test_an_absent_field_takes_its_default_and_an_absent_message_is_refused():
    with pytest.raises(CallError) as caught:
        CODEC.read_request(ECHO, b"", VALUES)

    assert caught.value.violations


@pytest.mark.parametrize("body", [b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x00"])
def test_bytes_that_are_no_message_are_refused(body):
    with pytest.raises(CallError, match=r"shop\.rooms\.v1\.Everything"):
        CODEC.read_request(ECHO, body, VALUES)


def test_the_text_numbers_fields_as_they_are_declared():
    text = proto_text(OPERATIONS.values())

    assert "package shop.rooms.v1;" in text
    assert "rpc Echo(Everything) returns (Everything) { option idempotency_level = NO_SIDE_EFFECTS; }" in text
    assert "  google.protobuf.Timestamp moment = 8;" in text
    assert "  optional int64 nights = 23;" in text
    assert "  map<int64, string> numbers = 18;" in text
    assert "message CardOrCash {\n  oneof value {\n    Card card = 1;\n    Cash cash = 2;\n  }\n}" in text


@settings(max_examples=40, deadline=None)
@given(everything)
def test_a_message_of_more_values_than_are_allowed_is_refused(value):
    body = CODEC.write_reply(ECHO, value)

    with pytest.raises(CallError, match="more than 5 values"):
        CODEC.read_request(ECHO, body, 5)
    assert CODEC.read_request(ECHO, body, len(body)) == value
