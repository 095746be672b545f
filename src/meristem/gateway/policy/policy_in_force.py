"""The policy that is in force at the public addresses; another takes its place between two requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meristem.gateway.acme_challenges import AcmeChallenges
    from meristem.gateway.policy.gatekeeper import Gatekeeper
    from meristem.transports.http.edge_policy import Pending, Verdict
    from meristem.transports.http.request import Request


class PolicyInForce:
    """Asks the `gatekeeper` of the moment: a request that has come in leaves by the one that has let it in.

    What an authority asks by `challenges` is answered before: it comes from addresses that it tells nobody, at hosts
    that have no certificate yet, without TLS.
    """

    __slots__ = ("_challenges", "gatekeeper")

    def __init__(self, gatekeeper: Gatekeeper, challenges: AcmeChallenges | None = None) -> None:
        self.gatekeeper = gatekeeper
        self._challenges = challenges

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
        if self._challenges is not None and (proof := self._challenges.answer(request)) is not None:
            return proof
        return self.gatekeeper.check(request)
