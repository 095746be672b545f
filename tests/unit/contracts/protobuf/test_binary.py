"""Binary protobuf is read into values as JSON is: with the same bounds, and errors that name the same fields."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar
from uuid import UUID

import pytest
from google.protobuf import descriptor_pb2, json_format
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, ValidationError, field

from meristem.contracts.codec import decoder, encode, encoder
from meristem.contracts.contract import Contract, operations
from meristem.contracts.decimals import DecimalMeta
from meristem.contracts.depth import DEEPEST_VALUE
from meristem.contracts.isolation import isolator
from meristem.contracts.message import Message
from meristem.contracts.operation import safe
from meristem.contracts.protobuf import plain_form
from meristem.contracts.protobuf.binary import ProtoCodec
from meristem.contracts.protobuf.json_replies import ProtoReplies
from meristem.contracts.protobuf.proto_text import proto_text
from meristem.contracts.protojson import lenient
from meristem.contracts.protokinds import (
    BoolValue,
    Empty,
    FieldMask,
    Int64Value,
    ListValue,
    Oneof,
    ProtoEnum,
    StringValue,
    Struct,
    Value,
    fixed64,
    float32,
    int32,
    sint32,
    uint32,
    uint64,
)
from meristem.contracts.wiretypes import JsonName
from meristem.errors import CallError, Code

VALUES = 10_000


class Board(Enum):
    NONE = "none"
    FULL = "full"


class Guest(Message):
    name: Annotated[str, Meta(min_length=1, max_length=5)]
    friend: Guest | None = None


class Cheque(Message, tag="cheque"):
    number: Annotated[int, Meta(ge=1)]


class Cash(Message, tag="cash"):
    coins: list[Annotated[int, Meta(le=50)]]


class Stay(Message):
    nights: Annotated[int, Meta(ge=1, le=30)] = 1
    price: Annotated[Decimal, DecimalMeta(ge=0, decimal_places=2)] = Decimal(1)
    ratio: float = 0.5
    day: date | None = None
    key: UUID = UUID(int=0)
    board: Board = Board.NONE
    mode: Literal["a", "b"] = "a"
    moment: Annotated[datetime, Meta(tz=True)] | None = None
    guests: Annotated[list[Guest], Meta(max_length=2)] = []
    by_room: dict[int, Guest] = {}
    means: Cheque | Cash | None = None
    codes: list[Annotated[str, Meta(pattern="^[a-z]*$")]] = []
    counts: set[int] = set()
    pair: tuple[Annotated[int, Meta(ge=0)], str] = (0, "")
    grid: list[list[Annotated[int, Meta(ge=0)]]] = []
    maybe: list[int] | None = None


class Stays(Contract, Protocol, package="stays.v1"):
    @safe
    async def stay(self, stay: Stay) -> Stay: ...

    @safe
    async def guest(self, guest: Guest) -> Guest: ...


STAY = operations(Stays)["stay"]
CODEC = ProtoCodec(operations(Stays).values())
StayProto = CODEC.request_class(STAY)


@pytest.mark.parametrize(
    ("fill", "path"),
    [
        (lambda stay: setattr(stay, "nights", 31), "nights"),
        (lambda stay: setattr(stay, "price", "1.234"), "price"),
        (lambda stay: setattr(stay, "price", "-1"), "price"),
        (lambda stay: setattr(stay, "price", "NaN"), "price"),
        (lambda stay: setattr(stay, "price", "dear"), "price"),
        (lambda stay: setattr(stay, "ratio", float("inf")), "ratio"),
        (lambda stay: setattr(stay, "day", "soon"), "day"),
        (lambda stay: setattr(stay, "key", "0"), "key"),
        (lambda stay: setattr(stay, "board", "caviar"), "board"),
        (lambda stay: setattr(stay, "mode", "c"), "mode"),
        (lambda stay: setattr(stay.moment, "seconds", 2**50), "moment"),
        (lambda stay: stay.guests.add(name=""), "guests[0].name"),
        (lambda stay: stay.guests.add(name="Ada").friend.SetInParent(), "guests[0].friend.name"),
        (lambda stay: [stay.guests.add(name="Ada") for _ in range(3)], "guests"),
        (lambda stay: setattr(stay.by_room[7], "name", "Berenice"), "by_room[...].name"),
        (lambda stay: stay.means.cheque.SetInParent(), "means.number"),
        (lambda stay: stay.means.cash.coins.append(51), "means.coins[0]"),
        (lambda stay: stay.codes.extend(["a", "B"]), "codes[1]"),
        (lambda stay: setattr(stay.pair, "place_1", -1), "pair[0]"),
        (lambda stay: stay.grid.add(values=[-1]), "grid[0][0]"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_path_of_its_field(fill: Callable[[Any], Any], path: str):
    sent = StayProto()
    fill(sent)

    with pytest.raises(CallError) as caught:
        CODEC.read_request(STAY, sent.SerializeToString(), VALUES)

    assert [each.field for each in caught.value.violations] == [path]
    assert not caught.value.may_have_happened


def test_every_field_that_is_wrong_is_named_at_once():
    sent = StayProto(nights=0, price="x", guests=[{"name": "too long"}])

    with pytest.raises(CallError) as caught:
        CODEC.read_request(STAY, sent.SerializeToString(), VALUES)

    assert {each.field for each in caught.value.violations} == {"nights", "price", "guests[0].name"}


@pytest.mark.parametrize("maybe", [None, [], [1]])
def test_a_list_that_may_be_none_is_told_from_an_empty_one(maybe: list[int] | None):
    assert CODEC.read_request(STAY, CODEC.write_request(STAY, Stay(maybe=maybe)), VALUES).maybe == maybe


def test_a_sound_value_is_read_the_quick_way(monkeypatch):
    """The thorough way would read it, too, and hide that the quick one does not."""
    monkeypatch.setattr(plain_form.Plainly, "of", lambda *_: pytest.fail)
    codec = ProtoCodec(operations(Stays).values())
    stay = Stay(
        nights=30,
        price=Decimal("1.20"),
        day=date(2030, 1, 31),
        moment=datetime(2030, 1, 31, tzinfo=UTC),
        guests=[Guest(name="Ada", friend=Guest(name="Bob"))],
        by_room={7: Guest(name="Cyd")},
        means=Cash(coins=[1, 2]),
        codes=["a"],
        counts={1, 2},
        pair=(1, "x"),
        grid=[[1], []],
    )

    assert codec.read_request(STAY, codec.write_request(STAY, stay), VALUES) == stay


def test_a_value_that_holds_itself_too_often_is_refused_on_both_ways():
    guest, operation = Guest(name="Ada"), operations(Stays)["guest"]
    for _ in range(DEEPEST_VALUE - 1):
        guest = Guest(name="Ada", friend=guest)

    written = CODEC.write_request(operation, guest)

    assert CODEC.read_request(operation, written, VALUES) == guest
    with pytest.raises(ValueError, match="levels deep"):
        CODEC.write_request(operation, Guest(name="Ada", friend=guest))
    deeper = CODEC.request_class(operation)(name="Ada")
    deeper.friend.MergeFromString(written)
    with pytest.raises(CallError):
        CODEC.read_request(operation, deeper.SerializeToString(), VALUES)


@pytest.mark.parametrize(
    ("stay", "problem"),
    [
        (Stay(ratio=float("nan")), "no number"),
        (Stay(price=Decimal("NaN")), "no number"),
        (Stay(moment=datetime(2030, 1, 1)), "no zone"),  # noqa: DTZ001 - what is refused
        (Stay(nights=2**63), "range"),
        (Stay(means=3), "none of"),  # type: ignore[arg-type]
        (Stay(guests=[7]), "name"),  # type: ignore[list-item]
        (Stay(pair=(1,)), "no"),  # type: ignore[arg-type]
    ],
)
def test_what_protobuf_cannot_hold_is_not_written(stay: Stay, problem: str):
    with pytest.raises((TypeError, ValueError), match=problem):
        CODEC.write_request(STAY, stay)


class Kind(ProtoEnum):
    KIND_UNSPECIFIED = 0
    KIND_TWIN = 1


class Room(Message):
    class Bed(Message):
        class Size(ProtoEnum):
            SIZE_UNSPECIFIED = 0
            SIZE_KING = 3

        size: Room.Bed.Size = Size.SIZE_UNSPECIFIED

    number: int32 = 0
    floor: sint32 | None = None
    area: float32 = 0.0
    seed: fixed64 = 0
    total: uint64 = 0
    kind: Kind = Kind.KIND_UNSPECIFIED
    kinds: list[Kind] = []
    beds: list[Room.Bed] = []
    by_guest: dict[uint32, Room.Bed] = {}
    key_code: Annotated[str | None, Oneof("access")] = None
    card: Annotated[Room.Bed | None, Oneof("access")] = None
    door: Annotated[int32 | None, Oneof("access")] = None
    note: StringValue | None = None
    views: Int64Value | None = None
    quiet: BoolValue | None = None
    mask: FieldMask | None = None
    from_: str = field(name="from", default="")
    odd: Annotated[str, JsonName("ODD")] = ""
    facts: Struct | None = None
    tags: ListValue | None = None
    extra: Value | None = None


class Rooms(Contract, Protocol, package="rooms.v1"):
    @safe
    async def room(self, room: Room) -> Room: ...

    @safe
    async def ping(self, empty: Empty) -> Empty: ...


ROOM = operations(Rooms)["room"]
ROOMS = ProtoCodec(operations(Rooms).values())
RoomProto = ROOMS.request_class(ROOM)


def test_what_only_protobuf_tells_apart_stands_in_the_text():
    text = proto_text(operations(Rooms).values())

    for line in (
        "  int32 number = 1;",
        "  optional sint32 floor = 2;",
        "  float area = 3;",
        "  fixed64 seed = 4;",
        "  uint64 total = 5;",
        "  Kind kind = 6;",
        "  repeated Kind kinds = 7;",
        "  repeated Room.Bed beds = 8;",
        "  map<uint32, Room.Bed> by_guest = 9;",
        "  oneof access {\n    string key_code = 10;\n    Room.Bed card = 11;\n    int32 door = 12;\n  }",
        "  google.protobuf.StringValue note = 13;",
        "  google.protobuf.FieldMask mask = 16;",
        "  string from = 17;",
        '  string odd = 18 [json_name = "ODD"];',
        "enum Kind {\n  KIND_UNSPECIFIED = 0;\n  KIND_TWIN = 1;\n}",
        "    enum Size {\n      SIZE_UNSPECIFIED = 0;\n      SIZE_KING = 3;\n    }",
        'import "google/protobuf/wrappers.proto";',
        "  rpc Ping(google.protobuf.Empty) returns (google.protobuf.Empty)",
    ):
        assert line in text


beds = st.builds(Room.Bed, size=st.sampled_from(Room.Bed.Size))
int64 = st.integers(-(2**63), 2**63 - 1)
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text("xyz", max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=2),
    max_leaves=4,
)
rooms = st.builds(
    Room,
    number=st.integers(-(2**31), 2**31 - 1),
    floor=st.none() | st.integers(-9, 9),
    area=st.floats(width=32, allow_nan=False, allow_infinity=False),
    seed=st.integers(0, 2**64 - 1),
    total=st.integers(0, 2**64 - 1),
    kind=st.sampled_from(Kind) | st.just(Kind(99)),
    kinds=st.lists(st.sampled_from(Kind), max_size=3),
    beds=st.lists(beds, max_size=3),
    by_guest=st.dictionaries(st.integers(0, 2**32 - 1), beds, max_size=3),
    note=st.none() | st.text(st.characters(codec="utf-8"), max_size=3),
    views=st.none() | int64,
    quiet=st.none() | st.booleans(),
    mask=st.none() | st.builds(FieldMask, paths=st.lists(st.sampled_from(["a", "b_c"]), max_size=2)),
    from_=st.sampled_from(["", "x"]),
    facts=st.none() | st.dictionaries(st.text("ab", max_size=2), anything, max_size=2),
    tags=st.none() | st.lists(anything, max_size=2),
    extra=anything,
).flatmap(
    lambda room: st.sampled_from([{}, {"key_code": ""}, {"card": Room.Bed()}, {"door": 0}]).map(
        lambda chosen: Room(**{each: getattr(room, each) for each in room.__struct_fields__} | chosen)
    )
)


def canonical(body: bytes) -> bytes:
    """A message as the library writes it: maps by key."""
    written: bytes = RoomProto.FromString(body).SerializeToString(deterministic=True)
    return written


@given(rooms)
def test_every_kind_of_protobuf_survives_and_the_bytes_are_those_of_the_library(room: Room):
    body = canonical(ROOMS.write_request(ROOM, room))

    read = ROOMS.read_request(ROOM, body, VALUES)

    assert read == room
    assert canonical(ROOMS.write_request(ROOM, read)) == body


@pytest.mark.parametrize(("given", "read"), [(-0.0, "-0.0"), (0.0, "0"), (7.0, "7"), (0.5, "0.5")])
def test_a_whole_number_in_any_json_is_an_int_unless_that_would_change_it(given, read):
    room = ROOMS.read_request(ROOM, ROOMS.write_request(ROOM, Room(number=1, extra=given)), VALUES)

    assert repr(room.extra) == read


def test_every_kind_of_protobuf_is_read_the_quick_way(monkeypatch):
    monkeypatch.setattr(plain_form.Plainly, "of", lambda *_: pytest.fail)
    codec = ProtoCodec(operations(Rooms).values())
    room = Room(kind=Kind(9), kinds=[Kind(8)], seed=2**64 - 1, card=Room.Bed(), mask=FieldMask(paths=["a"]), views=0)

    assert codec.read_request(ROOM, codec.write_request(ROOM, room), VALUES) == room


def test_a_number_that_an_open_enum_does_not_have_is_kept():
    read = ROOMS.read_request(ROOM, RoomProto(kind=77, kinds=[1, 78]).SerializeToString(), VALUES)

    assert (read.kind, read.kind.name, read.kinds) == (77, "77", [Kind.KIND_TWIN, 78])
    assert RoomProto.FromString(ROOMS.write_request(ROOM, read)).kind == 77
    assert len(Kind) == 2


Row = TypeVar("Row")


class Page(Message, Generic[Row]):
    rows: list[Row]


class Pages(Contract, Protocol, package="pages.v1"):
    @safe
    async def rows(self, page: Page[Guest]) -> Page[int]: ...


def test_a_generic_message_is_read_and_written_with_its_type_in_place():
    rows = operations(Pages)["rows"]
    codec = ProtoCodec([rows])
    page, numbers = Page[Guest](rows=[Guest(name="Ada")]), Page[int](rows=[1, 2])

    assert codec.read_request(rows, codec.write_request(rows, page), VALUES) == page
    assert codec.read_reply(rows, codec.write_reply(rows, numbers)) == numbers


class Spans(Message):
    moment: datetime
    length: timedelta


class Clock(Contract, Protocol, package="clock.v1"):
    @safe
    async def tell(self, spans: Spans) -> None: ...


def test_durations_and_moments_are_cut_to_what_python_has():
    tell = operations(Clock)["tell"]
    codec = ProtoCodec([tell])
    sent = codec.request_class(tell)()
    sent.moment.seconds, sent.moment.nanos = -1, 999_999_999
    sent.length.seconds, sent.length.nanos = -1, -500_000_999

    read = codec.read_request(tell, sent.SerializeToString(), VALUES)

    assert read == Spans(moment=datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), length=timedelta(seconds=-1.5))


@pytest.mark.parametrize(
    ("field", "seconds", "nanos"),
    [
        ("moment", 0, -1),
        ("moment", 0, 1_000_000_000),
        ("moment", 2**62, 0),
        ("length", 1, 1_000_000_000),
        ("length", -1, -1_000_000_000),
        ("length", 1, -1),
        ("length", -1, 1),
        ("length", 2**62, 0),
    ],
)
def test_durations_and_moments_that_no_protobuf_may_hold_are_refused_by_their_field(field, seconds, nanos):
    tell = operations(Clock)["tell"]
    codec = ProtoCodec([tell])
    sent = codec.request_class(tell)()
    sent.moment.seconds = sent.length.seconds = 0
    getattr(sent, field).seconds, getattr(sent, field).nanos = seconds, nanos

    with pytest.raises(CallError) as caught:
        codec.read_request(tell, sent.SerializeToString(), VALUES)

    assert caught.value.code is Code.INVALID_ARGUMENT
    assert [each.field for each in caught.value.violations] == [field]


BOTH = Room(key_code="1", door=2)


def test_two_fields_of_a_oneof_are_refused_in_every_placement():
    with pytest.raises(CallError, match="at most one of key_code, card, door, got key_code and door"):
        isolator(Room)(BOTH)
    with pytest.raises(ValidationError, match=r"at most one of"):
        decoder(Room)(encoder(Room)(BOTH))
    with pytest.raises(ValueError, match="at most one of key_code, card, door"):
        ROOMS.write_request(ROOM, BOTH)
    assert isolator(Room)(Room(door=2)).door == 2


@pytest.mark.parametrize(
    ("text", "room"),
    [
        ('{"ODD": "x"}', Room(odd="x")),
        ('{"kind": "KIND_TWIN"}', Room(kind=Kind.KIND_TWIN)),
        ('{"kind": "9"}', Room(kind=Kind(9))),
        ('{"kind": 9}', Room(kind=Kind(9))),
        ('{"mask": "bedWidth,name"}', Room(mask=FieldMask(paths=["bed_width", "name"]))),
        ('{"mask": {"paths": ["a"]}}', Room(mask=FieldMask(paths=["a"]))),
        ('{"seed": "18446744073709551615"}', Room(seed=2**64 - 1)),
        ('{"keyCode": ""}', Room(key_code="")),
    ],
)
def test_json_of_protobuf_is_read(text: str, room: Room):
    assert lenient(Room)(text.encode()) == room


@pytest.mark.parametrize("text", ['{"seed": 18446744073709551616}', '{"number": 2147483648}', '{"kind": 2147483648}'])
def test_numbers_have_the_bounds_of_their_width(text: str):
    with pytest.raises(CallError):
        lenient(Room)(text.encode())


def test_generated_clients_get_names_of_enums_and_whole_numbers_as_their_width_asks():
    written = ProtoReplies(ROOM).json(
        encode(Room(number=7, seed=8, kind=Kind.KIND_TWIN, kinds=[Kind(9)], mask=FieldMask(paths=["bed_width"])))
    )

    read = json.loads(written)
    assert {each: read[each] for each in ("number", "seed", "kind", "kinds", "mask")} == {
        "number": 7,
        "seed": "8",
        "kind": "KIND_TWIN",
        "kinds": [9],
        "mask": "bedWidth",
    }
    assert json_format.Parse(written, RoomProto()).mask.paths == ["bed_width"]


def test_descriptors_say_of_each_field_what_it_is():
    """Readers of a descriptor set resolve nothing themselves: of a type that is only named they know no wire form."""
    described = descriptor_pb2.FileDescriptorSet.FromString(CODEC.descriptors())

    fields = [each for file in described.file for message in file.message_type for each in message.field]
    assert {each.HasField("type") for each in fields} == {True}
    assert {each.proto3_optional for each in fields if each.HasField("proto3_optional")} == {True}


@given(anything)
def test_any_json_is_the_same_in_every_placement(value: Any):
    room = Room(facts={"a": value}, tags=[value], extra=value)

    isolated = isolator(Room)(room)

    assert isolated == decoder(Room)(encoder(Room)(room)) == lenient(Room)(encoder(Room)(room)) == room
    assert isolated.facts is not room.facts
    if isinstance(value, list | dict):
        assert isolated.extra is not value


@pytest.mark.parametrize("value", [2**53 + 1, float("nan"), object(), {1: 2}])
def test_what_is_no_json_is_not_written(value: Any):
    with pytest.raises((TypeError, ValueError)):
        ROOMS.write_request(ROOM, Room(extra=value))
