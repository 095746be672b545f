"""An issuer is asked within bounds: an answer counts that is small, comes in time, and from where it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from meristem.gateway.identity import fetching
from meristem.gateway.identity.fetching import FetchError, HttpsFetch
from meristem.gateway.identity.issuer_urls import wrong_issuer_url

HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"


@asynccontextmanager
async def answering(talk: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[tuple[str, list[bytes]]]:
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(65536))
        try:
            await talk(writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys", asked
    finally:
        server.close()
        await server.wait_closed()


def saying(*parts: bytes, pause: float = 0.0) -> Callable[[asyncio.StreamWriter], Awaitable[None]]:
    async def talk(writer: asyncio.StreamWriter) -> None:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)

    return talk


async def test_a_document_comes_and_a_form_is_posted():
    async with answering(saying(HEAD, b'{"a":', b"1}")) as (url, asked):
        assert await HttpsFetch()(url) == b'{"a":1}'
        assert await HttpsFetch()(url, {"code": "a b"}, {"authorization": "Basic eA=="}) == b'{"a":1}'
    assert asked[0].startswith(b"GET /keys HTTP/1.1")
    assert asked[1].startswith(b"POST /keys HTTP/1.1")
    assert b"Basic eA==" in asked[1]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: https://evil.example/\r\ncontent-length: 0\r\n\r\n", "it answers 302"),
        (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", "it answers 500"),
        (HEAD + b"x" * (fetching.LONGEST + 1), "more than"),
        (b"nonsense\r\n\r\n", "nonsense"),
        (b"", "closed connection"),
    ],
)
async def test_what_is_no_answer_is_an_error_that_says_why(answer: bytes, why: str):
    async with answering(saying(answer)) as (url, _):
        with pytest.raises(FetchError, match=why):
            await HttpsFetch()(url)


async def test_who_sends_a_byte_now_and_then_keeps_no_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fetching, "WHOLE", 0.5)
    async with answering(saying(HEAD, *[b"x"] * 100, pause=0.1)) as (url, _):
        with pytest.raises(FetchError, match="did not answer within"):
            await HttpsFetch()(url)


@pytest.mark.parametrize(
    "url",
    ["http://login.example", "ftp://login.example", "https://", "https://a@b.example", "https://x:y", "login", ""],
)
def test_an_issuer_is_asked_by_tls_unless_it_is_on_this_machine(url: str):
    assert wrong_issuer_url(url) is not None
    assert wrong_issuer_url("https://login.example:8443/tenant") is None
    assert wrong_issuer_url("http://127.0.0.1:8080") is None
    assert wrong_issuer_url("http://localhost:8080") is None
