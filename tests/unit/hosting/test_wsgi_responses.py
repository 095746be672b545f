"""What a WSGI app answers is sent as PEP 3333 says, and an app that breaks its rules is told so."""

import asyncio
import gzip
import io
import sys
import threading
from pathlib import Path
from typing import Any

import flask
import pytest

from meristem.hosting.wsgi.files import FileWrapper
from tests.unit.hosting.conftest import PATIENCE

TEXT = [("Content-Type", "text/plain")]


class Body:
    """An iterable that knows whether it was closed."""

    def __init__(self, *parts: bytes, forever: bool = False) -> None:
        self.parts = parts
        self.forever = forever
        self.asked = 0
        self.closed = threading.Event()

    def __iter__(self):
        while True:
            for each in self.parts:
                self.asked += 1
                yield each
            if not self.forever:
                return

    def close(self) -> None:
        assert not self.closed.is_set()
        self.closed.set()


async def is_closed(body: Body) -> bool:
    return await asyncio.to_thread(body.closed.wait, PATIENCE)


def answering(body, status: str = "200 OK", headers=TEXT):
    def app(_, start_response):
        start_response(status, list(headers))
        return body

    return app


async def test_a_body_that_is_known_whole_has_a_length(served):
    async with served(answering([b"he", b"llo"]), validated=False) as client:
        reply = await client.ask("GET /")
    async with served(answering([]), validated=False) as client:
        empty = await client.ask("GET /")

    assert (reply.body, reply.header("content-length"), reply.header("transfer-encoding")) == (b"hello", ["5"], [])
    assert (empty.body, empty.header("content-length")) == (b"", ["0"])


async def test_parts_are_sent_as_they_come(served):
    more = threading.Event()

    def app(_, start_response):
        start_response("200 OK", TEXT)
        yield b"first"
        assert more.wait(PATIENCE)
        yield b"second"

    async with served(app) as client:
        reader, writer = await client.open(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            assert b"first" in await reader.readuntil(b"first\r\n")
            more.set()
            assert await reader.read() == b"6\r\nsecond\r\n0\r\n\r\n"
        writer.close()


async def test_what_is_written_comes_before_what_is_returned(served):
    def app(_, start_response):
        write = start_response("200 OK", TEXT)
        write(b"one ")
        write(b"two ")
        return [b"three"]

    async with served(app) as client:
        assert (await client.ask("GET /")).body == b"one two three"


async def test_a_head_request_is_answered_without_reading_the_body_to_its_end(served):
    body = Body(b"", b"part", forever=True)
    async with served(answering(body)) as client:
        reply = await client.ask("HEAD /")
        assert await is_closed(body)

    assert (reply.status, reply.body, body.asked) == (200, b"", 2)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_an_answer_without_a_body_has_none_whatever_the_app_says(served, status):
    async with served(answering([b"body"], status, [("Content-Length", "4")]), validated=False) as client:
        data = await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")

    head, _, body = data.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status[:3]} ".encode())
    assert (body, b"content-length" in head.lower(), b"transfer-encoding" in head.lower()) == (b"", False, False)


async def test_a_length_that_the_app_declares_is_kept_to(served, caplog):
    long = Body(b"12345", b"67890", forever=True)
    async with served(answering(long, headers=[*TEXT, ("Content-Length", "7")])) as client:
        reply = await client.ask("GET /")
        assert await is_closed(long)
    assert (reply.body, long.asked) == (b"1234567", 2)
    assert "app 'web', GET /: the body is longer than its Content-Length" in caplog.text

    short = Body(b"12345")
    async with served(answering(short, headers=[*TEXT, ("Content-Length", "7")])) as client:
        data = await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")  # the connection is cut, though kept alive
        assert await is_closed(short)
    assert data.endswith(b"\r\n\r\n12345")
    assert "the body ended 2 bytes before its Content-Length" in caplog.text


