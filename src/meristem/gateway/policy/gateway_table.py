"""The `[gateway]` table of a placement: what stands between the internet and the services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec

from meristem.contracts.bounds import Count, Room
from meristem.gateway.policy.compression_rules import CompressionTable
from meristem.gateway.policy.header_table import AnswerHeaderTable, CorsTable, HeaderTable
from meristem.gateway.policy.host_names import HostPattern
from meristem.gateway.policy.identity_tables import (
    IssuerTable,
    KeysTable,
    SignInTable,
    issuers_problem,
    requirement_problem,
)
from meristem.gateway.policy.quantities import RateText, rate_of
from meristem.gateway.policy.route_table import GatewayRouteTable, Name, colliding
from meristem.gateway.policy.tls_table import TlsTable

if TYPE_CHECKING:
    from pathlib import Path

By: TypeAlias = Literal["address", "everybody"]
Status: TypeAlias = Literal[429, 503]


class RateLimitTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """At most `rate` requests, and `burst` more at once; what is beyond is refused with `status`.

    With `delay` what is above the rate, up to `burst`, is not served at once but in its turn, so that what stands
    behind the gateway sees no more than the rate. Each address, or whatever it is counted `by`, has its own.
    """

    rate: RateText
    burst: Room = 0
    delay: bool = False
    by: By = "address"
    status: Status = 429


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
    body_bytes: Count | None = None
    compression: CompressionTable | None = None
    tls: TlsTable | None = None

    def below(self, folder: Path) -> GatewayTable:
        """The same with its files found from a folder."""
        return self if self.tls is None else msgspec.structs.replace(self, tls=self.tls.below(folder))

    def problem(self) -> str | None:
        """What cannot be meant; None for a sound table."""
        for name, limit in self.limits.items():
            try:
                rate_of(limit.rate)
            except ValueError as error:
                return f"[gateway.limits.{name}]: rate: {error}"
        for name, route in self.routes.items():
            if strange := next((each for each in route.limits if each not in self.limits), None):
                known = ", ".join(self.limits) or "none"
                return f"[gateway.routes.{name}]: limits: there is no [gateway.limits.{strange}]; known are {known}"
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
        return issuers_problem(self.issuers, self.sign_in) or self._inner_problem() or colliding(self.routes)

    def _inner_problem(self) -> str | None:
        of_all = (("headers", self.headers), ("request_headers", self.request_headers), ("cors", self.cors))
        told = [(f"gateway.{name}", None if table is None else table.problem()) for name, table in of_all]
        for name, route in self.routes.items():
            told += [(f"gateway.routes.{name}.{key}", problem) for key, problem in route.inner_problems()]
        return next((f"[{table}]: {problem}" for table, problem in told if problem is not None), None)
