"""Files over REST: uploads, raw and as forms, are taken while they arrive; downloads are sent as they are made."""

from __future__ import annotations

import asyncio
import hashlib
import tracemalloc
from collections.abc import AsyncIterator
from typing import Annotated, Any, Protocol

import httpx
import pytest

from meristem.contracts.call import Call, ServedOperation
from meristem.contracts.contract import Contract, operations
from meristem.contracts.message import Message
from meristem.contracts.operation import operation, safe
from meristem.errors import CallError, Code
from meristem.resilience.limits import Limits
from meristem.rest import Body, FilePart, Header, files_of
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer

MIB = 1 << 20


class Cover(Message):
    isbn: str
    digest: Annotated[str, Header("x-digest")] = ""
    piece: Annotated[bytes, Body("image/*")] = b""

    def __post_init__(self) -> None:
        if self.isbn == "none":
            raise ValueError("a cover is one of a book")


class Shelf(Contract, Protocol, package="shelf.v1"):
    @operation(http="POST /covers/{isbn}")
    async def cover(self, pieces: AsyncIterator[Cover]) -> list[str]: ...

    @operation(http="POST /raw")
    async def raw(self, pieces: AsyncIterator[bytes]) -> int: ...

    @operation(http="POST /forms")
    async def form(self, parts: AsyncIterator[FilePart]) -> list[str]: ...

    @operation(http="POST /unread")
    async def unread(self, parts: AsyncIterator[FilePart]) -> str: ...

    @safe(http="GET /whole")
    async def whole(self, name: str, media: str = "text/csv") -> FilePart: ...

    @safe(http="GET /file")
    def file(self, pieces: int, breaks: bool = False) -> AsyncIterator[FilePart]: ...

    @safe(http="GET /export.csv", media="text/csv")
    def export(self) -> AsyncIterator[str]: ...

    @safe(http="GET /greeting", media="text/html")
    async def greeting(self) -> str | None: ...

    @safe(http="GET /old", media="text/plain; charset=utf-8")
    async def said(self) -> str: ...

    @safe(http="GET /picture.svg", media="image/svg+xml")
    async def picture(self) -> str: ...

    @safe(http="GET /scan", media="text/plain")
    async def scan(self) -> bytes: ...


class Shelves:
    async def cover(self, pieces: AsyncIterator[Cover]) -> list[str]:
        found = [each async for each in pieces]
        return [found[0].isbn, found[0].digest, str(sum(len(each.piece) for each in found))]

    async def raw(self, pieces: AsyncIterator[bytes]) -> int:
        return sum([len(each) async for each in pieces])

    async def form(self, parts: AsyncIterator[FilePart]) -> list[str]:
        told = []
        async for file in files_of(parts):
            if file.field == "skipped":
                continue
            digest = hashlib.sha256()
            async for piece in file:
                digest.update(piece)
            told.append(f"{file.field} {file.filename} {file.media_type} {digest.hexdigest()[:8]}")
        return told

    async def unread(self, parts: AsyncIterator[FilePart]) -> str:
        return "thanks"

    async def whole(self, name: str, media: str) -> FilePart:
        return FilePart(data=b"a,b\n", filename=name, media_type=media)

    async def greeting(self) -> str | None:
        return "Grüße"

    said = picture = greeting

    async def scan(self) -> bytes:
        return "Grüße".encode("latin-1")

    async def file(self, pieces: int, breaks: bool) -> AsyncIterator[FilePart]:
        if pieces < 0:
            return
        yield FilePart(filename="Grüße.bin", media_type="application/x-test", data=b"begin")
        for at in range(pieces):
            if breaks and at == pieces // 2:
                raise CallError(Code.DATA_LOSS, "the disk is gone")
            yield FilePart(data=bytes(MIB))

    async def export(self) -> AsyncIterator[str]:
        yield "title\n"
        yield "Emma\n"


def endpoints(service: Shelves) -> dict[str, ServedOperation]:
    def handler(name: str) -> Any:
        async def handle(call: Call) -> Any:
            known, method = call.operation, getattr(service, name)
            if known.takes_stream:
                spread = known.spread
                return await method((item.pieces async for item in call.request) if spread else call.request)
            given = [getattr(call.request, each) for each in call.request.__struct_fields__]
            return method(*given) if known.stream else await method(*given)

        return handle

    return {each.path: ServedOperation(each, handler(each.name)) for each in operations(Shelf).values()}


