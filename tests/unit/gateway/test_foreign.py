"""What the edge tells a program that knows nothing of the system, and what it takes from one."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from meristem.asgi import ASGIApp
from meristem.discovery.static import StaticResolver
from meristem.gateway.forwarder import Forwarder
from meristem.gateway.request_head import ForeignHead, below
from meristem.gateway.traced import Traced
from meristem.gateway.upstream import Upstream
from meristem.hosting.asgi.mounts import Mounts
from meristem.runtime.telemetry import ProcessTelemetry
from meristem.system.placement_tables import Telemetry
from meristem.transports.http.server.http_server import HttpServer

PATIENCE = 60.0
Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def behind(
    peer: Peer, mount: str = "/php", around: Callable[[ASGIApp], ASGIApp] = lambda app: app
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an edge before a program that speaks HTTP by a test's own bytes."""
    told = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await peer(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            told.set()

    program = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = program.sockets[0].getsockname()[1]
    upstream = Upstream("web", StaticResolver({"web": [f"tcp://127.0.0.1:{port}"]}), tells=False, patience=0.2)
    server = HttpServer({}, Mounts({mount: around(Forwarder(upstream, ForeignHead(mount)))}))
    await upstream.start()
    await server.start("tcp://127.0.0.1:0", public=True)
    try:
        base = server.addresses[0].replace("tcp://", "http://")
        async with httpx.AsyncClient(base_url=base, timeout=PATIENCE) as browser:
            yield browser
    finally:
        await server.stop()
        await upstream.stop()
        program.close()
        await program.wait_closed()


def saying(*answers: bytes, heads: list[bytes] | None = None) -> Peer:
    """A program that gives these answers, one to each request of a connection."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for each in answers:
            head = await reader.readuntil(b"\r\n\r\n")
            if heads is not None:
                heads.append(head)
            writer.write(each)
            await writer.drain()

    return peer


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


async def test_a_program_sees_the_path_below_its_mount_and_is_told_of_it_as_by_any_proxy():
    heads: list[bytes] = []
    forged = {"x-forwarded-for": "1.2.3.4", "x-forwarded-prefix": "/evil", "forwarded": "for=1.2.3.4", "x-real-ip": "1"}
    async with behind(saying(OK, heads=heads)) as browser:
        await browser.get("/php/a%2Fb/%C3%A4?x=%20", headers={**forged, "connection": "close, x-mine", "x-mine": "1"})
        host = f"{browser.base_url.host}:{browser.base_url.port}"

    line, *lines = heads[0].decode().split("\r\n")
    fields = dict(each.split(": ", 1) for each in lines if each)
    assert line == "GET /a%2Fb/%C3%A4?x=%20 HTTP/1.1"
    assert fields["host"] == fields["x-forwarded-host"] == host
    assert fields["x-forwarded-for"] == "127.0.0.1"
    assert (fields["x-forwarded-proto"], fields["x-forwarded-prefix"]) == ("http", "/php")
    assert fields["forwarded"] == f'for=127.0.0.1;proto=http;host="{host}"'
    assert not {"connection", "x-mine", "x-real-ip"} & fields.keys()


async def test_what_a_program_might_take_for_a_field_of_the_edge_is_gone_and_none_of_those_can_be_left_out():
    heads: list[bytes] = []
    forged = {"x_forwarded_for": "1.2.3.4", "X-Forwarded_For": "1.2.3.4", "x_real_ip": "1.2.3.4", "proxy": "evil:1"}
    named = {"connection": "traceparent, x-forwarded-for, host, x-mine", "traceparent": "00-1-2-01", "x-mine": "1"}
    async with behind(saying(OK, heads=heads)) as browser:
        await browser.get("/php/", headers={**forged, **named})

    names = [line.partition(b":")[0].lower() for line in heads[0].split(b"\r\n")]
    assert [each for each in names if b"_" in each or each in (b"proxy", b"x-mine")] == []
    assert {b"traceparent", b"x-forwarded-for", b"host"} <= set(names)
    assert b"1.2.3.4" not in heads[0]


@pytest.mark.parametrize(
    ("told", "found"),
    [
        ("/login?next=%2F", "/php/login?next=%2F"),
        ("/php/login", "/php/login"),
        ("/php?a=1", "/php?a=1"),
        ("/phpinfo", "/php/phpinfo"),
        ("login", "login"),
        ("?page=2", "?page=2"),
        ("//other.example/x", "//other.example/x"),
        ("http://other.example/x", "http://other.example/x"),
    ],
)
async def test_a_redirect_of_a_program_that_does_not_heed_its_prefix_stays_below_the_mount(told, found):
    answer = b"HTTP/1.1 302 Found\r\nlocation: %b\r\ncontent-length: 0\r\n\r\n" % told.encode()
    async with behind(saying(answer)) as browser:
        assert (await browser.get("/php/")).headers["location"] == found


def test_a_redirect_of_an_app_that_is_told_its_mount_stays_as_it_is():
    fields = [(b"location", b"/login")]

    assert ForeignHead("/app", is_told=True).returned(fields) == fields


@pytest.mark.parametrize(
    ("path", "mount", "rest"),
    [
        (b"/php/x", b"/php", b"/x"),
        (b"/%70hp/x", b"/php", b"/x"),
        (b"/php%2Fx", b"/php", b"/x"),
        (b"/a%20b/x", b"/a b", b"/x"),
        (b"/%C3%A4/", "/ä".encode(), b"/"),
        (b"/x", b"", b"/x"),
    ],
)
def test_what_lies_below_a_mount_is_counted_in_characters_as_they_are_meant(path, mount, rest):
    assert below(path, mount) == rest


@pytest.mark.parametrize(
    ("answer", "status", "body"),
    [
        (OK, 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n", 200, b"ok"),
        (b"HTTP/1.0 200 OK\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nok", 200, b"ok"),
        (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK, 200, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
        (b"HTTP/1.1 299 Of Its Own\r\ncontent-length: 0\r\n\r\n", 299, b""),
        (b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", 408, b""),
    ],
)
async def test_answers_of_every_form_are_passed_on(answer, status, body):
    async with behind(saying(answer)) as browser:
        answered = await browser.get("/php/")

    assert (answered.status_code, answered.content) == (status, body)


@pytest.mark.parametrize(
    "answer",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
        b"HTTP/1.1 999 Request Denied\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 099 Early\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"\r\n\r\n",
    ],
)
async def test_what_can_be_read_in_two_ways_is_answered_with_502(answer):
    async with behind(saying(answer, answer, answer)) as browser:
        assert (await browser.post("/php/", content=b"x")).status_code == 502


async def test_bytes_behind_an_answer_are_never_taken_for_the_next_one():
    async with behind(saying(OK + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nother", OK)) as browser:
        assert [(await browser.get("/php/")).text for _ in range(3)] == ["ok"] * 3


@pytest.mark.parametrize("broken", [b"5\r\nab", b"zz\r\n", b"2\r\nabc\r\n"])
async def test_a_body_that_breaks_off_or_is_unsound_cuts_the_client(broken):
    answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n" + broken
    async with behind(saying(answer)) as browser:
        with pytest.raises(httpx.HTTPError):
            await browser.get("/php/")


async def test_an_answer_to_head_has_its_length_and_no_body_and_the_connection_goes_on():
    heads: list[bytes] = []
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
    async with behind(saying(head, OK, heads=heads)) as browser:
        asked = await browser.head("/php/")
        assert (await browser.get("/php/")).text == "ok"

    assert (asked.headers["content-length"], asked.content) == ("1000", b"")
    assert len(heads) == 2


async def test_what_may_not_be_sent_twice_is_not_when_a_kept_connection_ends():
    """Of two requests the first finds the program well, and the second its connection closed."""
    heads: list[bytes] = []
    async with behind(saying(OK, b"", heads=heads)) as browser:
        answers = [(await browser.post("/php/", content=each)).status_code for each in (b"one", b"two")]

    assert answers == [200, 502]
    assert len(heads) == 2


async def test_a_question_that_changes_nothing_is_asked_again_when_a_kept_connection_ends():
    heads: list[bytes] = []
    async with behind(saying(OK, b"", heads=heads)) as browser:
        answers = [(await browser.get("/php/")).text for _ in range(4)]

    assert answers == ["ok"] * 4


async def test_a_body_is_sent_to_a_program_that_does_not_know_the_question_for_it():
    taken: list[bytes] = []

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        taken.append(await reader.readexactly(3))
        writer.write(OK)

    async with behind(peer) as browser:
        answered = await browser.post("/php/", content=b"abc", headers={"expect": "100-continue"})

    assert (answered.text, taken) == ("ok", [b"abc"])


async def test_an_answer_before_the_body_is_the_answer_although_the_program_hangs_up_on_the_rest():
    """As to an upload that is too large: closing with bytes unread is a reset, and what is sent meets that."""

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\nconnection: close\r\n\r\nbig")
        await writer.drain()

    async with behind(peer) as browser:
        asks = {"expect": "100-continue"}
        answers = [await browser.post("/php/", content=b"x" * 3_000_000) for _ in range(10)]
        answers += [await browser.post("/php/", content=b"x" * 3_000_000, headers=asks) for _ in range(3)]

    assert {(each.status_code, each.text) for each in answers} == {(413, "big")}


@pytest.mark.parametrize("sampled", [True, False])
async def test_a_client_that_leaves_before_the_answer_of_a_program_is_told_as_such(caplog, sampled):
    caplog.set_level(logging.INFO, "meristem.access")
    requests = ProcessTelemetry({}, {}, Telemetry(traces_per_second=1e6 if sampled else 0)).requests("web")
    asked, left = asyncio.Event(), asyncio.Event()

    async def peer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        left.set()

    async with behind(peer, around=lambda app: Traced(app, requests, is_told=True)) as browser:
        asking = asyncio.create_task(browser.get("/php/slow"))
        await asyncio.wait_for(asked.wait(), PATIENCE)
        asking.cancel()
        await asyncio.wait_for(left.wait(), PATIENCE)

    assert [each.getMessage() for each in caplog.records] == ["GET /php/slow 499"]


async def test_where_no_program_listens_the_client_is_told_to_try_again():
    upstream = Upstream("web", StaticResolver({"web": ["tcp://127.0.0.1:1"]}), tells=False, patience=0.1)
    told: list[Any] = []

    async def send(message: Any) -> None:
        told.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "headers": []}
    await upstream.start()
    await Forwarder(upstream, ForeignHead(""))({**scope, "client": None, "scheme": "http"}, receive, send)
    await upstream.stop()

    assert told[0]["status"] == 503
    assert (b"retry-after", b"1") in told[0]["headers"]


async def test_a_program_is_named_a_host_also_where_the_client_names_none():
    heads: list[bytes] = []
    async with behind(saying(OK, heads=heads)) as browser:
        port = browser.base_url.port
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /php/ HTTP/1.0\r\n\r\n")
        assert (await reader.read()).endswith(b"ok")
        writer.close()

    assert b"\r\nhost: 127.0.0.1:%d\r\n" % port in heads[0]
