"""Clients that leave, read slowly or come in crowds neither keep threads busy nor fill the memory."""

import asyncio
import os
import threading
import time

import pytest

from meristem.hosting.wsgi.channel import WINDOW
from tests.unit.hosting.conftest import PATIENCE

TEXT = [("Content-Type", "text/plain")]
TICKS = b"GET /ticks HTTP/1.1\r\nHost: a\r\n\r\n"


class Ticking:
    """Answers `/ticks` with parts without end, everything else at once."""

    def __init__(self, part: bytes = b"tick\n", pause: float = 0.01) -> None:
        self.part = part
        self.pause = pause
        self.sent = 0
        self.live = 0
        self.begun: list[str] = []
        self.changed = threading.Condition()

    def __call__(self, environ, start_response):
        self.begun.append(environ["PATH_INFO"])
        start_response("200 OK", TEXT)
        return self.ticks() if environ["PATH_INFO"] == "/ticks" else [b"ok"]

    def ticks(self):
        self.count(1)
        try:
            while True:
                yield self.part
                self.sent += 1
                time.sleep(self.pause)
        finally:
            self.count(-1)

    def count(self, change: int) -> None:
        with self.changed:
            self.live += change
            self.changed.notify_all()

    async def come_to(self, live: int, seconds: float = PATIENCE) -> None:
        def wait() -> bool:
            with self.changed:
                return self.changed.wait_for(lambda: self.live == live, seconds)

        assert await asyncio.to_thread(wait), f"{self.live} answers are under way, not {live}"


@pytest.mark.parametrize("leavers", [10, 100])
async def test_an_endless_answer_ends_when_its_client_leaves(served, leavers):
    app = Ticking()
    async with served(app, app_threads=10) as client:
        open_ones = [await client.open(TICKS) for _ in range(leavers)]
        await app.come_to(10)
        for _, writer in open_ones:
            writer.transport.abort()
        await app.come_to(0)
        async with asyncio.timeout(PATIENCE):
            assert (await client.ask("GET /ok")).body == b"ok"


async def test_a_request_whose_client_left_while_it_waited_is_never_begun(served):
    app = Ticking()
    async with served(app, app_threads=1) as client:
        _, first = await client.open(TICKS)
        await app.come_to(1)
        waiting = [await client.open(b"GET /left HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(5)]
        for _, writer in waiting:
            writer.close()
            await writer.wait_closed()
        first.close()
        assert (await client.ask("GET /ok")).body == b"ok"

    assert app.begun[0] == "/ticks"
    assert "/left" not in app.begun[1:]


async def test_a_client_that_left_stops_an_app_that_writes(served):
    stopped = threading.Event()
    begun = threading.Event()

    def app(_, start_response):
        write = start_response("200 OK", TEXT)
        try:
            while True:
                write(b"part")
                begun.set()
                time.sleep(0.01)
        except ConnectionError:
            stopped.set()
            raise

    async with served(app) as client:
        _, writer = await client.open(TICKS)
        assert await asyncio.to_thread(begun.wait, PATIENCE)
        writer.close()
        assert await asyncio.to_thread(stopped.wait, PATIENCE)


async def test_a_client_that_does_not_read_is_waited_for_and_its_answer_does_not_pile_up(served):
    app = Ticking(os.urandom(32 * 1024), pause=0)
    async with served(app, app_threads=2) as client:
        reader, writer = await client.open(TICKS)
        await app.come_to(1)
        sent = -1
        while sent != app.sent:  # until the app is held up
            sent = app.sent
            await asyncio.sleep(0.2)
        read = 0
        async with asyncio.timeout(PATIENCE):
            while app.sent == sent:  # and goes on when the client does
                read += len(await reader.read(256 * 1024))
        writer.transport.abort()
        await app.come_to(0)

    # what the kernel, both ends' buffers and the window hold; the client's reader holds little
    assert sent * len(app.part) < 16 * 1024 * 1024 + WINDOW


async def test_a_client_that_leaves_without_reading_frees_the_thread_that_waits_for_it(served):
    app = Ticking(b"x" * 1024 * 1024, pause=0)
    async with served(app, app_threads=1) as client:
        _, writer = await client.open(TICKS)
        await app.come_to(1)
        sent = -1
        while sent != app.sent:
            sent = app.sent
            await asyncio.sleep(0.2)
        writer.transport.abort()
        await app.come_to(0)
        assert (await client.ask("GET /ok")).body == b"ok"


async def test_a_client_that_reads_nothing_is_cut_off_and_frees_its_thread(served):
    app = Ticking(b"x" * 1024 * 1024, pause=0)
    async with served(app, app_threads=1, write_seconds=0.5) as client:
        _, writer = await client.open(TICKS)
        await app.come_to(1)
        await app.come_to(0)
        assert (await client.ask("GET /ok")).body == b"ok"
        writer.transport.abort()


async def test_an_endless_answer_ends_with_the_server(served):
    app = Ticking()
    async with served(app) as client:
        _, writer = await client.open(TICKS)
        await app.come_to(1)
    await app.come_to(0)
    writer.close()


async def test_requests_beyond_threads_and_queue_are_refused_and_the_log_says_why(served, caplog):
    app = Ticking()
    async with served(app, app_threads=2, app_waiting=1) as client:
        busy = [await client.open(TICKS) for _ in range(2)]
        await app.come_to(2)
        _, waiting = await client.open(b"GET /waits HTTP/1.1\r\nHost: a\r\n\r\n")
        refused = [reply for reply in [await client.ask("GET /more") for _ in range(3)] if reply.status == 503]
        for _, writer in [*busy, (None, waiting)]:
            writer.close()
        await app.come_to(0)
        assert (await client.ask("GET /ok")).body == b"ok"

    assert [each.header("retry-after") for each in refused] == [["1"]] * 3
    warnings = [each.getMessage() for each in caplog.records if "all 2 threads are busy" in each.getMessage()]
    assert len(warnings) == 1
    assert "the longest at work is GET /ticks" in warnings[0]


async def test_requests_get_a_thread_in_the_order_in_which_they_came(served):
    begun: list[str] = []
    go = threading.Event()

    def app(environ, start_response):
        begun.append(environ["PATH_INFO"])
        assert go.wait(PATIENCE)
        start_response("200 OK", TEXT)
        return [b"ok"]

    async with served(app, app_threads=1) as client:
        asked = []
        for number in range(8):
            asked.append(asyncio.create_task(client.ask(f"GET /{number}")))
            await client.send(b"nonsense\r\n\r\n")  # answered after what was sent before was read
        go.set()
        await asyncio.gather(*asked)

    assert begun == [f"/{number}" for number in range(8)]


async def test_an_app_that_never_returns_is_named_at_the_end_and_left_behind(served, caplog, monkeypatch):
    monkeypatch.setattr("meristem.hosting.wsgi.application.PATIENCE", 0.05)
    begun, release = threading.Event(), threading.Event()

    def stuck(_, start_response):
        begun.set()
        release.wait()
        start_response("200 OK", TEXT)
        return [b"late"]

    try:
        async with asyncio.timeout(PATIENCE):
            async with served(stuck) as client:
                _, writer = await client.open(b"GET /stuck HTTP/1.1\r\nHost: a\r\n\r\n")
                assert await asyncio.to_thread(begun.wait, PATIENCE)
                writer.close()
    finally:
        release.set()

    assert "app 'web': GET /stuck still runs 0.05 s after the end, in stuck (" in caplog.text
    assert all(each.daemon for each in threading.enumerate() if each.name.startswith("web-"))