class Serving:
    def __init__(self, **limits: Any) -> None:
        routes, known = endpoints(Shelves()), Limits(**limits)
        self.server = HttpServer(routes, interfaces=[RestInterface(routes.values(), limits=known)], limits=known)

    async def __aenter__(self) -> httpx.AsyncClient:
        await self.server.start("tcp://127.0.0.1:0", public=True)
        self.base = self.server.addresses[0].replace("tcp", "http")
        self.client = httpx.AsyncClient(base_url=self.base, timeout=60)
        return self.client

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()
        await self.server.stop()


@pytest.fixture
async def shelf() -> AsyncIterator[httpx.AsyncClient]:
    async with Serving() as client:
        yield client


async def pieces(count: int, size: int = MIB) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield bytes(size)


async def test_an_upload_that_its_own_message_refuses_is_the_senders_mistake(shelf):
    refused = await shelf.post("/api/covers/none", content=b"png", headers={"content-type": "image/png"})

    assert refused.status_code == 400
    assert "a cover is one of a book" in refused.text


async def test_a_raw_upload_arrives_with_what_path_and_header_say(shelf):
    sent = {"content-type": "image/png", "x-digest": "ab"}
    whole = await shelf.post("/api/covers/978-3", content=bytes(300_000), headers=sent)
    chunked = await shelf.post("/api/covers/978-3", content=pieces(3), headers=sent)

    assert whole.json() == ["978-3", "ab", "300000"]
    assert chunked.json() == ["978-3", "ab", str(3 * MIB)]


async def test_an_upload_of_another_type_or_coding_is_415(shelf):
    other = await shelf.post("/api/covers/1", content=b"x", headers={"content-type": "text/plain"})
    packed = await shelf.post("/api/raw", content=b"x", headers={"content-encoding": "gzip"})
    form = await shelf.post("/api/forms", content=b"x", headers={"content-type": "image/png"})

    assert [each.status_code for each in (other, packed, form)] == [415, 415, 415]


async def test_an_upload_is_bounded_by_what_is_told_and_by_what_comes():
    async with Serving(upload_bytes=MIB) as client:
        told = await client.post("/api/raw", content=bytes(MIB + 1))
        came = await client.post("/api/raw", content=pieces(2, MIB - 1))
        fits = await client.post("/api/raw", content=bytes(MIB))

    assert (told.status_code, came.status_code, fits.json()) == (413, 413, MIB)
    assert "upload_bytes" in told.json()["detail"]


async def test_a_large_upload_is_never_held_in_memory(shelf):
    tracemalloc.start()
    try:
        answer = await shelf.post("/api/raw", content=pieces(64))
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert answer.json() == 64 * MIB
    assert most < 16 * MIB


async def test_a_form_is_files_and_values_in_their_order(shelf):
    files = [
        ("title", (None, "Straße")),
        ("cover", ("a b.png", bytes(200_000), "image/png")),
        ("skipped", ("huge.bin", bytes(MIB), "application/octet-stream")),
        ("empty", ("empty.txt", b"", "text/plain")),
    ]
    answer = await shelf.post("/api/forms", files=files)

    digests = [hashlib.sha256(each).hexdigest()[:8] for each in ("Straße".encode(), bytes(200_000), b"")]
    assert answer.json() == [
        f"title   {digests[0]}",
        f"cover a b.png image/png {digests[1]}",
        f"empty empty.txt text/plain {digests[2]}",
    ]


@pytest.mark.parametrize("size", [1, 7, 4096, 10_000])
async def test_where_a_form_is_cut_on_its_way_changes_nothing(shelf, size):
    part = b'--b\r\ncontent-disposition: form-data; name="n"; filename="f"\r\n\r\n' + b"\r\n--c" * 300 + b"\r\n"
    body = part * 3 + b"--b--\r\n"

    async def cut() -> AsyncIterator[bytes]:
        for at in range(0, len(body), size):
            yield body[at : at + size]

    answer = await shelf.post("/api/forms", content=cut(), headers={"content-type": "multipart/form-data; boundary=b"})

    digest = hashlib.sha256(b"\r\n--c" * 300).hexdigest()[:8]
    assert answer.json() == [f"n f  {digest}"] * 3


async def test_a_form_whose_names_are_not_utf8_is_told_so(shelf):
    body = b'--b\r\ncontent-disposition: form-data; name="n"; filename="Gr\xfc\xdfe"\r\n\r\nx\r\n--b--\r\n'
    answer = await shelf.post("/api/forms", content=body, headers={"content-type": "multipart/form-data; boundary=b"})

    assert answer.json()["detail"] == "the form can't be read: the name of a part is not in UTF-8"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b""),
        ("multipart/form-data; boundary=b", b"nothing of the kind"),
        ("multipart/form-data; boundary=b", b'--b\r\ncontent-disposition: form-data; name="n"\r\n\r\ncut'),
        ("multipart/form-data; boundary=b", b"--b\r\ncontent-disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\ncontent-disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--\r\n',
        ),
        ("multipart/form-data; boundary=b", b"--b\r\n" + b"a: b\r\n" * 17 + b"\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=b", b"--b\r\na: " + b"b" * 9000 + b"\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/form-data; boundary=" + "b" * 300, b"x"),
    ],
)
async def test_a_form_that_cannot_be_read_is_400(shelf, kind, body):
    answer = await shelf.post("/api/forms", content=body, headers={"content-type": kind})

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_argument")
    assert answer.json()["detail"].startswith("the form can't be read: ")


