"""A stand-in answers its own host: nobody reads the bank's statement or somebody's mail from elsewhere."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from thirdparties.nearby import OPEN, WORDS, is_near, nearby


@pytest.mark.parametrize(
    ("peer", "headers", "near"),
    [
        ("127.0.0.1", [], True),
        ("127.8.8.8", [], True),
        ("::1", [], True),
        ("::ffff:127.0.0.1", [], True),
        ("", [], True),  # a Unix socket
        (None, [], True),
        ("192.168.1.7", [], False),
        ("::ffff:10.0.0.7", [], False),
        ("2001:db8::1", [], False),
        ("somewhere", [], False),
        ("127.0.0.1", ["X-Forwarded-For"], False),  # a proxy on this host
        ("127.0.0.1", ["forwarded"], False),
        ("127.0.0.1", ["accept"], True),
    ],
)
def test_only_what_comes_from_the_host_itself_is_near(peer: str | None, headers: list[str], near: bool) -> None:
    assert is_near(peer, headers, {}) is near
    assert is_near(peer, headers, {OPEN: "1"})


@pytest.mark.parametrize("name", ["bank", "mail", "partner"])
async def test_a_stranger_is_told_no_by_each_stand_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(OPEN, raising=False)
    app = importlib.import_module(f"thirdparties.{name}.app").app
    assert await answered(app, "192.0.2.7") == (403, WORDS)


async def test_an_opened_stand_in_answers_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPEN, "1")

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hello"})

    assert await answered(nearby(app), "192.0.2.7") == (200, b"hello")


async def answered(app: Any, peer: str) -> tuple[int, bytes]:
    """The answer to `GET /` from a peer; a WSGI app is called as one."""
    if hasattr(app, "wsgi_app"):
        client = app.test_client()
        answer = client.get("/", environ_base={"REMOTE_ADDR": peer})
        return answer.status_code, answer.data
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "client": (peer, 4711), "headers": []}
    await app(scope, None, send)
    return sent[0]["status"], b"".join(each.get("body", b"") for each in sent[1:])
