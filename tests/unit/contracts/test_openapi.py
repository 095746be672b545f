"""The OpenAPI document says what the REST interface does."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Protocol

import msgspec
import pytest

from meristem.contracts.about import About
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.openapi import document
from meristem.contracts.operation import idempotent, once, operation, safe
from meristem.errors import Fault


class Board(Enum):
    NONE = "none"
    BREAKFAST = "breakfast"


class Stay(Message):
    """When somebody sleeps where."""

    hotel_id: int
    arrival: date
    price: Decimal
    nights: Annotated[int, msgspec.Meta(ge=1, le=30)] = 1
    then: Stay | None = None


class Unseen(Message):
    secret: str


class CardDeclined(Fault, status=402):
    """The bank refused the card."""

    reason: str


class BankDown(Fault, status=402):
    """The bank does not answer."""


class Rooms(Contract, Protocol, package="shop.rooms.v1"):
    @safe(http="GET /hotels/{hotel_id}/stays")
    async def stays(self, hotel_id: int, board: Board = Board.NONE, tags: list[str] | None = None) -> list[Stay]:
        """The stays of a hotel.

        Sorted by arrival.
        """
        ...

    @once(raises=[CardDeclined, BankDown], http="POST /bookings", status=201, authenticated=True)
    async def book(self, stay: Stay) -> Stay: ...

    @once(http="PATCH /bookings/{booking_id}")
    async def move(self, booking_id: str, arrival: date) -> None: ...

    @idempotent(http="DELETE /bookings/{booking_id}")
    async def cancel(self, booking_id: str) -> None: ...

    @safe(http="GET /count")
    def count(self, until: int) -> AsyncIterator[int]: ...

    @safe(http="GET /receipt", media="application/pdf")
    async def receipt(self) -> bytes: ...

    @safe
    async def hidden(self, unseen: Unseen) -> Unseen: ...


@pytest.fixture
def described() -> Any:
    known = list(operations(Rooms).values())
    text = document(
        known,
        name="shop",
        prefix="/api",
        about=About(title="Shop", version="1.2.3"),
        status_of=lambda fault: fault.status or 409,
    )
    return json.loads(text)


def test_it_is_valid_openapi(described):
    validator = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")

    validator.validate(described)


def test_every_reference_resolves(described):
    schemas = described["components"]["schemas"]
    refs = {line.rpartition("/")[2] for line in json.dumps(described).split('"') if line.startswith("#/components")}

    assert refs <= set(schemas)
    assert "Stay" in refs


def test_path_query_and_header_parameters_are_described(described):
    stays = described["paths"]["/hotels/{hotel_id}/stays"]["get"]
    book = described["paths"]["/bookings"]["post"]

    assert [(each["name"], each["in"], each["required"]) for each in stays["parameters"]] == [
        ("hotel_id", "path", True),
        ("board", "query", False),
        ("tags", "query", False),
    ]
    assert (stays["summary"], stays["description"]) == ("The stays of a hotel.", "Sorted by arrival.")
    assert [each["name"] for each in book["parameters"]] == ["Idempotency-Key"]


def test_a_key_is_described_where_there_is_an_effect_with_what_it_is_refused_for(described):
    stays, book, cancel = (
        described["paths"]["/hotels/{hotel_id}/stays"]["get"],
        described["paths"]["/bookings"]["post"],
        described["paths"]["/bookings/{booking_id}"]["delete"],
    )
    keys = [[each for each in one["parameters"] if each["name"] == "Idempotency-Key"] for one in (book, cancel)]

    assert not any(each["name"] == "Idempotency-Key" for each in stays["parameters"])
    for [key] in keys:
        assert (key["schema"]["minLength"], key["schema"]["maxLength"]) == (1, 255)
        assert re.fullmatch(key["schema"]["pattern"], "basket 7")
        assert not any(re.fullmatch(key["schema"]["pattern"], each) for each in ("", " k", "k ", "a\tb", "ü"))
    assert "gets the first answer again" in keys[0][0]["description"]
    assert "gets the first answer again" not in keys[1][0]["description"]
    assert "was used for another request" in book["responses"]["409"]["description"]
    assert "409" not in cancel["responses"]
    assert book["responses"]["400"]["content"].keys() == {"application/problem+json"}


def test_bodies_and_results_refer_to_messages(described):
    book = described["paths"]["/bookings"]["post"]
    move = described["paths"]["/bookings/{booking_id}"]["patch"]

    assert book["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Stay"}
    assert move["requestBody"]["content"]["application/json"]["schema"]["required"] == ["arrival"]
    assert set(move["responses"]) == {"204", "400", "409", "default"}
    assert described["components"]["schemas"]["Stay"]["properties"]["nights"]["maximum"] == 30


def test_faults_are_problems_by_status(described):
    book = described["paths"]["/bookings"]["post"]
    problem = book["responses"]["402"]["content"]["application/problem+json"]["schema"]

    assert [each["$ref"].rpartition("/")[2] for each in problem["oneOf"]] == ["CardDeclinedProblem", "BankDownProblem"]
    assert set(book["responses"]) == {"201", "400", "401", "402", "409", "default"}
    assert described["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_streams_and_raw_media_say_so(described):
    count = described["paths"]["/count"]["get"]["responses"]["200"]["content"]
    receipt = described["paths"]["/receipt"]["get"]["responses"]["200"]["content"]

    assert set(count) == {"application/jsonl", "text/event-stream"}
    assert set(receipt) == {"application/pdf"}


def test_what_is_not_published_is_not_described(described):
    assert "hidden" not in json.dumps(described)
    assert "Unseen" not in described["components"]["schemas"]


class BookRequest(Message):
    """Named as the request of `book` would be."""

    room: str


class Desk(Contract, Protocol, package="desk.v1"):
    @operation(http="POST /book")
    async def ask(self, request: BookRequest) -> None: ...

    @operation(http="POST /book/{room}")
    async def book(self, room: str, nights: int) -> BookRequest: ...


def test_a_message_may_be_named_like_the_request_of_a_method():
    described = json.loads(
        document(list(operations(Desk).values()), name="desk", prefix="/api", about=About(), status_of=lambda _: 409)
    )
    assert described["components"]["schemas"]["BookRequest"]["properties"].keys() == {"room"}


class Elsewhere:
    class SoldOut(Fault, status=409):
        """Of another contract."""

        since: datetime


class SoldOut(Fault, status=409):
    """Nothing is left."""

    room: str


class Wrong(Fault, status=422):
    """It cannot be meant."""


class Problem(Message):
    """Named as a part of the document is."""

    at: datetime | None
    price: Decimal
    stays: list[datetime] = []
    class_: str = msgspec.field(name="class", default="")


class Sales(Contract, Protocol, package="other.sales.v1"):
    @operation(http="POST /sales", raises=[SoldOut])
    async def sell(self) -> None: ...


class Other:
    class Rooms(Contract, Protocol, package="other.rooms.v1"):
        @operation(http="POST /others/{name}.txt", raises=[Elsewhere.SoldOut, Wrong])
        async def stays(self, name: str, problem: Problem) -> Problem: ...

        @operation(http="PATCH /hotels/{hotel}/stays")
        async def change(self, hotel: int) -> None: ...


@pytest.fixture
def both() -> Any:
    known = [*operations(Rooms).values(), *operations(Other.Rooms).values(), *operations(Sales).values()]
    text = document(known, name="shop", prefix="/api", about=About(), status_of=lambda fault: fault.status or 409)
    return json.loads(text)


def test_operations_and_paths_are_told_apart(both):
    ids = [each["operationId"] for path in both["paths"].values() for each in path.values()]

    assert len(set(ids)) == len(ids)
    assert {"shop_rooms_v1_Rooms_stays", "other_rooms_v1_Rooms_stays"} <= set(ids)
    assert set(both["paths"]["/hotels/{hotel_id}/stays"]) == {"get", "patch"}
    assert both["paths"]["/hotels/{hotel_id}/stays"]["patch"]["parameters"][0]["name"] == "hotel_id"
    pytest.importorskip("openapi_spec_validator").validate(both)


def test_each_schema_has_a_name_of_its_own(both):
    stays = both["paths"]["/others/{name}.txt"]["post"]["responses"]
    full = [
        each["$ref"].rpartition("/")[2]
        for each in stays["409"]["content"]["application/problem+json"]["schema"]["anyOf"]
    ]

    schemas = both["components"]["schemas"]
    assert schemas[full[0]]["allOf"][1]["properties"].keys() == {"fault", "since"}
    assert schemas[full[1]]["properties"].keys() >= {"title", "errors"}
    assert schemas["Problem"]["properties"].keys() == {"at", "price", "stays", "class"}


def test_a_fault_of_a_status_that_others_have_does_not_hide_them(both):
    wrong = both["paths"]["/others/{name}.txt"]["post"]["responses"]["422"]

    assert len(wrong["content"]["application/problem+json"]["schema"]["anyOf"]) == 2


def test_moments_and_decimals_have_their_formats(both):
    properties = both["components"]["schemas"]["Problem"]["properties"]

    assert {"type": "string", "format": "date-time"} in properties["at"]["anyOf"]
    assert properties["stays"]["items"]["format"] == "date-time"
    assert (properties["price"]["format"], properties["price"]["type"]) == ("decimal", ["string", "number"])
