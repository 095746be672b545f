"""What is worth it goes out as gzip to who accepts that, byte for byte the same behind it, and as early as before."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from typing import Any

import brotli
import pytest
from backports import zstd

from meristem.errors import ConfigurationError
from meristem.gateway.policy.compression_rules import Compression, CompressionTable
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.transports.http.responses import JSON, Response
from tests.unit.gateway.policy.edge_server import edge

TEXT = json.dumps([{"number": n, "name": f"name {n}"} for n in range(200)]).encode()
TABLE = GatewayTable(compression=CompressionTable(), routes={"plain": GatewayRouteTable("/plain", compression=False)})


def said(body: bytes = TEXT, status: int = 200, media: bytes = b"application/json", **fields: str) -> Any:
    """An app that answers so."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        named = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
        head = [(b"content-type", media), (b"content-length", b"%d" % len(body)), *named]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body if scope["method"] != "HEAD" else b""})

    return app


async def test_an_answer_is_compressed_for_who_accepts_it_and_varies_by_that():
    async with edge(TABLE, said(etag='"a"')) as there:
        packed = await there.ask(accept_encoding="br, gzip;q=0.8")
        plain = await there.ask()
        head = await there.ask("HEAD", accept_encoding="gzip")
        route = await there.ask(path="/plain", accept_encoding="gzip")
    assert packed.fields["content-encoding"] == "gzip"
    assert packed.fields["etag"] == 'W/"a"', "it is not the same byte by byte any more"
    assert packed.fields["vary"] == plain.fields["vary"] == "accept-encoding"
    assert gzip.decompress(packed.body) == TEXT
    assert len(packed.body) < len(TEXT) / 4
    assert (plain.body, plain.fields["etag"]) == (TEXT, '"a"')
    assert "content-encoding" not in plain.fields
    assert head.fields["content-encoding"] == "gzip"
    assert "content-length" not in head.fields
    assert "vary" not in route.fields
    assert route.body == TEXT


async def test_what_was_not_changed_says_by_what_it_varies_as_the_whole_answer_does():
    async with edge(TABLE, said(b"", status=304, etag='"a"')) as there:
        assert (await there.ask(accept_encoding="gzip")).fields["vary"] == "accept-encoding"


@pytest.mark.parametrize(
    "app",
    [
        said(b"x" * 1399),
        said(media=b"image/png"),
        said(media=b"text/event-stream; charset=utf-8"),
        said(media=b"application/zip"),
        said(content_encoding="br"),
        said(cache_control="public, No-Transform"),
        said(status=206, content_range="bytes 0-9/10"),
        said(content_digest="sha-256=:eA==:"),
        said(repr_digest="sha-256=:eA==:"),
        said(content_md5="eA=="),
    ],
)
async def test_what_is_not_worth_it_or_must_not_be_changed_goes_as_it_is(app: Any):
    async with edge(TABLE, app) as there:
        packed, plain = await there.ask(accept_encoding="gzip"), await there.ask()
    assert packed.body == plain.body
    assert packed.fields.get("content-encoding") == plain.fields.get("content-encoding")


UNPACKING: dict[str, Any] = {
    "gzip": lambda: zlib.decompressobj(wbits=31).decompress,
    "br": lambda: brotli.Decompressor().process,
    "zstd": lambda: zstd.ZstdDecompressor().decompress,
}
ALL = GatewayTable(compression=CompressionTable(codings=("zstd", "br", "gzip")))


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("gzip, deflate, br, zstd", "zstd"), ("gzip, br", "br"), ("gzip", "gzip"), ("zstd;q=0.5, gzip", "gzip")],
)
async def test_of_several_codings_a_client_gets_the_one_that_it_likes_best(accepted: str, coding: str):
    async with edge(ALL, said(etag='"a"')) as there:
        packed = await there.ask(accept_encoding=accepted)
    assert packed.fields["content-encoding"] == coding
    assert packed.fields["etag"] == 'W/"a"'
    assert UNPACKING[coding]()(packed.body) == TEXT
    assert len(packed.body) < len(TEXT) / 4


@pytest.mark.parametrize("coding", ["br", "zstd"])
def test_a_coding_without_its_library_is_refused_with_what_to_install(coding: str, monkeypatch: pytest.MonkeyPatch):
    for name in ("brotli", "backports.zstd", "compression.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in ("brotli_coder", "zstd_coder"):
        monkeypatch.delitem(sys.modules, f"meristem.gateway.{name}", raising=False)
    with pytest.raises(ConfigurationError, match=r"\[gateway.compression\]: .*pip install 'meristem\[compression\]'"):
        Compression(CompressionTable(codings=(coding,)))  # type: ignore[arg-type]


@pytest.mark.parametrize("coding", UNPACKING)
async def test_a_stream_goes_out_part_by_part(coding: str):
    heard = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await heard.wait()
        await send({"type": "http.response.body", "body": b"second"})

    async with edge(ALL, app) as there:
        client = await there.connect()
        client.send(f"GET / HTTP/1.1\r\nhost: x\r\naccept-encoding: {coding}\r\n\r\n".encode())
        unpack = UNPACKING[coding]()
        assert f"content-encoding: {coding}".encode() in await client.head()
        assert unpack(await client.piece()) == b"first"
        heard.set()
        assert unpack(await client.piece()) == b"second"
        assert await client.piece() == b""


async def test_a_large_answer_leaves_the_loop_to_others():
    """Others are answered while it is compressed: no turn of the loop takes as long as that does."""
    large = TEXT * 3000
    async with edge(TABLE, said(large)) as there:
        loop, longest = asyncio.get_running_loop(), 0.0
        asking = asyncio.create_task(there.ask(accept_encoding="gzip"))
        while not asking.done():
            before = loop.time()
            await asyncio.sleep(0.001)
            longest = max(longest, loop.time() - before)
        began = loop.time()
        assert await asyncio.to_thread(gzip.decompress, (await asking).body) == large
        gzip.compress(large, 5)
        took = loop.time() - began
    assert longest < took


class Whole:
    """An interface that answers at once, as REST does."""

    def find(self, request: Any) -> Response:
        return Response(200, JSON, TEXT * (100 if request.path == b"/large" else 1))


@pytest.mark.parametrize(("path", "times"), [("/small", 1), ("/large", 100)])
async def test_what_the_system_answers_itself_is_compressed_too(path: str, times: int):
    async with edge(TABLE, None, interfaces=[Whole()]) as there:
        client = await there.connect()
        for _ in range(3):
            answer = await client.ask(path=path, accept_encoding="gzip")
            assert answer.fields["content-encoding"] == "gzip"
            assert gzip.decompress(answer.body) == TEXT * times
        assert (await client.ask(path=path)).body == TEXT * times
        client.send(b"GET %b HTTP/1.1\r\nhost: x\r\naccept-encoding: gzip\r\n\r\n" % path.encode() * 3)
        assert [gzip.decompress((await client.answer()).body) for _ in range(3)] == [TEXT * times] * 3
