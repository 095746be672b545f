"""Examples in the OpenAPI document: those of the types, and what can be put together from them."""

from __future__ import annotations

import json
from enum import Enum
from typing import Annotated, Any, Literal, Protocol
from uuid import UUID

import pytest
from msgspec import Meta

from meristem import Contract, Message, once, safe
from meristem.contracts.about import About
from meristem.contracts.contract import operations
from meristem.contracts.examples import UNKNOWN, example_of
from meristem.contracts.openapi import document

Article = Annotated[str, Meta(description="What is ordered.", examples=["lamp", "chair"])]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Line(Message):
    article: Article
    colour: Colour
    kind: Literal["new"]
    note: str = ""


class Basket(Message):
    first: Line
    count: int = 1


class Parcel(Message):
    parcel_id: UUID
    line: Line


class Shop(Contract, Protocol, package="examples.shop.v1"):
    @safe(http="GET /stock/{article}")
    async def left(self, article: Article, near: Article = "lamp") -> int: ...

    @once(http="POST /baskets")
    async def order(self, basket: Basket) -> int: ...

    @once(http="POST /parcels")
    async def send(self, parcel: Parcel) -> int: ...


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    known = list(operations(Shop).values())
    text = document(known, name="shop", prefix="/api", about=About(), status_of=lambda _: 409)
    return dict(json.loads(text)["paths"])


def test_a_parameter_has_the_first_example_and_the_description_of_its_type(paths):
    article, near = paths["/stock/{article}"]["get"]["parameters"]

    assert (article["example"], article["description"]) == ("lamp", "What is ordered.")
    assert (near["example"], near["schema"]["default"]) == ("lamp", "lamp")
    assert "description" not in article["schema"]


def test_the_example_of_a_body_has_what_it_requires(paths):
    body = paths["/baskets"]["post"]["requestBody"]["content"]["application/json"]

    assert body["example"] == {"first": {"article": "lamp", "colour": "blue", "kind": "new"}}  # choices are sorted


def test_a_body_has_none_where_a_part_of_it_has_none(paths):
    assert "example" not in paths["/parcels"]["post"]["requestBody"]["content"]["application/json"]


@pytest.mark.parametrize(
    ("schema", "example"),
    [
        ({"type": "string"}, UNKNOWN),
        ({"type": "string", "default": ""}, ""),
        ({"const": None}, None),
        ({"type": "object"}, {}),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, UNKNOWN),
    ],
)
def test_nothing_is_made_up(schema, example):
    assert example_of(schema, {}) == example
