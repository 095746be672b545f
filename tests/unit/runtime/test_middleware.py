"""Middleware stands on both sides of a call, for a whole system or for one service."""

from typing import Any, Protocol

from meristem import Call, Contract, Handler, Middleware, Service, System, current, safe
from meristem.testing import running

seen: list[str] = []


def told(name: str) -> Middleware:
    def wrap(handler: Handler) -> Handler:
        async def tell(call: Call) -> Any:
            place = current().place
            seen.append(f"{name}: {call.operation.label} within {place.operation if place else 'nothing'}")
            return await handler(call)

        return tell

    return wrap


class Inner(Contract, Protocol, package="middle.v1"):
    @safe(timeout=60.0)
    async def answer(self) -> int: ...


class Outer(Contract, Protocol, package="middle.v1"):
    @safe(timeout=60.0)
    async def ask(self) -> int: ...


class InnerService(Inner, Service, middleware=[told("inner's")]):
    async def answer(self) -> int:
        return 42


class OuterService(Outer, Service, outgoing=[told("outer's calls")]):
    def __init__(self, inner: Inner) -> None:
        self.inner = inner

    async def ask(self) -> int:
        return await self.inner.answer()


async def test_each_stands_where_it_says():
    seen.clear()
    system = System(
        "middle", services=[InnerService, OuterService], middleware=[told("all")], outgoing=[told("all calls")]
    )
    async with running(system):
        assert await Outer.client().ask() == 42
    assert seen == [
        "all calls: Outer.ask within nothing",
        "all: Outer.ask within Outer.ask",
        "all calls: Inner.answer within Outer.ask",
        "outer's calls: Inner.answer within Outer.ask",
        "all: Inner.answer within Inner.answer",
        "inner's: Inner.answer within Inner.answer",
    ]
