"""What a contract says of keeping an answer is told at REST, and who has it already is told so."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import httpx
import pytest

from meristem import Cache, Contract, ContractError, idempotent, safe
from meristem.contracts.about import About
from meristem.contracts.call import ServedOperation
from meristem.contracts.contract import operations
from meristem.contracts.openapi import document
from meristem.gateway.policy.compression_rules import CompressionTable
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.transports.http.entity_tags import etag_of, is_among
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Shelf(Contract, Protocol, package="tests.caching.v1"):
    @safe(http="GET /prices/{name}", cache=Cache(max_age=60, public=True))
    async def price(self, name: str) -> str: ...

    @safe(http="GET /mine", cache=Cache())
    async def mine(self) -> list[str]: ...

    @safe(http="GET /old", cache=Cache(max_age=5, etag=False))
    async def old(self) -> int: ...

    @safe(http="GET /plain")
    async def plain(self) -> int: ...


REPLIES: dict[str, Any] = {"price": "7.50", "mine": ["a"] * 2000, "old": 1, "plain": 1}


@asynccontextmanager
async def serving(table: GatewayTable | None = None) -> AsyncIterator[httpx.AsyncClient]:
    async def handler(call: Any) -> Any:
        return REPLIES[call.operation.name]

    served = [ServedOperation(each, handler) for each in operations(Shelf).values()]
    policy = None if table is None else Gatekeeper(table)
    server = HttpServer({}, None, interfaces=[RestInterface(served)], policy=policy)
    await server.start("tcp://127.0.0.1:0", public=True)
    base = server.addresses[0].replace("tcp", "http") + "/api"
    async with httpx.AsyncClient(base_url=base, timeout=30) as client:
        yield client
    await server.stop()


async def test_who_has_the_answer_already_is_told_so():
    async with serving() as client:
        first = await client.get("/prices/tea")
        known = {"if-none-match": first.headers["etag"]}
        again = await client.get("/prices/tea", headers=known)
        head = await client.head("/prices/tea", headers=known)
        other = await client.get("/prices/tea", headers={"if-none-match": '"x"'})
        REPLIES["price"] = "8.00"
        changed = await client.get("/prices/tea", headers=known)
        REPLIES["price"] = "7.50"
    assert (first.status_code, first.json()) == (200, "7.50")
    assert first.headers["cache-control"] == "public, max-age=60"
    assert (again.status_code, again.content) == (304, b"")
    assert "content-length" not in again.headers
    assert {name: again.headers[name] for name in ("etag", "cache-control")} == {
        name: first.headers[name] for name in ("etag", "cache-control")
    }
    assert head.status_code == 304
    assert (other.status_code, changed.status_code, changed.json()) == (200, 200, "8.00")


async def test_what_is_not_said_is_not_told_and_without_a_time_it_is_asked_for_each_time():
    async with serving() as client:
        mine, old, plain = [await client.get(path) for path in ("/mine", "/old", "/plain")]
    assert mine.headers["cache-control"] == "private, no-cache"
    assert "etag" in mine.headers
    assert old.headers["cache-control"] == "private, max-age=5"
    assert "etag" not in old.headers
    assert "etag" not in plain.headers
    assert "cache-control" not in plain.headers


async def test_a_compressed_answer_is_known_by_its_tag_too():
    async with serving(GatewayTable(compression=CompressionTable())) as client:
        first = await client.get("/mine")
        again = await client.get("/mine", headers={"if-none-match": first.headers["etag"]})
    assert first.headers["content-encoding"] == "gzip"
    assert first.headers["etag"].startswith('W/"')
    assert again.status_code == 304


@pytest.mark.parametrize(
    ("known", "found"),
    [(b'"a"', True), (b'W/"a"', True), (b'"b", W/"a"', True), (b"*", True), (b'"b"', False), (b"a", False),
     (b'"aa"', False), (b'"b,"a"', False), (b"", False)],
)  # fmt: skip
def test_tags_are_compared_weakly(known: bytes, found: bool):
    assert is_among(b'"a"', known) is found
    assert etag_of(b"x") == etag_of(b"x") != etag_of(b"y")


def test_the_description_tells_of_it():
    described = document([*operations(Shelf).values()], name="x", prefix="", about=About(), status_of=lambda _: 409)
    paths = json.loads(described)["paths"]
    price = paths["/prices/{name}"]["get"]
    assert set(price["responses"]) >= {"200", "304"}
    assert set(price["responses"]["200"]["headers"]) == {"ETag", "Cache-Control"}
    assert "If-None-Match" in [each["name"] for each in price["parameters"]]
    assert set(paths["/old"]["get"]["responses"]["200"]["headers"]) == {"Cache-Control"}
    assert "304" not in paths["/plain"]["get"]["responses"]


def test_what_cannot_be_kept_is_refused():
    with pytest.raises(ContractError, match="what only reads"):

        class Writing(Contract, Protocol, package="tests.caching.v2"):
            @idempotent(http="PUT /x", cache=Cache())
            async def put(self) -> int: ...

    with pytest.raises(ContractError, match="not for others"):

        class Shared(Contract, Protocol, package="tests.caching.v2"):
            @safe(http="GET /x", authenticated=True, cache=Cache(public=True))
            async def get(self) -> int: ...

    with pytest.raises(ContractError, match="write http= beside it"):

        class Nowhere(Contract, Protocol, package="tests.caching.v2"):
            @safe(cache=Cache())
            async def get(self) -> int: ...

    with pytest.raises(ContractError, match="max_age = -1; give 0 seconds or more"):

        class Past(Contract, Protocol, package="tests.caching.v2"):
            @safe(http="GET /x", cache=Cache(max_age=-1))
            async def get(self) -> int: ...
