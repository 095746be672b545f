"""Bodies of REST are read as their schema says: nothing that it refuses is taken, nothing that it allows is refused."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Literal

import msgspec
import pytest
from jsonschema import Draft202012Validator

from meristem.contracts.message import Message
from meristem.contracts.plainjson import plain
from meristem.contracts.schemas import Schemas
from meristem.errors import CallError


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 2


class Cat(Message, tag="cat"):
    lives: int


class Dog(Message, tag="dog"):
    price: Decimal


class Tree(Message):
    left: "Tree | None" = None
    size: int = 0


class Thing(Message):
    number: int = 0
    real: float = 0.0
    money: Decimal = Decimal(0)
    raw: bytes = b""
    day: date = date(2030, 1, 1)
    clock: time = time(0)
    at: datetime = datetime(2030, 1, 1, tzinfo=UTC)
    span: timedelta = timedelta(0)
    colour: Colour = Colour.RED
    level: Level = Level.HIGH
    word: Literal["a", 3] = "a"
    maybe: int | None = None
    either: Decimal | int = 0
    pets: list[Cat | Dog] = []
    pair: tuple[int, Decimal] = (0, Decimal(0))
    by_name: dict[str, int] = {}
    rows: list[list[int]] = []
    tree: Tree = Tree()
    bounded: Annotated[int, msgspec.Meta(ge=1)] = 1


def fits_the_schema(text: str) -> bool:
    schemas = Schemas([Thing])
    whole: dict[str, Any] = {**schemas.of(Thing), "components": {"schemas": schemas.referenced(schemas.of(Thing))}}
    return bool(Draft202012Validator(whole).is_valid(msgspec.json.decode(text)))


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ('"number": 7.0', "number", 7),
        ('"number": 1e2', "number", 100),
        ('"number": 36893488147419103232', "number", 2**65),
        ('"real": 1', "real", 1.0),
        ('"money": 0.1000000000000000055511151231257827', "money", Decimal("0.1000000000000000055511151231257827")),
        ('"money": "12.50"', "money", Decimal("12.50")),
        ('"either": 0.10', "either", Decimal("0.10")),
        ('"raw": "aGk="', "raw", b"hi"),
        ('"span": "PT90S"', "span", timedelta(seconds=90)),
        ('"maybe": null', "maybe", None),
        ('"word": 3.0', "word", 3),
        ('"pets": [{"type": "dog", "price": 0.10}, {"type": "cat", "lives": 9.0}]', "pets",
         [Dog(price=Decimal("0.10")), Cat(lives=9)]),
        ('"pair": [1.0, 2.50]', "pair", (1, Decimal("2.50"))),
        ('"by_name": {"a": 1.0}, "rows": [[1.0]]', "rows", [[1]]),
        ('"tree": {"left": {"size": 2.0}}, "number": 1', "tree", Tree(left=Tree(size=2))),
    ],
)  # fmt: skip
def test_what_the_schema_allows_is_read(text, field, value):
    found = getattr(plain(Thing)(f"{{{text}}}".encode()), field)

    assert fits_the_schema(f"{{{text}}}")
    assert (found, repr(found)) == (value, repr(value))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('"number": "7"', "number"),
        ('"number": 7.5', "number"),
        ('"number": null', "number"),
        ('"number": true', "number"),
        ('"real": "1.5"', "real"),
        ('"money": "NaN"', "money"),
        ('"raw": "aGk"', "raw"),
        ('"raw": "-_8="', "raw"),
        ('"span": "90s"', "span"),
        ('"span": 90', "span"),
        ('"at": 1900000000', "at"),
        ('"colour": "RED"', "colour"),
        ('"level": "2"', "level"),
        ('"level": "HIGH"', "level"),
        ('"word": "3"', "word"),
        ('"maybe": "1"', "maybe"),
        ('"pets": [{"cat": {"lives": 9}}]', "pets[0].type"),
        ('"rows": [{"values": [1]}]', "rows[0]"),
        ('"pair": {"place1": 1, "place2": 2}', "pair"),
        ('"bounded": 0.0', "bounded"),
    ],
)
def test_what_only_protojson_or_nobody_allows_is_refused_by_name(text, field):
    with pytest.raises(CallError) as caught:
        plain(Thing)(f"{{{text}}}".encode())

    assert [each.field for each in caught.value.violations] == [field]
    assert field in ("raw", "span") or not fits_the_schema(f"{{{text}}}")  # formats are not of the schema's grammar


def test_another_spelling_of_a_name_is_another_name():
    assert plain(Thing)(b'{"byName": {"a": 1}, "number": 2}') == Thing(number=2)


def test_all_that_is_wrong_is_told():
    with pytest.raises(CallError) as caught:
        plain(Thing)(b'{"number": "7", "colour": "RED", "rows": [["1"], [2]]}')

    assert {each.field for each in caught.value.violations} == {"number", "colour", "rows[0][0]"}
