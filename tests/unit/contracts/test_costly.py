"""Values that were chosen to have one hash are refused by every reader before a set is made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import product
from typing import Any, Protocol
from uuid import UUID, uuid4

import msgspec
import pytest

from meristem.contracts.codec import decoder
from meristem.contracts.contract import Contract, operations
from meristem.contracts.costly import FEW, HASHED, MOST_ALIKE, MOST_DIGITS, frugal, spread
from meristem.contracts.message import Message
from meristem.contracts.operation import safe
from meristem.contracts.plainjson import from_text, plain
from meristem.contracts.protojson import lenient
from meristem.errors import CallError, Code

PRIME = 2**61 - 1  # by which CPython takes the rest of a number for its hash


class Place(Message):
    name_of_it: Decimal


class Group(Message):
    by_id: dict[UUID, int] = {}
    amounts: set[Decimal] = set()
    pairs: frozenset[tuple[Decimal, bool]] = frozenset()
    places: set[Place] = set()
    maybe: list[set[UUID]] | None = None
    names: set[str] = set()
    prices: list[Decimal] = []
    inside: list[Group] = []


class Groups(Contract, Protocol, package="groups.v1"):
    @safe
    async def send(self, group: Group) -> int: ...


def alike() -> Iterator[int]:
    return (PRIME * each + 5 for each in range(1, FEW + 2))


def crowds() -> dict[str, Any]:
    ids, numbers = [str(UUID(int=each)) for each in alike()], [str(each) for each in alike()]
    return {
        "by_id": dict.fromkeys(ids, 1),
        "amounts": numbers,
        "pairs": [[each, True] for each in numbers],
        "places": [{"name_of_it": each} for each in numbers],
        "maybe": [[], ids],
        "inside": [{"inside": [{"amounts": numbers}]}],
    }


def innocents() -> dict[str, Any]:
    ids = [str(uuid4()) for _ in range(FEW + 1)]
    signs = [[-1 - each for each in places] for places in product(range(2), repeat=4)]  # all of one hash
    return {
        "by_id": dict.fromkeys(ids, 1),
        "amounts": ["1.5", "1.50", "-1", "-2"] * FEW,
        "pairs": [[str(each), True] for each in range(FEW * 2)],
        "places": [{"name_of_it": str(each)} for each in range(FEW * 2)],
        "maybe": [ids, ids],
        "names": ids,
        "inside": [{"amounts": [str(each) for group in signs for each in group]}],
    }


def binary(group: dict[str, Any]) -> Any:
    """The group by binary protobuf, as a client sends it that checks nothing."""
    pytest.importorskip("google.protobuf")
    from google.protobuf.json_format import ParseDict  # noqa: PLC0415

    from meristem.contracts.protobuf.binary import ProtoCodec  # noqa: PLC0415

    codec, send = ProtoCodec(operations(Groups).values()), operations(Groups)["send"]
    changed = dict(group)
    if "pairs" in group:
        changed["pairs"] = [{"place1": one, "place2": other} for one, other in group["pairs"]]
    if "maybe" in group:
        changed["maybe"] = {"values": [{"values": each} for each in group["maybe"]]}
    return codec.read_request(send, ParseDict(changed, codec.request_class(send)()).SerializeToString(), 50_000)


READERS = {
    "exact": lambda group: decoder(Group)(json.dumps(group).encode()),
    "exact, of text as a journal keeps it": lambda group: decoder(Group)(json.dumps(group)),
    "lenient": lambda group: lenient(Group)(json.dumps(group).encode()),
    "lenient, by its own spelling": lambda group: lenient(Group)(
        json.dumps(group).replace("by_id", "byId").replace("name_of_it", "nameOfIt").encode()
    ),
    "rest": lambda group: plain(Group)(json.dumps(group).encode()),
    "binary": binary,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", crowds())
def test_chosen_values_are_refused_where_they_stand(reader, name):
    with pytest.raises((CallError, msgspec.ValidationError), match="whose hashes differ") as raised:
        READERS[reader]({name: crowds()[name]})

    if isinstance(raised.value, CallError):
        assert raised.value.code is Code.INVALID_ARGUMENT
        assert raised.value.violations[0].field.startswith((name, "byId"))


@pytest.mark.parametrize("reader", READERS)
def test_other_values_are_read_however_many(reader):
    sent = innocents()

    group = READERS[reader](sent)

    assert group.by_id == {UUID(each): 1 for each in sent["names"]}
    assert (len(group.amounts), len(group.pairs), len(group.places)) == (3, FEW * 2, FEW * 2)


@pytest.mark.parametrize(
    ("type_", "texts"), [(set[Decimal], alike()), (frozenset[UUID], (UUID(int=each) for each in alike()))]
)
def test_a_query_is_read_as_carefully(type_, texts):
    with pytest.raises(msgspec.ValidationError, match="whose hashes differ"):
        from_text(type_)([str(each) for each in texts])


def test_what_does_not_fit_is_told_as_ever():
    with pytest.raises(CallError, match=r"amounts\[0\]"):
        plain(Group)(json.dumps({"amounts": ["x"] * (FEW + 1)}).encode())
    with pytest.raises(msgspec.ValidationError, match="Expected `object`"):
        decoder(Group)(b"[" + b"1," * FEW + b"1]")


def test_types_whose_hashes_are_secret_are_read_in_one_step():
    for each in (set[str], dict[int, str], frozenset[bytes], list[UUID], dict[str, float]):
        assert frugal(each) is None
    assert frugal(Group) is not None


@pytest.mark.parametrize("reader", READERS)
def test_decimals_of_more_digits_than_are_read_in_no_time_are_refused(reader):
    half = "1" * (MOST_DIGITS // 2)

    assert len(READERS[reader]({"prices": [half]}).prices) == 1
    with pytest.raises((CallError, msgspec.ValidationError), match="digits"):
        READERS[reader]({"prices": [half, half + "11"] if reader != "binary" else [half + half + "1"]})


def test_a_number_of_any_length_is_read_for_a_field_that_nobody_knows_but_a_decimal_is_not_made_of_it():
    body = b'{"other":1.' + b"1" * MOST_DIGITS + b',"amounts":null}'

    with pytest.raises(CallError, match="a decimal of up to"):
        plain(Group)(body)


def test_sets_of_decimals_hold_fewer_for_their_hashes_take_long():
    amounts = [str(each) for each in range(MOST_DIGITS // HASHED + 1)]

    with pytest.raises(msgspec.ValidationError, match=r"digits in all - at `\$.amounts`"):
        decoder(Group)(json.dumps({"amounts": amounts}).encode())


def test_as_many_of_one_hash_may_be_as_are_compared_in_no_time():
    values = [*range(FEW), *(PRIME * each for each in range(1, MOST_ALIKE))]

    assert spread(values) is values
    assert spread(values * 2)
    with pytest.raises(msgspec.ValidationError):
        spread([*values, PRIME * MOST_ALIKE])
