"""A reverse proxy with a limit for each address, as one is written with aiohttp.

python -m benchmarks.peers.aiohttp_proxy PORT UPSTREAM
"""

from __future__ import annotations

import sys
import time

import uvloop
from aiohttp import ClientSession, TCPConnector, web

from benchmarks.gateway import BURST, RATE, SAFE

HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "host", "content-length", "date", "server"}
SESSION = web.AppKey("session", ClientSession)
UPSTREAM = sys.argv[2] if len(sys.argv) > 2 else ""
due: dict[str, float] = {}


async def forward(request: web.Request) -> web.Response:
    now, client = time.monotonic(), request.remote or ""
    at = max(due.get(client, now), now)
    if at - now > BURST / RATE:
        return web.Response(status=429, headers={"retry-after": "1"})
    due[client] = at + 1 / RATE
    headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP}
    headers["x-forwarded-for"] = client
    body = request.content if request.can_read_body else None
    async with request.app[SESSION].request(
        request.method, UPSTREAM + request.raw_path, headers=headers, data=body
    ) as answer:
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP}
        state = {"ratelimit": f'"each";r={int((now + BURST / RATE - at) * RATE)};t=1'}
        return web.Response(status=answer.status, body=await answer.read(), headers=kept | SAFE | state)


async def sessions(app: web.Application):
    async with ClientSession(connector=TCPConnector(limit=256), auto_decompress=False) as session:
        app[SESSION] = session
        yield


def main() -> None:
    uvloop.install()
    app = web.Application()
    app.cleanup_ctx.append(sessions)
    app.router.add_route("*", "/{path:.*}", forward)
    web.run_app(
        app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=lambda _: print("ready", flush=True)
    )


if __name__ == "__main__":
    main()
