"""A bearer token says who the user is, whichever way the call comes in; a token of the system goes before it."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from meristem.transports.http.connect.framing import envelope

RPC = "/shop.rooms.v1.Rooms"
WAYS = {
    "rest": ("GET", "/api/hotels/7/stays", {}, b""),
    "post": ("POST", f"{RPC}/Stays", {"content-type": "application/json"}, b'{"hotel_id":7}'),
    "get": ("GET", f'{RPC}/Stays?encoding=json&message={{"hotel_id":7}}', {}, b""),
    "stream": ("POST", f"{RPC}/Count", {"content-type": "application/connect+json"}, envelope(b'{"until":1}')),
}
RPC_WAYS = [way for way in WAYS if way != "rest"]


@pytest.fixture
async def ask(wire):
    server = await wire.server(secured=True)
    transport = httpx.AsyncHTTPTransport(uds=server.addresses[0].removeprefix("unix:"))
    async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:

        async def send(way, **headers):
            method, path, own, body = WAYS[way]
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            return await client.request(method, path, headers=own | given, content=body)

        yield send


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_a_valid_token_makes_the_call_that_users(wire, ask, way, scheme):
    answer = await ask(way, authorization=f"{scheme} user-anna")

    assert answer.status_code == 200
    [context] = wire.handlers.contexts
    assert (context.user.subject, context.caller) == ("anna", None)


@pytest.mark.parametrize("way", WAYS)
async def test_a_token_that_is_not_valid_is_refused_before_anything_runs(wire, ask, way):
    answer = await ask(way, authorization="Bearer stolen", meristem_token="mallory/anna")

    refusal = json.loads(answer.content[5:])["error"] if way == "stream" else answer.json()
    assert refusal["code"] == "unauthenticated"
    if way != "stream":
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert wire.handlers.contexts == []


@pytest.mark.parametrize("way", WAYS)
async def test_another_scheme_says_nothing(wire, ask, way):
    await ask(way, authorization="Basic eDp5")

    assert wire.handlers.contexts[-1].user is None


async def test_a_user_may_not_call_what_is_internal(wire, ask, monkeypatch):
    monkeypatch.setitem(WAYS, "internal", ("POST", f"{RPC}/Describe", {"content-type": "application/json"}, b"{}"))

    assert (await ask("internal", authorization="Bearer user-anna")).status_code == 403
    assert wire.handlers.contexts == []


@pytest.mark.parametrize("way", RPC_WAYS)
@pytest.mark.parametrize("bearer", ["user-eve", "stolen"])
async def test_a_service_speaks_for_whom_its_own_token_names(wire, ask, way, bearer):
    await ask(way, meristem_token="search/anna", authorization=f"Bearer {bearer}")
    await ask(way, meristem_token="web", authorization=f"Bearer {bearer}")

    [with_user, without] = wire.handlers.contexts
    assert (with_user.caller, with_user.user.subject) == ("search", "anna")
    assert (without.caller, without.user) == ("web", None)


async def test_a_repeated_head_with_a_bearer_token_is_read_anew(wire):
    """It has the form of our own client's, which would be recognized by what it began with."""
    server = await wire.server(secured=True)
    reader, writer = await asyncio.open_unix_connection(server.addresses[0].removeprefix("unix:"))
    for user in ("anna", "anna", "bob"):
        writer.write(
            f"POST {RPC}/Stays HTTP/1.1\r\nhost: shop\r\nuser-agent: meristem/1\r\n"
            f"content-type: application/json\r\nauthorization: Bearer user-{user}\r\n"
            'connect-protocol-version: 1\r\ncontent-length: 14\r\n\r\n{"hotel_id":7}'.encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.partition(b":")[2]))
    writer.close()
    await writer.wait_closed()

    assert [context.user.subject for context in wire.handlers.contexts] == ["anna", "anna", "bob"]
