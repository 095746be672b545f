"""Behind proxies that are trusted, hosted apps see the client; from all others no word of it gets through."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest
import quart

from meristem import App, System
from meristem.hosting.asgi.forwarded import Forwarded
from meristem.security.forwarding import TrustedProxies
from meristem.system.placement import Placement

PATIENCE = 30  # seconds
BEHIND = Placement(server={"trusted_proxies": ["127.0.0.1", "unix"]})
BEHIND_NGINX = Placement(server={"trusted_proxies": ["127.0.0.2"]})
TOLD = {"x-forwarded-for": "1.1.1.1, 203.0.113.7", "x-forwarded-proto": "https", "x-forwarded-host": "shop.example"}
NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log {folder}/errors;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass {upstream};
      proxy_bind 127.0.0.2;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Host shop.example;
    }}
  }}
}}
"""


def wsgi() -> Any:
    app = flask.Flask("pages")

    @app.get("/")
    def seen() -> Any:
        request = flask.request
        answer = flask.jsonify(client=request.remote_addr, url=request.url, hops=request.headers.get("X-Forwarded-For"))
        answer.set_cookie("session", "1", secure=request.is_secure)
        return answer

    return app


def asgi() -> Any:
    app = quart.Quart("pages")

    @app.get("/")
    async def seen() -> Any:
        request = quart.request
        answer = quart.jsonify(client=request.remote_addr, url=request.url, hops=request.headers.get("X-Forwarded-For"))
        answer.set_cookie("session", "1", secure=request.is_secure)
        return answer

    return app


@pytest.mark.parametrize("app", [wsgi, asgi])
async def test_an_app_behind_a_trusted_proxy_sees_client_scheme_and_host(serving, app):
    async with serving(System("shop", apps=[App("web", app(), mount="/")]), placement=BEHIND) as browser:
        answer = await browser.get("/", headers=TOLD)

    assert answer.json() == {"client": "203.0.113.7", "url": "https://shop.example/", "hops": "203.0.113.7"}
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("app", [wsgi, asgi])
async def test_an_app_hears_nothing_from_who_is_not_trusted(serving, app):
    async with serving(System("shop", apps=[App("web", app(), mount="/")])) as browser:
        answer = await browser.get("/", headers=TOLD)
        here = str(browser.base_url)

    assert answer.json() == {"client": "127.0.0.1", "url": f"{here}/", "hops": None}
    assert "Secure" not in answer.headers["set-cookie"]


async def test_a_request_with_two_stories_is_refused(serving):
    async with serving(System("shop", apps=[App("web", wsgi(), mount="/")]), placement=BEHIND) as browser:
        answer = await browser.get("/", headers={**TOLD, "forwarded": "for=1.1.1.1"})

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


@pytest.mark.parametrize(("host", "server"), [("a.b", ("a.b", 443)), ("a.b:81", ("a.b", 81)), ("[::1]", ("::1", 443))])
async def test_a_websocket_is_secure_where_its_proxy_says_so(host, server):
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope)

    fields = [(b"host", b"inner"), (b"forwarded", f'for=203.0.113.7;proto=https;host="{host}"'.encode())]
    scope = {"type": "websocket", "scheme": "ws", "client": None, "server": ("inner", 1), "headers": fields}
    await Forwarded(app, TrustedProxies(["unix"]))(scope, None, None)

    assert (seen[0]["scheme"], seen[0]["client"], seen[0]["server"]) == ("wss", ("203.0.113.7", 0), server)
    assert dict(seen[0]["headers"])[b"host"] == host.encode()


async def test_a_peer_on_a_unix_socket_is_no_address_whatever_name_it_gave_itself():
    seen: list[Any] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["client"])

    scope = {"type": "http", "client": ("10.0.0.1", None), "headers": [(b"x-forwarded-for", b"1.1.1.1")]}
    for trusted in ("10.0.0.1", "unix"):
        await Forwarded(app, TrustedProxies([trusted]))(scope, None, None)

    assert seen == [("10.0.0.1", None), ("1.1.1.1", 0)]


async def test_a_websocket_with_two_stories_is_closed():
    sent: list[Any] = []

    async def send(event: Any) -> None:
        sent.append(event)

    fields = [(b"forwarded", b"for=1.1.1.1"), (b"x-forwarded-for", b"203.0.113.7")]
    scope = {"type": "websocket", "client": ("127.0.0.1", 1), "headers": fields}
    await Forwarded(wsgi(), TrustedProxies(["127.0.0.1"]))(scope, None, send)

    assert sent == [{"type": "websocket.close", "code": 1008}]


@pytest.fixture
async def nginx(tmp_path: Path) -> AsyncIterator[Any]:
    """`await nginx(upstream)` gives the address of an nginx before it."""
    program = shutil.which("nginx")
    if program is None:
        pytest.skip("nginx is not installed")
    running: list[asyncio.subprocess.Process] = []

    async def begin(upstream: str) -> str:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path, port=port, upstream=upstream))
        arguments = ["-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf"), "-e", str(tmp_path / "errors")]
        running.append(await asyncio.create_subprocess_exec(program, *arguments))
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.02)  # it has no word to say that it listens
                else:
                    writer.close()
                    return f"http://127.0.0.1:{port}"

    yield begin
    for each in running:
        each.terminate()
        await each.wait()


@pytest.mark.parametrize("app", [wsgi, asgi])
async def test_behind_a_real_nginx_a_client_is_who_it_is_whatever_it_says(serving, nginx, app):
    async with serving(System("shop", apps=[App("web", app(), mount="/")]), placement=BEHIND_NGINX) as browser:
        address = await nginx(str(browser.base_url))
        async with httpx.AsyncClient(base_url=address, timeout=PATIENCE) as client:
            plain = await client.get("/")
            spoofed = await client.get("/", headers={"x-forwarded-for": "1.1.1.1", "x-forwarded-proto": "http"})
            contrary = await client.get("/", headers={"forwarded": "for=1.1.1.1"})

    seen = {"client": "127.0.0.1", "url": "https://shop.example/", "hops": "127.0.0.1"}
    assert (plain.json(), spoofed.json(), contrary.status_code) == (seen, seen, 400)
    assert "Secure" in plain.headers["set-cookie"]


@pytest.mark.parametrize(
    "name", ["x_forwarded_for", "x-forwarded_for", "x_real_ip", "meristem_origin", "x_forwarded_x"]
)
def test_what_an_app_might_take_for_the_field_of_a_proxy_is_removed_whoever_sends_it(name):
    for peer in ("127.0.0.1", "192.0.2.1"):
        origin = TrustedProxies(["127.0.0.1"]).origin(peer, [(name.encode(), b"1.1.1.1"), (b"x-user_id", b"1")])

        assert origin.fields == [(b"x-user_id", b"1")]