async def test_several_cookies_stay_several_and_the_connections_headers_are_the_servers(served):
    headers = [*TEXT, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Connection", "keep-alive"), ("X-Name", "Zo\xeb")]
    async with served(answering([b"ok"], headers=headers), validated=False) as client:
        reply = await client.ask("GET /")

    assert reply.header("set-cookie") == ["a=1", "b=2"]
    assert reply.header("connection") == ["close"]
    assert reply.header("x-name") == ["Zo\xeb"]


def no_database() -> None:
    raise OSError("no database")


async def test_before_the_head_is_sent_an_error_replaces_it(served):
    def app(_, start_response):
        start_response("200 OK", [*TEXT, ("X-Old", "1"), ("Content-Length", "100")])
        try:
            no_database()
        except OSError:
            start_response("503 Service Unavailable", TEXT, sys.exc_info())
        return [b"sorry"]

    async with served(app) as client:
        reply = await client.ask("GET /")

    assert (reply.status, reply.body, reply.header("x-old")) == (503, b"sorry", [])


async def test_after_the_head_was_sent_an_error_cuts_the_answer_off(served, caplog):
    def app(_, start_response):
        start_response("200 OK", TEXT)
        yield b"begun"
        try:
            no_database()
        except OSError:
            start_response("503 Service Unavailable", TEXT, sys.exc_info())

    async with served(app) as client:
        data = await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    assert data.endswith(b"5\r\nbegun\r\n")  # no last chunk: the client knows that something is missing
    assert "no database" in caplog.text


def raising(error: BaseException):
    def app(_, start_response):
        start_response("200 OK", TEXT)
        raise error

    return app


def silent(_, __):
    return []


def twice(_, start_response):
    start_response("200 OK", TEXT)
    start_response("200 OK", TEXT)
    return [b""]


@pytest.mark.parametrize(
    ("app", "problem"),
    [
        (raising(ValueError("broken")), "broken"),
        (raising(SystemExit(3)), "raised SystemExit"),
        (raising(StopIteration()), "StopIteration"),
        (silent, "did not call start_response"),
        (twice, "start_response was called before"),
        (answering(["text"]), "the body is str: WSGI asks for bytes"),
        (answering([b""], "OK"), "'OK' is no status"),
        (answering([b""], "100 Continue"), "no status of a final answer"),
        (answering([b""], headers=[("X-A", "1\r\nSet-Cookie: admin=1")]), "cannot be sent"),
        (answering([b""], headers=[("X A", "1")]), "cannot be sent"),
        (answering([b""], headers=[("X-A", "\u20ac")]), "cannot be sent"),
        (answering([b""], headers=[("X-A", 1)]), "is int: WSGI asks for text"),
        (answering([b""], headers=[("Content-Length", "-1")]), "is no length"),
        (answering([b""], headers=[("Content-Length", "0"), ("Content-Length", "0")]), "not the only one"),
    ],
)
async def test_an_app_that_fails_is_answered_for_with_500_and_logged(served, caplog, app, problem):
    async with served(app, validated=False, app_threads=1) as client:
        replies = [await client.ask("GET /") for _ in range(2)]  # the second: the thread has survived

    assert [each.status for each in replies] == [500, 500]
    assert all(b"cookie" not in str(each.headers).lower().encode() for each in replies)
    assert problem in caplog.text


async def test_what_the_app_returned_is_closed_also_when_it_fails(served):
    body = Body(b"ok", "text")  # type: ignore[arg-type]
    async with served(answering(body), validated=False) as client:
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await is_closed(body)


async def test_a_failure_to_close_is_logged_and_spoils_nothing(served, caplog):
    class Unclosable(Body):
        def close(self) -> None:
            super().close()
            raise OSError("cannot close")

    body = Unclosable(b"whole")
    async with served(answering(body), validated=False, app_threads=1) as client:
        assert (await client.ask("GET /")).body == b"whole"
        assert await is_closed(body)
        body.closed.clear()
        assert (await client.ask("GET /")).body == b"whole"

    assert "GET / failed after its answer" in caplog.text


async def test_a_file_is_sent_and_closed(served, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4000)
    files = []

    def app(environ, start_response):
        start_response("200 OK", TEXT)
        files.append(path.open("rb"))
        return environ["wsgi.file_wrapper"](files[0], 1000)

    async with served(app) as client:
        assert (await client.ask("GET /")).body == path.read_bytes()

    assert files[0].closed


def sending(path: Path, opened: list[Any], opener: Any = open, headers=TEXT):
    def app(environ, start_response):
        start_response("200 OK", list(headers))
        if environ["PATH_INFO"] != "/file":
            return [b"ok"]
        opened.append(opener(path, "rb"))
        return environ["wsgi.file_wrapper"](opened[-1])

    return app


async def test_a_file_on_disk_has_a_length_and_keeps_no_thread_busy(served, tmp_path):
    path, opened = tmp_path / "file", []
    path.write_bytes(b"0123456789abcdef" * 2 * 1024 * 1024)
    async with served(sending(path, opened), validated=False, app_threads=1) as client:
        dawdling = [await client.open(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n") for _ in range(5)]
        async with asyncio.timeout(PATIENCE):
            heads = [await reader.readuntil(b"\r\n\r\n") for reader, _ in dawdling]
            assert (await client.ask("GET /ok")).body == b"ok"
            whole = await client.ask("GET /file")
            for _, writer in dawdling:
                writer.transport.abort()
            while not all(each.closed for each in opened):
                await asyncio.sleep(0.01)

    assert all(b"content-length: 33554432\r\n" in each for each in heads)
    assert whole.body == path.read_bytes()
    assert len(opened) == 6


async def test_a_file_is_read_as_the_app_says_not_as_it_lies_on_disk(served, tmp_path):
    packed, empty, opened = tmp_path / "packed", tmp_path / "empty", []
    packed.write_bytes(gzip.compress(b"x" * 1_000_000))
    empty.touch()
    async with served(sending(packed, opened, gzip.open), validated=False) as client:
        assert (await client.ask("GET /file")).body == b"x" * 1_000_000
    async with served(sending(empty, opened), validated=False) as client:
        assert (await client.ask("GET /file")).body == b""
    async with served(sending(packed, opened, headers=[("Content-Length", "5")]), validated=False) as client:
        assert (await client.ask("GET /file")).body == packed.read_bytes()[:5]
    async with served(sending(packed, opened, headers=[("Content-Length", "5000")]), validated=False) as client:
        data = await client.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")  # shorter than it says: cut off
        assert data.endswith(packed.read_bytes())

    assert all(each.closed for each in opened)


async def test_flask_sends_a_range_of_a_file(served, tmp_path):
    path, site = tmp_path / "file", flask.Flask(__name__)
    path.write_bytes(bytes(range(256)) * 1000)
    site.add_url_rule("/", view_func=lambda: flask.send_file(path))
    async with served(site, validated=False) as client:
        part = await client.ask("GET /", [b"Range: bytes=1000-1009"])
        whole = await client.ask("GET /")

    assert (part.status, part.body) == (206, path.read_bytes()[1000:1010])
    assert (whole.status, whole.body) == (200, path.read_bytes())


def test_a_wrapped_file_can_be_sought_in_as_far_as_the_file_can():
    seekable, stream = FileWrapper(io.BytesIO(b"0123456789"), 4), FileWrapper(iter_file())
    seekable.seek(5)

    assert (seekable.seekable(), seekable.tell(), b"".join(seekable)) == (True, 5, b"56789")
    assert not hasattr(stream, "seek")


def iter_file():
    class Stream:
        def read(self, _: int) -> bytes:
            return b""

    return Stream()
