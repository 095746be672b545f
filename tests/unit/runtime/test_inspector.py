"""What a process tells operators of itself: what each service carries, and how its event loop turns."""

from __future__ import annotations

from typing import Any, Protocol

from meristem import Contract, Service, System, safe
from meristem.context import Context
from meristem.contracts.call import Call
from meristem.contracts.contract import operations
from meristem.operators.gatherer import DIGEST
from meristem.operators.load_views import ServiceLoad
from meristem.testing import running


class Clerk(Contract, Protocol, package="loads.v1"):
    @safe
    async def look(self) -> None: ...


class ClerkService(Clerk, Service):
    def __init__(self) -> None:
        self.seen: list[ServiceLoad] = []
        self.digest: Any = None

    async def look(self) -> None:
        self.seen = (await self.digest()).loads


async def test_a_call_that_came_by_wire_is_carried_while_it_lasts():
    async with running(System("loads", services=[ClerkService])) as app:
        clerk = app.service(ClerkService)

        async def digest() -> Any:
            return await app.desks.ask(DIGEST, DIGEST.request(life="", seen=0))

        clerk.digest = digest
        look = operations(Clerk)["look"]
        await app.routes()[look.path].handler(Call(look, look.request(), Context()))
        app.loop_lag.add(0.25)
        app.loop_lag.add(0.01)
        after = await digest()

    [during], [rest] = clerk.seen, after.loads
    assert (during.service, during.inside, rest.inside) == ("clerk", 1, 0)
    assert (rest.waiting, rest.shed, rest.limit > 0) == (0, 0, True)
    assert after.loop_lag == 0.25
