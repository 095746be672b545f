"""Each answer at a public address is told once, refusals included; what comes by an internal one is not."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from meristem.resilience.limits import Limits
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer
from meristem.transports.http.server.told_connection import AnsweredRequest
from tests.suites.shop import RoomsHandlers, authenticate, verify

STAY = {"hotel_id": 7, "city": "Rome", "arrival": "2030-01-02"}


class Told:
    def __init__(self, *, public: bool = True, authorized: bool = False, **limits: object) -> None:
        self.answers: list[AnsweredRequest] = []
        self.handlers = RoomsHandlers()
        self.verify = verify if authorized else None
        self.limits = Limits(**limits)  # type: ignore[arg-type]
        self.public = public

    async def __aenter__(self) -> Told:
        routes = self.handlers.endpoints()
        rest = RestInterface(routes.values(), limits=self.limits)
        self.server = HttpServer(
            routes,
            interfaces=[rest],
            limits=self.limits,
            verify=self.verify,
            authenticate=authenticate,
            on_answer=self.answers.append,
        )
        await self.server.start("tcp://127.0.0.1:0", public=self.public)
        self.client = httpx.AsyncClient(base_url=self.server.addresses[0].replace("tcp", "http"), timeout=30)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.server.stop()

    @property
    def lines(self) -> list[tuple[str, str, int]]:
        return [(each.method, each.path, each.status) for each in self.answers]

    async def raw(self, data: bytes) -> bytes:
        host, port = str(self.client.base_url.host), self.client.base_url.port
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(data)
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        return answer


@pytest.fixture
async def told():
    async with Told() as opened:
        yield opened


async def test_calls_and_refusals_are_told_with_status_client_and_context(told):
    await told.client.post("/api/bookings?secret=1", json=STAY, headers={"authorization": "Bearer user-anna"})
    await told.client.post("/api/bookings", json=STAY | {"hotel_id": "x"})
    await told.client.get("/nowhere")
    await told.client.delete("/api/bookings")
    await told.client.get("/api/hotels/7/stays", params={"tags": ["a"], "board": "breakfast"})

    assert told.lines == [
        ("POST", "/api/bookings", 201),
        ("POST", "/api/bookings", 422),
        ("GET", "/nowhere", 404),
        ("DELETE", "/api/bookings", 405),
        ("GET", "/api/hotels/7/stays", 200),
    ]
    assert {each.client for each in told.answers} == {"127.0.0.1"}
    assert all(0 < each.seconds < 30 for each in told.answers)
    users = [None if each.context is None or each.context.user is None else each.context.user for each in told.answers]
    assert [user and user.subject for user in users] == ["anna", None, None, None, None]


async def test_what_is_no_request_or_too_large_is_told(told):
    await told.raw(b"\x16\x03\x01 no HTTP\r\n\r\n")
    await told.raw(b"GET / HTTP/1.1\r\n\r\n")

    assert told.lines == [("", "", 400), ("", "", 400)]
    async with Told(body_bytes=1024) as small:
        await small.client.post("/api/bookings", content=bytes(5000), headers={"content-type": "application/json"})
        assert small.lines == [("POST", "/api/bookings", 413)]


async def test_pipelined_requests_are_told_one_by_one(told):
    one = b"GET /nowhere HTTP/1.1\r\nhost: x\r\n\r\n"
    await told.raw(one * 3 + b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")

    assert [path for _, path, _ in told.lines] == ["/nowhere"] * 3 + ["/last"]


async def test_an_internal_address_tells_nothing():
    async with Told(public=False) as inside:
        await inside.client.get("/nowhere")
        assert inside.lines == []


async def test_a_client_that_leaves_before_its_answer_is_told():
    async with Told(authorized=True) as told:
        head = b"POST /shop.rooms.v1.Rooms/Wait HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        _, writer = await asyncio.open_connection(str(told.client.base_url.host), told.client.base_url.port)
        writer.write(head + b"meristem-token: web\r\ncontent-length: 2\r\n\r\n{}")
        async with asyncio.timeout(20):
            await told.handlers.started.wait()
            writer.close()
            await told.handlers.cancelled.wait()

        assert [status for *_, status in told.lines] == [499]
