"""A shop with a service and two apps, for a gateway to stand before."""

import json
from typing import Protocol

from meristem import App, Cache, Contract, Service, System, safe


class Prices(Contract, Protocol, package="guarded.v1"):
    @safe(http="GET /prices/{name}", cache=Cache(max_age=60, public=True))
    async def price(self, name: str) -> str: ...

    @safe(http="GET /all")
    async def everything(self) -> list[str]: ...


class PriceList(Service, Prices, name="prices"):
    async def price(self, name: str) -> str:
        return f"{name}: 7"

    async def everything(self) -> list[str]:
        return ["tea: 7"] * 1000


def telling(name: str):
    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            while True:
                message = await receive()
                await send({"type": f"{message['type']}.complete"})
                if message["type"] == "lifespan.shutdown":
                    return
        body = json.dumps(
            {
                "app": name,
                "path": scope["path"],
                "edge": dict(scope["headers"]).get(b"x-edge", b"").decode(),
            }
        ).encode()
        head = [(b"content-type", b"application/json"), (b"server", b"secret")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": body})

    return app


admin, web = telling("admin"), telling("web")
system = System("guarded", services=[PriceList], apps=[App("admin", admin, mount="/admin"), App("web", web, mount="/")])
