"""Behind a real nginx, with the usual WebSocket snippet: one request is one answer, and nobody gets another's."""

from __future__ import annotations

import asyncio
import re
import shutil
import socket
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from meristem.contracts.call import ServedOperation
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer
from tests.interop.conftest import Served

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
PATIENCE = 30
CONFIG = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;
events {{ worker_connections 256; }}
http {{
  access_log off; client_body_buffer_size 1m;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  upstream ours {{ server 127.0.0.1:{behind}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://ours; proxy_http_version 1.1; proxy_request_buffering {buffering};
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $host;
    }}
  }}
}}
"""
INNER = b"GET /app/stolen HTTP/1.1\r\nHost: x\r\n\r\n"

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the path and the body of the request."""
    body, more = b"", True
    while more:
        event = await receive()
        body, more = body + event["body"], event["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode() + b"<" + body + b">"})


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(params=["on", "off"])
async def front(request: Any, tmp_path: Path) -> AsyncIterator[int]:
    """The port of an nginx before a server of ours, which buffers requests or not."""
    known = Served()
    routes = {each.path: ServedOperation(each, getattr(known, name)) for name, each in known.operations.items()}
    server = HttpServer(routes, echo, interfaces=[RestInterface(routes.values())])
    await server.start("tcp://127.0.0.1:0", public=True)
    behind, port = int(server.addresses[0].rpartition(":")[2]), free_port()
    config = tmp_path / "nginx.conf"
    config.write_text(CONFIG.format(folder=tmp_path, behind=behind, port=port, buffering=request.param))
    running = await asyncio.create_subprocess_exec(str(NGINX), "-c", config, "-p", tmp_path, stderr=DEVNULL)
    try:
        async with asyncio.timeout(PATIENCE):
            while not await _open(port):
                assert running.returncode is None, (tmp_path / "error.log").read_text()
        yield port
    finally:
        running.terminate()
        await running.wait()
        await server.stop()


async def _open(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.02)
        return False
    writer.close()
    return True


async def ask(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.02)  # so that the parts travel apart, through the proxy as well
    answer = await asyncio.wait_for(reader.read(), PATIENCE)
    writer.close()
    return answer


def post(path: str, body: bytes, *lines: str) -> tuple[bytes, bytes]:
    head = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", "Connection: close", *lines]
    return "\r\n".join([*head, f"Content-Length: {len(body)}", "", ""]).encode(), body


@pytest.mark.parametrize("upgrade", ["foo", "h2c", "websocket"])
async def test_a_body_that_looks_like_a_request_is_never_run_as_one(front, upgrade):
    """Other clients ask meanwhile, over the same connections to the server."""

    async def smuggle(path: str) -> bytes:
        return await ask(front, *post(path, INNER, f"Upgrade: {upgrade}"))

    async def ask_honestly(number: int) -> bytes:
        return await ask(front, b"".join(post(f"/app/{number}", b"%d" % number)))

    smuggled = [smuggle(path) for path in ("/app/a", "/interop.quotes.v1.Quotes/Echo", "/api/quotes", "/app/b")] * 3
    answers = await asyncio.gather(*smuggled, *map(ask_honestly, range(40)))

    assert [len(re.findall(rb"HTTP/1\.1 \d+", each)) for each in answers] == [1] * len(answers)
    assert all(b"/app/stolen<" not in each for each in answers)
    for number, answer in enumerate(answers[len(smuggled) :]):
        assert b"/app/%d<%d>" % (number, number) in answer


async def test_a_body_behind_the_snippet_reaches_rpc_rest_and_apps(front):
    count = await ask(front, b"GET /api/count/2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nUpgrade: h2c\r\n\r\n")
    wrong = await ask(front, *post("/interop.quotes.v1.Quotes/Echo", b'{"quote":7}', "Upgrade: h2c"))
    large = b"x" * 300_000
    app = await ask(front, *post("/app/large", large, "Upgrade: foo"))

    assert b"HTTP/1.1 200" in count
    assert b'"code":"invalid_argument"' in wrong  # it was read, to its end
    assert large in app.replace(b"\r\n", b"")


async def test_trailers_do_not_come_through(front):
    head = b"POST /app/t HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    for cut in (5, 8, 12, 20):
        body = b"2\r\nhi\r\n0\r\nX-User: root\r\nContent-Length: 9\r\n\r\n"
        answer = await ask(front, head, body[:cut], body[cut:])
        assert b"/app/t<hi>" in answer or b"HTTP/1.1 400" in answer  # nginx may refuse it by itself
