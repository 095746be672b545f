"""The body of a request reaches a WSGI app whole, whatever way it came, and keeps no thread busy on its way."""

import asyncio
import contextvars
import threading

import flask

from tests.unit.hosting.conftest import PATIENCE

CHUNKED = [b"Transfer-Encoding: chunked"]


def plain(start_response, *body: bytes, status: str = "200 OK"):
    start_response(status, [("Content-Type", "text/plain")])
    return list(body)


def echo(environ, start_response):
    """As Django reads a body: as many bytes as CONTENT_LENGTH says, none without."""
    return plain(start_response, environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)))


def chunks(*data: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(each), each) for each in data) + b"0\r\n\r\n"


async def test_a_body_in_chunks_arrives_whole_however_it_is_cut(served):
    wire = chunks(b"hel", b"l", b"o, " * 50, b"world")
    async with served(echo) as client:
        for step in (1, 2, 3, 7, len(wire)):
            cut = [wire[at : at + step] for at in range(0, len(wire), step)]
            assert (await client.ask("POST /", CHUNKED, *cut)).body == b"hell" + b"o, " * 50 + b"world"


async def test_a_flask_view_reads_forms_json_and_files_that_come_in_chunks(served):
    site = flask.Flask(__name__)

    @site.post("/form")
    def form() -> str:
        return flask.request.form["name"]

    @site.post("/json")
    def json() -> str:
        return flask.request.get_json()["name"]

    @site.post("/file")
    def file() -> str:
        return str(len(flask.request.files["file"].read()))

    parts = b"--x\r\nContent-Disposition: form-data; name=file; filename=a\r\n\r\n" + b"a" * 300_000 + b"\r\n--x--\r\n"
    async with served(site, validated=False) as client:  # werkzeug reads all with read(), which PEP 3333 lets it not
        urlencoded = [*CHUNKED, b"Content-Type: application/x-www-form-urlencoded"]
        multipart = [*CHUNKED, b"Content-Type: multipart/form-data; boundary=x"]
        assert (await client.ask("POST /form", urlencoded, chunks(b"name=A", b"da"))).body == b"Ada"
        as_json = [*CHUNKED, b"Content-Type: application/json"]
        assert (await client.ask("POST /json", as_json, chunks(b'{"name":', b'"Ada"}'))).body == b"Ada"
        assert (await client.ask("POST /file", multipart, chunks(parts[:70_000], parts[70_000:]))).body == b"300000"


async def test_a_body_is_read_by_bytes_lines_and_iteration_and_ends(served):
    def app(environ, start_response):
        body = environ["wsgi.input"]
        assert environ["wsgi.input_terminated"] is True
        read = [body.read(0), body.read(3), body.readline(), next(iter(body)), *body.readlines()]
        return plain(start_response, b"|".join([*read, body.read(10), body.readline()]))

    async with served(app) as client:
        reply = await client.ask("POST /", [b"Content-Length: 18"], b"one two\nthr", b"ee\nfour")
        assert reply.body == b"|one| two\n|three\n|four||"


async def test_without_a_body_there_is_nothing_to_read(served):
    async with served(echo) as client:
        assert (await client.ask("POST /")).body == b""
        assert (await client.ask("POST /", [b"Content-Length: 0"])).body == b""
        assert (await client.ask("POST /", CHUNKED, b"0\r\n\r\n")).body == b""


async def test_a_large_body_waits_on_disk(served):
    kinds = []

    def app(environ, start_response):
        body = environ["wsgi.input"]
        kinds.append(hasattr(body.input, "getbuffer"))  # what the validator wraps: memory has a buffer to show
        size = 0
        while part := body.read(100_000):
            assert part.count(b"x") == len(part)
            size += len(part)
        return plain(start_response, str(size).encode())

    async with served(app) as client:
        small = await client.ask("POST /", [b"Content-Length: 1000"], b"x" * 1000)
        part = b"x" * 100_000
        large = await client.ask("POST /", CHUNKED, *[b"%x\r\n%s\r\n" % (len(part), part)] * 50, b"0\r\n\r\n")

    assert (small.body, large.body, kinds) == (b"1000", b"5000000", [True, False])