async def test_what_nobody_reads_of_an_upload_is_dropped_and_the_connection_goes_on_or_ends(shelf):
    for size in (10, 3 * MIB):
        answer = await shelf.post("/api/unread", files={"f": ("f", bytes(size))})
        assert answer.json() == "thanks"
    assert (await shelf.get("/api/export.csv")).text == "title\nEmma\n"


async def test_a_client_that_asks_before_it_sends_is_told_when_the_upload_is_wanted(shelf):
    host, port = str(shelf.base_url.host), shelf.base_url.port
    reader, writer = await asyncio.open_connection(host, port)
    head = "POST /api/{} HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\ncontent-type: {}\r\n\r\n"
    writer.write(head.format("covers/1", "text/plain").encode())
    refused = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.close()
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(head.format("raw", "image/png").encode())
    asked = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    writer.write(b"abc")
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n3"), 10)
    writer.close()

    assert refused.startswith(b"HTTP/1.1 415 ")
    assert asked == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("list.csv", 'attachment; filename="list.csv"'),
        ("Grüße.csv", "attachment; filename=\"Gr__e.csv\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe.csv"),
        ('a"b\r\nx: y', "attachment; filename=\"a_b__x_ y\"; filename*=UTF-8''a%22b%0D%0Ax%3A%20y"),
        ("../../etc/passwd", 'attachment; filename="passwd"'),
        ("", "attachment"),
    ],
)
async def test_a_download_has_name_and_type(shelf, name, told):
    answer = await shelf.get("/api/whole", params={"name": name})

    assert answer.headers["content-disposition"] == told
    assert (answer.headers["content-type"], answer.content) == ("text/csv", b"a,b\n")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_type_that_is_none_is_never_sent(shelf):
    answer = await shelf.get("/api/whole", params={"name": "a", "media": "text/html\r\nx: y"})

    assert answer.headers["content-type"] == "application/octet-stream"
    assert "x" not in answer.headers


async def test_a_download_is_sent_piece_by_piece(shelf):
    async with shelf.stream("GET", "/api/file", params={"pieces": 8}) as answer:
        size = sum([len(each) async for each in answer.aiter_raw()])
    head = await shelf.head("/api/file", params={"pieces": 8})

    assert (answer.headers["content-type"], size) == ("application/x-test", 8 * MIB + 5)
    assert "filename*=UTF-8''Gr%C3%BC%C3%9Fe.bin" in answer.headers["content-disposition"]
    assert (head.status_code, head.content) == (200, b"")


async def test_a_download_without_a_piece_is_an_empty_file_and_not_json(shelf):
    answer = await shelf.get("/api/file", params={"pieces": -1})

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment"


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("greeting", "text/html; charset=utf-8"),
        ("export.csv", "text/csv; charset=utf-8"),
        ("old", "text/plain; charset=utf-8"),
        ("picture.svg", "image/svg+xml"),
        ("scan", "text/plain"),
    ],
)
async def test_text_says_how_it_is_encoded_so_that_a_browser_need_not_guess(shelf, path, told):
    answer = await shelf.get(f"/api/{path}")

    assert answer.headers["content-type"] == told


async def test_a_download_that_breaks_off_is_never_taken_for_the_whole(shelf, caplog):
    with pytest.raises(httpx.RemoteProtocolError):
        await shelf.get("/api/file", params={"pieces": 4, "breaks": True})

    assert "a download broke off" in caplog.text


async def test_a_client_that_sends_an_upload_too_slowly_is_cut_off():
    async with Serving(body_seconds=0.2) as client:
        reader, writer = await asyncio.open_connection(str(client.base_url.host), client.base_url.port)
        writer.write(b"POST /api/raw HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\na")
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()


async def test_a_client_that_leaves_in_the_midst_of_an_upload_breaks_it_off(shelf, caplog):
    _, writer = await asyncio.open_connection(str(shelf.base_url.host), shelf.base_url.port)
    writer.write(b"POST /api/raw HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\na")
    await writer.drain()
    writer.close()
    await writer.wait_closed()

    assert (await shelf.get("/api/export.csv")).status_code == 200
    assert "Traceback" not in caplog.text
