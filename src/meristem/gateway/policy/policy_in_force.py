"""The policy that is in force at the public addresses; another takes its place between two requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meristem.gateway.policy.gatekeeper import Gatekeeper
    from meristem.transports.http.edge_policy import Pending, Verdict
    from meristem.transports.http.request import Request


class PolicyInForce:
    """Asks the `gatekeeper` of the moment: a request that has come in leaves by the one that has let it in."""

    __slots__ = ("gatekeeper",)

    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self.gatekeeper = gatekeeper

    @property
    def version(self) -> object:
        return self.gatekeeper

    async def start(self) -> None:
        """Nothing is open until something is asked."""

    async def drain(self) -> None:
        """It decides to the end."""

    async def stop(self) -> None:
        await self.gatekeeper.stop()

    def check(self, request: Request) -> Verdict | Pending:
        return self.gatekeeper.check(request)