async def test_an_upload_beyond_the_limit_is_refused_and_one_that_says_so_is_not_asked_for(served):
    async with served(echo, upload_bytes=2048) as client:
        fits = await client.ask("POST /", [b"Content-Length: 2048"], b"x" * 2048)
        data = await client.send(
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2049\r\nExpect: 100-continue\r\n\r\n"
        )
        chunked = await client.ask("POST /", CHUNKED, chunks(b"x" * 1024, b"x" * 1025))

    assert fits.status == 200
    assert data.startswith(b"HTTP/1.1 413 ")
    assert chunked.status == 413


async def test_who_waits_for_100_continue_is_told_to_go_on(served):
    async with served(echo) as client:
        reader, writer = await client.open(
            b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
        )
        async with asyncio.timeout(PATIENCE):
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hello")
            assert b"\r\nhello" in await reader.read()
        writer.close()


async def test_uploads_that_dawdle_or_are_given_up_keep_no_thread_busy(served):
    begun = []

    def app(environ, start_response):
        begun.append(environ["PATH_INFO"])
        return echo(environ, start_response)

    async with served(app, app_threads=1) as client:
        head = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n123"
        slow = [await client.open(head) for _ in range(10)]
        assert (await client.ask("POST /fast", [b"Content-Length: 2"], b"ok")).body == b"ok"
        for _, writer in slow:
            writer.close()
        assert (await client.ask("POST /fast", [b"Content-Length: 2"], b"ok")).body == b"ok"

    assert begun == ["/fast", "/fast"]


async def test_spoofed_and_repeated_headers_do_not_reach_the_app(served):
    def app(environ, start_response):
        return plain(start_response, f"{environ.get('HTTP_X_USER')} {environ.get('HTTP_COOKIE')}".encode())

    async with served(app) as client:
        spoofed = await client.ask("GET /", [b"X-User: ada", b"X_User: root", b"Cookie: a=1", b"Cookie: b=2"])
        twice = await client.ask("GET /", [b"Content-Type: text/plain", b"Content-Type: text/html"])

    assert spoofed.body == b"ada a=1; b=2"
    assert (twice.status, twice.header("content-type")) == (400, ["application/problem+json"])


async def test_a_mounted_app_is_told_its_mount_and_the_bytes_of_the_path(served):
    def app(environ, start_response):
        told = f"{environ['SCRIPT_NAME']}|{environ['PATH_INFO']}|{environ['QUERY_STRING']}"
        return plain(start_response, told.encode("latin-1"))

    async with served(app, mount="/shop") as client:
        assert (await client.ask("GET /shop/%E5%2F/%c3%bc?a=%2F+b")).body == b"/shop|/\xe5//\xc3\xbc|a=%2F+b"
        assert (await client.ask("GET /sh%6Fp/cart")).body == b"/shop|/cart|"


async def test_the_app_runs_in_the_context_of_its_request(served):
    here = contextvars.ContextVar("here", default="nowhere")

    def app(_, start_response):
        def body():
            yield here.get().encode()
            here.set("this request alone")

        start_response("200 OK", [("Content-Type", "text/plain")])
        return body()

    async with served(app, enter=lambda: here.set("inside"), app_threads=1) as client:
        assert [(await client.ask("GET /")).body for _ in range(3)] == [b"inside"] * 3


async def test_requests_run_side_by_side_and_a_websocket_is_refused(served):
    meeting = threading.Barrier(4, timeout=PATIENCE)

    def app(_, start_response):
        meeting.wait()
        return plain(start_response, b"met")

    upgrade = [
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ]
    async with served(app, app_threads=4) as client:
        assert [each.body for each in await asyncio.gather(*(client.ask("GET /") for _ in range(4)))] == [b"met"] * 4
        head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" + b"\r\n".join(upgrade) + b"\r\n\r\n"
        reader, writer = await client.open(head)
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readline()).startswith(b"HTTP/1.1 403 ")
        writer.close()
