"""Parameters come from header, query, the whole body, or are the client's address, where their contract says so."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Protocol

import httpx
import msgspec
import pytest

from meristem.contracts.about import About
from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.openapi import document
from meristem.contracts.operation import operation, safe
from meristem.resilience.limits import Limits
from meristem.rest import Body, ClientAddress, Header, Query
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer


class Book(Message):
    title: str
    pages: Annotated[int, msgspec.Meta(ge=1)] = 1


class Shop(Contract, Protocol, package="shop.v1"):
    @operation(http="POST /hooks")
    async def notified(
        self,
        payload: Annotated[bytes, Body("application/json")],
        signature: Annotated[str, Header("X-Signature")],
        attempt: Annotated[int, Header("x-attempt")] = 1,
    ) -> list[str]: ...

    @operation(http="POST /shelves/{shelf}/books")
    async def add(self, shelf: str, books: Annotated[list[Book], Body()], dry_run: bool = False) -> list[str]: ...

    @operation(http="POST /books")
    async def order(self, title: str, tags: Annotated[list[str], Query()], pages: int = 1) -> list[str]: ...

    @operation(http="POST /notes")
    async def note(self, text: Annotated[str, Body("text/*")] = "nothing") -> list[str]: ...

    @safe(http="GET /me")
    async def me(self, sender: Annotated[str, ClientAddress()]) -> list[str]: ...


async def answer(call: Call) -> list[str]:
    return [f"{name}={getattr(call.request, name)!r}" for name in call.request.__struct_fields__]


@pytest.fixture
async def shop() -> AsyncIterator[httpx.AsyncClient]:
    async with Served() as client:
        yield client


class Served:
    """The shop at a port of its own, and a client of it."""

    def __init__(self, **limits: Any) -> None:
        routes = {each.path: ServedOperation(each, answer) for each in operations(Shop).values()}
        known = Limits(**limits)
        self.server = HttpServer(routes, interfaces=[RestInterface(routes.values(), limits=known)], limits=known)

    async def __aenter__(self) -> httpx.AsyncClient:
        await self.server.start("tcp://127.0.0.1:0", public=True)
        self.client = httpx.AsyncClient(base_url=self.server.addresses[0].replace("tcp", "http"), timeout=30)
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.server.stop()


async def test_a_signed_notice_arrives_byte_for_byte_with_its_header(shop):
    body, sent = b'{"b": 1,  "a": 2}', {"content-type": "application/json; charset=utf-8", "x-SIGNATURE": "t=1,v=ab"}
    found = await shop.post("/api/hooks", content=body, headers=sent)
    again = await shop.post("/api/hooks", content=body, headers=sent | {"x-attempt": "3"})

    assert found.json() == [f"payload={body!r}", "signature='t=1,v=ab'", "attempt=1"]
    assert again.json()[2] == "attempt=3"


@pytest.mark.parametrize(
    ("sent", "status", "field"),
    [
        ({}, 422, "x-signature"),
        ({"x-signature": "a", "x-attempt": "two"}, 422, "x-attempt"),
        ({"x-signature": "a", "content-type": "text/plain"}, 415, None),
        ({"x-signature": b"\xff"}, 422, "x-signature"),
    ],
)
async def test_a_header_that_is_missing_or_does_not_fit_is_named(shop, sent, status, field):
    found = await shop.post("/api/hooks", content=b"{}", headers={"content-type": "application/json"} | sent)

    assert found.status_code == status
    assert [each["field"] for each in found.json().get("errors", [])] == ([] if field is None else [field])


async def test_an_array_is_a_body_and_what_stands_beside_it_comes_from_path_and_query(shop):
    found = await shop.post("/api/shelves/a%2Fb/books?dry_run=true", json=[{"title": "Emma"}, {"title": "Persuasion"}])
    wrong = await shop.post("/api/shelves/a/books", json=[{"title": "Emma", "pages": 0}])
    empty = await shop.post("/api/shelves/a/books", headers={"content-type": "application/json"})

    assert found.json()[0] == "shelf='a/b'"
    assert found.json()[1].count("Book(") == 2
    assert found.json()[2] == "dry_run=True"
    assert [each["field"] for each in wrong.json()["errors"]] == ["[0].pages"]
    assert [each["field"] for each in empty.json()["errors"]] == ["books"]


async def test_the_query_counts_beside_a_body_that_cannot_name_its_fields(shop):
    found = await shop.post("/api/books?tags=a&tags=b", json={"title": "Emma", "pages": 3, "tags": ["forged"]})
    missing = await shop.post("/api/books", json={"title": "Emma"})

    assert found.json() == ["title='Emma'", "tags=['a', 'b']", "pages=3"]
    assert missing.json()["errors"] == [{"field": "tags", "reason": "is required"}]


async def test_a_text_is_a_body_and_may_be_left_out(shop):
    plain = {"content-type": "text/plain"}
    found = await shop.post("/api/notes", content="Grüße", headers=plain)
    none = await shop.post("/api/notes")
    broken = await shop.post("/api/notes", content=b"\xff", headers=plain)
    other = await shop.post("/api/notes", content=b"{}", headers={"content-type": "application/json"})

    assert [each.json() for each in (found, none)] == [["text='Grüße'"], ["text='nothing'"]]
    assert (broken.status_code, other.status_code) == (422, 415)


async def test_the_address_of_the_client_is_told_by_trusted_proxies_alone():
    told = {"x-forwarded-for": "192.0.2.7"}
    async with Served() as nobody:
        assert (await nobody.get("/api/me", headers=told)).json() == ["sender='127.0.0.1'"]
    async with Served(trusted_proxies=("127.0.0.1",)) as proxied:
        assert (await proxied.get("/api/me", headers=told)).json() == ["sender='192.0.2.7'"]
        contrary = await proxied.get("/api/me", headers=told | {"forwarded": "for=192.0.2.8"})
        assert contrary.status_code == 400


async def test_nobody_outside_gives_an_address_by_rpc(shop):
    forged = await shop.post("/shop.v1.Shop/Me", json={"sender": "192.0.2.7"})
    other = await shop.post("/shop.v1.Shop/Note", json={"text": "by RPC"})

    assert (forged.status_code, other.status_code) == (403, 200)
    assert "GET /me" in forged.json()["message"]


async def test_openapi_tells_where_each_parameter_stands():
    known = list(operations(Shop).values())
    paths = json.loads(document(known, name="shop", prefix="/api", about=About(), status_of=lambda _: 422))["paths"]

    def parameters(path: str) -> set[tuple[str, str]]:
        (described,) = paths[path].values()
        return {(each["in"], each["name"]) for each in described["parameters"]} - {("header", "Idempotency-Key")}

    assert parameters("/hooks") == {("header", "x-signature"), ("header", "x-attempt")}
    assert parameters("/shelves/{shelf}/books") == {("path", "shelf"), ("query", "dry_run")}
    assert parameters("/books") == {("query", "tags")}
    assert parameters("/me") == set()
    assert paths["/hooks"]["post"]["requestBody"]["content"] == {"application/json": {}}
    array = paths["/shelves/{shelf}/books"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert (array["type"], set(paths["/books"]["post"]["requestBody"]["content"])) == ("array", {"application/json"})
    assert paths["/notes"]["post"]["requestBody"]["required"] is False
