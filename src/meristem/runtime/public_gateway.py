"""The gateway of a process to which the public comes: made of its placement's table, which may change while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.errors import ConfigurationError
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.policy_in_force import PolicyInForce
from meristem.runtime.gateway_identity import authenticator
from meristem.runtime.listen import Listen
from meristem.runtime.public_certificate import PublicCertificate
from meristem.system.addresses import edge
from meristem.system.gateway_parts import check_gateway, part_paths

if TYPE_CHECKING:
    import ssl

    from meristem.gateway.certificate_view import CertificateView
    from meristem.gateway.policy.authentication import Authenticator
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.lifecycle import Stack
    from meristem.runtime.options import Options
    from meristem.system.blueprint import Blueprint

AT_A_START: Final = ("tls", "issuers", "keys", "sign_in")  # tables of what is opened when a process starts


class PublicGateway:
    """What a `[gateway]` table stands for in one process."""

    def __init__(self, blueprint: Blueprint, table: GatewayTable, options: Options) -> None:
        self._blueprint = blueprint
        self._table = table
        self._options = options
        self._authenticator: Authenticator | None = None
        self._policy: PolicyInForce | None = None
        self._certificate: PublicCertificate | None = None

    async def open(self, stack: Stack) -> PolicyInForce:
        """What decides who may come in, with what it needs started."""
        self._authenticator = authenticator(self._table, self._blueprint.system.name, self._options)
        if self._authenticator is not None:
            await stack.start(self._authenticator)
        if self._table.tls is not None:
            self._certificate = PublicCertificate(self._table, self._blueprint.system.name, self._options)
        challenges = None if self._certificate is None else self._certificate.challenges
        self._policy = PolicyInForce(self._gatekeeper(self._table, None), challenges)
        await stack.start(self._policy)
        return self._policy

    async def tls(self, stack: Stack) -> ssl.SSLContext | None:
        """What public addresses prove themselves by, where the table says so."""
        if self._certificate is None:
            return None
        await stack.start(self._certificate.files)
        return self._certificate.files.context

    async def renew_certificate(self, stack: Stack) -> None:
        """Have the certificate ordered, and anew in time: once requests are answered, for its authority sends some."""
        if self._certificate is not None and self._certificate.renewal is not None:
            await stack.start(self._certificate.renewal)

    def certificate(self) -> CertificateView | None:
        """What operators are told of the certificate."""
        return None if self._certificate is None else self._certificate.view()

    def without_tls(self, process: str) -> list[Listen]:
        """Where the edge listens besides, and speaks no TLS."""
        tls = self._table.tls
        if tls is None or not tls.http or edge(self._blueprint.plan).name != process:
            return []
        # Shared by replicas: each binds it for itself, and the system spreads who comes.
        return [Listen(f"http://{tls.http}", public=True, shared=True)]

    def renew(self, table: GatewayTable | None) -> None:
        """Put another table in force for all requests to come; limits whose numbers stay go on as they stand.

        Raises ConfigurationError for one that cannot be taken while the process runs: then the old one stays.
        """
        if table is None or self._policy is None:
            raise ConfigurationError("[gateway] is gone from the placement: that takes `meristem reload`")
        for name in AT_A_START:
            if getattr(table, name) != getattr(self._table, name):
                raise ConfigurationError(
                    f"[gateway.{name}] has changed, which a process takes when it starts: that takes `meristem reload`"
                )
        if table.certified != self._table.certified:
            raise ConfigurationError(
                "[gateway] hosts: the certificate is for others, and is ordered when a process starts: that takes "
                "`meristem reload`"
            )
        check_gateway(table, self._blueprint.plan)
        self._policy.gatekeeper = self._gatekeeper(table, self._policy.gatekeeper)
        self._table = table

    def _gatekeeper(self, table: GatewayTable, before: Gatekeeper | None) -> Gatekeeper:
        parts, system = part_paths(self._blueprint.plan), self._blueprint.system.name
        return Gatekeeper(table, parts=parts, authenticator=self._authenticator, system=system, before=before)
