"""The `[gateway]` table of a placement: what stands between the internet and the services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from meristem.contracts.bounds import ByteCount
from meristem.gateway.policy.compression_rules import CompressionTable
from meristem.gateway.policy.firewall_table import FirewallTable
from meristem.gateway.policy.header_table import AnswerHeaderTable, CorsTable, HeaderTable
from meristem.gateway.policy.host_names import HostPattern
from meristem.gateway.policy.identity_tables import (
    IssuerTable,
    KeysTable,
    SignInTable,
    issuers_problem,
    requirement_problem,
)
from meristem.gateway.policy.limit_tables import ConcurrencyTable, RateLimitTable, limits_problem, unknown_limit
from meristem.gateway.policy.route_table import GatewayRouteTable, Name, colliding
from meristem.gateway.policy.tls_table import TlsTable

if TYPE_CHECKING:
    from pathlib import Path


class GatewayTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Limits by name, and the routes that name them. What no route fits is served as without a gateway.

    Requests for other `hosts` than these are refused, where any are named; with `https` those without TLS are sent to
    it.
    """

    limits: dict[Name, RateLimitTable] = {}
    routes: dict[Name, GatewayRouteTable] = {}
    hosts: tuple[HostPattern, ...] = ()
    https: bool = False
    issuers: dict[Name, IssuerTable] = {}
    keys: KeysTable | None = None
    sign_in: SignInTable | None = None
    headers: AnswerHeaderTable = AnswerHeaderTable()
    request_headers: HeaderTable = HeaderTable()
    cors: CorsTable | None = None
    body_bytes: ByteCount | None = None
    compression: CompressionTable | None = None
    tls: TlsTable | None = None
    concurrency: dict[Name, ConcurrencyTable] = {}
    firewall: FirewallTable = FirewallTable()

    def below(self, folder: Path) -> GatewayTable:
        """The same with its files found from a folder."""
        tls = None if self.tls is None else self.tls.below(folder)
        return msgspec.structs.replace(self, tls=tls, firewall=self.firewall.below(folder))

    def problem(self) -> str | None:
        """What cannot be meant; None for a sound table."""
        if (problem := limits_problem(self.limits, self.concurrency) or self.firewall.problem()) is not None:
            return problem
        for name, route in self.routes.items():
            for key, named, known in (
                ("limits", route.limits, self.limits),
                ("concurrency", route.concurrency, self.concurrency),
            ):
                if (problem := unknown_limit(key, named, known)) is not None:
                    return f"[gateway.routes.{name}]: {problem}"
            if problem := route.problem():
                return f"[gateway.routes.{name}]: {problem}"
            asked = requirement_problem(
                route.require,
                route.roles,
                route.scopes,
                users=bool(self.issuers) or self.sign_in is not None,
                keys=self.keys is not None,
            )
            if asked is not None:
                return f"[gateway.routes.{name}]: {asked}"
        return (
            issuers_problem(self.issuers, self.sign_in)
            or self._tls_problem()
            or self._inner_problem()
            or colliding(self.routes)
        )

    @property
    def certified(self) -> tuple[str, ...]:
        """The hosts of the certificate that is ordered; none where it comes from files."""
        return () if self.tls is None or self.tls.acme is None else self.tls.acme.names(self.hosts)

    def _tls_problem(self) -> str | None:
        found = None if self.tls is None else self.tls.problem(self.hosts)
        return None if found is None else f"[{found[0]}]: {found[1]}"

    def _inner_problem(self) -> str | None:
        of_all = (
            ("headers", self.headers),
            ("request_headers", self.request_headers),
            ("cors", self.cors),
            ("compression", self.compression),
        )
        told = [(f"gateway.{name}", None if table is None else table.problem()) for name, table in of_all]
        for name, route in self.routes.items():
            told += [(f"gateway.routes.{name}.{key}", problem) for key, problem in route.inner_problems()]
        return next((f"[{table}]: {problem}" for table, problem in told if problem is not None), None)
