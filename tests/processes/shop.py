"""A small system that the command runs in several processes: an app that asks orders, which ask stock."""

import os
from typing import Any, Protocol

from meristem import App, Contract, Service, System, safe


class Stock(Contract, Protocol, package="shop.stock.v1"):
    """What is in the warehouse."""

    @safe(http="GET /stock/{item}")
    async def left(self, item: str) -> int:
        """How many are left."""
        ...


class Orders(Contract, Protocol, package="shop.orders.v1"):
    """What can be sold."""

    @safe(http="GET /orders/{item}")
    async def possible(self, item: str) -> bool:
        """Whether it can be ordered."""
        ...


class StockService(Stock, Service):
    async def left(self, item: str) -> int:
        if item == "broken":
            raise LookupError(f"there is no {item}")
        return len(item)


class OrdersService(Orders, Service):
    def __init__(self, stock: Stock) -> None:
        self.stock = stock

    async def possible(self, item: str) -> bool:
        return await self.stock.left(item) > 0


async def web(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with its process id, what orders say, and the variables that it found."""
    while scope["type"] == "lifespan":
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
    body = f"{os.getpid()} {await Orders.client().possible('chair')} {os.environ['STOCK_URL']} {os.environ['BANK_URL']}"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


async def bank(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answers with its path."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


system = System(
    "shop", services=[OrdersService, StockService], apps=[App("web", web), App("bank", bank, mount="/bank")]
)
