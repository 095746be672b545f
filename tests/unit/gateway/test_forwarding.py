"""Streams, early answers, leaving clients and dying processes, through an edge."""

import asyncio
import logging
import socket
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from meristem import App

from .conftest import PATIENCE

CHUNK = b"x" * 65536


async def alive(receive: Any, send: Any) -> None:
    """The life of an app that has nothing to do in it."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": f"{message['type']}.complete"})
    await send({"type": "lifespan.shutdown.complete"})


async def answer(send: Any, body: bytes, status: int = 200, *fields: tuple[bytes, bytes], more: bool = False) -> None:
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body, "more_body": more})


class Bench:
    """An app that does by its path what a test wants of it."""

    def __init__(self) -> None:
        self.begun, self.told, self.release = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.served = self.taken = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await alive(receive, send)
            return
        self.served += 1
        await getattr(self, scope["path"].rpartition("/")[2])(scope, receive, send)

    async def head(self, scope: Any, _receive: Any, send: Any) -> None:
        """Tells what it sees of a request."""
        fields = b"\n".join(b"%b: %b" % each for each in scope["headers"])
        told = (scope["client"], scope["scheme"], scope["server"], scope["path"], scope["root_path"])
        await answer(send, f"{told}\n".encode() + fields)

    async def body(self, _scope: Any, receive: Any, send: Any) -> None:
        """Counts what it is sent."""
        more = True
        while more:
            message = await receive()
            self.taken += len(message.get("body", b""))
            more = message.get("more_body", False)
        await answer(send, str(self.taken).encode())

    async def early(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Answers without looking at the body."""
        await answer(send, b"no", 413)

    async def held(self, _scope: Any, receive: Any, send: Any) -> None:
        """Takes a body only once it is released."""
        self.begun.set()
        await self.release.wait()
        await self.body(_scope, receive, send)

    async def endless(self, _scope: Any, receive: Any, send: Any) -> None:
        """Sends without an end, until it is told that its client has left."""

        async def left() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            self.told.set()

        watching = asyncio.ensure_future(left())
        try:
            await answer(send, b"first", more=True)
            self.begun.set()
            while not self.told.is_set():
                await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
                self.taken += len(CHUNK)
                await asyncio.sleep(0)
        finally:
            watching.cancel()

    async def waiting(self, _scope: Any, receive: Any, send: Any) -> None:
        """Answers once it is released, or its client has left."""
        self.begun.set()
        released = asyncio.ensure_future(self.release.wait())
        left = asyncio.ensure_future(self._left(receive))
        await asyncio.wait({released, left}, return_when=asyncio.FIRST_COMPLETED)
        if left.done():
            self.told.set()
        for each in (released, left):
            each.cancel()
        await answer(send, b"released")

    async def _left(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def part(self, _scope: Any, _receive: Any, send: Any) -> None:
        """Sends a part of an answer, and the rest when it is released."""
        await answer(send, b"a part", more=True)
        self.begun.set()
        await self.release.wait()
        await send({"type": "http.response.body", "body": b" and the rest"})


@pytest.fixture
def bench() -> Bench:
    return Bench()


@asynccontextmanager
async def raw(port: int):
    """A connection to the edge whose bytes are a test's own."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def test_an_app_sees_client_scheme_host_and_mount_as_the_edge_does_and_nothing_of_the_way(divided, bench):
    forged = {"meristem-origin": "https 1.2.3.4 1 evil.example 443", "meristem-app": "other", "meristem-token": "x"}
    async with divided(App("bench", bench, mount="/bench")) as system:
        told = (await system.browser.get("/bench/head", headers={**forged, "x-forwarded-for": "1.2.3.4"})).text
        port = system.port

    first, *fields = told.splitlines()
    names = [each.partition(":")[0] for each in fields]
    assert first.startswith("(('127.0.0.1', ")
    assert first.endswith(f"'http', ('127.0.0.1', {port}), '/bench/head', '/bench')")
    assert f"host: 127.0.0.1:{port}" in fields
    assert not [each for each in names if each.startswith(("meristem", "x-forwarded"))]
    assert names.count("traceparent") == 1


async def test_nobody_reaches_an_app_without_the_token_of_the_system(divided, bench):
    async with divided(App("bench", bench, mount="/bench")) as system:
        transport = httpx.AsyncHTTPTransport(uds=str(system.socket("bench")))
        async with httpx.AsyncClient(transport=transport, base_url="http://inside") as inside:
            fields = {"meristem-app": "bench", "meristem-origin": "http 1.2.3.4 1 x 80", "meristem-token": "forged"}
            forged = await inside.get("/health/live", headers=fields)
            plain = await inside.get("/bench/head")

    assert (forged.status_code, plain.status_code, bench.served) == (403, 404, 0)


async def test_a_path_that_the_process_knows_itself_is_the_apps_when_it_is_forwarded(divided, bench):
    async def path(scope: Any, receive: Any, send: Any) -> None:
        await (alive(receive, send) if scope["type"] == "lifespan" else answer(send, scope["path"].encode()))

    async with divided(App("all", path, mount="/health")) as system:
        for each in ("/health/live", "/health/ready", "/health/x"):
            assert (await system.browser.get(each)).text == each


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_large_body_streams_at_the_pace_of_the_app(divided, bench, chunked):
    size = 24 * len(CHUNK) * 16
    async with divided(App("bench", bench, mount="/bench")) as system, raw(system.port) as (reader, writer):
        framing = b"transfer-encoding: chunked" if chunked else b"content-length: %d" % size
        writer.write(b"POST /bench/held HTTP/1.1\r\nhost: x\r\n%b\r\n\r\n" % framing)
        sent = 0

        async def upload() -> None:
            nonlocal sent
            while sent < size:
                writer.write(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK) if chunked else CHUNK)
                await writer.drain()
                sent += len(CHUNK)
            writer.write(b"0\r\n\r\n" if chunked else b"")

        uploading = asyncio.create_task(upload())
        await bench.begun.wait()
        for _ in range(50):
            await asyncio.sleep(0.01)
        held = sent
        bench.release.set()
        await uploading
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(len(str(size)))

    assert held < size / 2
    assert head.startswith(b"HTTP/1.1 200")
    assert int(body) == size


async def test_an_answer_is_made_no_faster_than_the_client_reads_and_its_leaving_is_told(divided, bench):
    async with divided(App("bench", bench, mount="/bench")) as system, raw(system.port) as (reader, writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        writer.write(b"GET /bench/endless HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"first")
        before = -1
        while bench.taken != before:
            before = bench.taken
            await asyncio.sleep(0.2)
        stalled = bench.taken
        writer.close()
        await bench.told.wait()

    assert stalled < 64 * 1024 * 1024


@pytest.mark.parametrize(("method", "rest"), [(b"GET", b"\r\n"), (b"POST", b"content-length: 10\r\n\r\nabc")])
async def test_a_client_that_leaves_before_the_answer_or_in_its_body_is_told_to_the_app(divided, bench, method, rest):
    async with divided(App("bench", bench, mount="/bench")) as system, raw(system.port) as (_reader, writer):
        writer.write(b"%b /bench/waiting HTTP/1.1\r\nhost: x\r\n%b" % (method, rest))
        await bench.begun.wait()
        writer.close()
        await bench.told.wait()


async def test_an_early_answer_arrives_while_the_body_is_still_sent(divided, bench):
    async with divided(App("bench", bench, mount="/bench")) as system:
        async with raw(system.port) as (reader, writer):
            writer.write(b"POST /bench/early HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n" + CHUNK)
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 413")
        assert (await system.browser.post("/bench/body", content=b"abc")).text == "3"


async def test_a_body_is_asked_for_only_when_the_app_wants_it(divided, bench):
    async with divided(App("bench", bench, mount="/bench")) as system, raw(system.port) as (reader, writer):
        expecting = b" HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n"
        writer.write(b"POST /bench/early" + expecting)
        refused = await reader.readuntil(b"\r\n\r\n")
        async with raw(system.port) as (other, writing):
            writing.write(b"POST /bench/body" + expecting)
            asked = await other.readuntil(b"\r\n\r\n")
            writing.write(b"abc")
            taken = await other.readuntil(b"\r\n\r\n")

    assert refused.startswith(b"HTTP/1.1 413")
    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert taken.startswith(b"HTTP/1.1 200")


async def test_an_answer_that_breaks_off_is_never_taken_for_a_whole_one(divided, bench):
    async with divided(App("bench", bench, mount="/bench")) as system, raw(system.port) as (reader, writer):
        writer.write(b"GET /bench/part HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"a part\r\n")
        await system.end("bench", drains=False)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(1000)


async def test_a_request_whose_process_dies_before_the_answer_is_answered_with_502_and_not_repeated(divided, bench):
    async with divided(App("bench", bench, mount="/bench")) as system:
        asking = asyncio.create_task(system.browser.post("/bench/waiting", content=b"x"))
        await bench.begun.wait()
        await system.end("bench", drains=False)
        answered = await asking

    assert (answered.status_code, bench.served) == (502, 1)


async def test_a_request_that_changes_nothing_goes_to_another_replica(divided, bench):
    async with divided(App("bench", bench, mount="/bench"), replicas=2) as system:
        asking = asyncio.create_task(system.browser.get("/bench/waiting"))
        await bench.begun.wait()
        busy = next(number for number in (0, 1) if _serves(system, number))
        bench.release.set()
        await system.end("bench", busy, drains=False)
        answered = await asking

    assert answered.status_code == 200


def _serves(system: Any, number: int) -> bool:
    """Whether a replica has a request under way."""
    return system.replicas[f"bench-{number}"]._server.connections > 0


async def test_what_is_away_is_waited_for_and_then_said_to_be(divided, bench):
    async with divided(App("bench", bench, mount="/bench"), away=1.0) as system:
        await system.end("bench")
        gone = await system.browser.post("/bench/body", content=b"abc")
        back = asyncio.create_task(system.browser.post("/bench/body", content=b"abc"))
        await asyncio.sleep(0.2)
        await system.begin("bench")
        answered = await back

    assert (gone.status_code, gone.headers["retry-after"]) == (503, "1")
    assert (answered.status_code, answered.text) == (200, "3")


async def test_requests_are_spread_over_the_replicas(divided, bench):
    async with divided(App("bench", bench, mount="/bench"), replicas=3) as system:
        asking = [asyncio.create_task(system.browser.get("/bench/waiting")) for _ in range(9)]
        async with asyncio.timeout(PATIENCE):
            while bench.served < 9:
                await asyncio.sleep(0.01)
        busy = [system.replicas[f"bench-{number}"]._server.connections for number in range(3)]
        bench.release.set()
        await asyncio.gather(*asking)

    assert busy == [3, 3, 3]


async def test_a_replica_that_drains_loses_no_request(divided, bench):
    async with divided(App("bench", bench, mount="/bench"), replicas=2) as system:
        lost = []

        async def ask() -> None:
            for number in range(100):
                answered = await system.browser.post("/bench/body", content=b"x" * number)
                if answered.status_code != 200:
                    lost.append(answered)

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        for _ in range(3):
            await asyncio.sleep(0.05)
            await system.end("bench", 0)
            await system.begin("bench", 0)
        await asyncio.gather(*asking)

    assert lost == []


async def test_each_request_has_one_line_in_the_log_the_edges_own_answers_too(divided, bench, caplog):
    caplog.set_level(logging.INFO, "meristem.access")
    async with divided(App("bench", bench, mount="/bench"), away=0.2) as system:
        await system.browser.get("/bench/head")
        dying = asyncio.create_task(system.browser.post("/bench/waiting"))
        await asyncio.wait_for(bench.begun.wait(), PATIENCE)
        await system.end("bench", drains=False)
        await dying
        await system.browser.get("/bench/head")

    lines = [each.getMessage() for each in caplog.records if each.name == "meristem.access"]
    assert lines[0] == "GET /bench/head 200"
    assert lines[-2:] == ["POST /bench/waiting 502", "GET /bench/head 503"]


@pytest.mark.parametrize("host", [b"", b"host: shop.example\r\n"])
async def test_a_request_of_http_1_0_needs_no_host_and_its_app_finds_none(divided, together, bench, host):
    async def ask(port: int) -> list[bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /bench/head HTTP/1.0\r\n" + host + b"\r\n")
        answered = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        assert b" 200 " in answered.partition(b"\r\n")[0], answered
        return [line for line in answered.splitlines() if line.startswith(b"host")]

    async with (
        divided(App("bench", bench, mount="/bench")) as system,
        together(App("bench", bench, "/bench")) as browser,
    ):
        assert await ask(system.port) == await ask(browser.base_url.port)


async def test_a_head_as_large_as_may_be_passes_the_edge_with_what_that_adds(divided, bench):
    async with divided(App("bench", bench, mount="/bench"), head_fields=20, head_bytes=2000) as system:
        for fields, size in ((19, 10), (2, 1700 // 2)):
            reader, writer = await asyncio.open_connection("127.0.0.1", system.port)
            lines = b"".join(b"x-%d: %b\r\n" % (number, b"y" * size) for number in range(fields))
            writer.write(b"GET /bench/head HTTP/1.1\r\nhost: x\r\n" + lines + b"\r\n")
            status = await asyncio.wait_for(reader.readline(), PATIENCE)
            writer.close()
            assert b" 200 " in status
