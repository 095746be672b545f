"""What another proxy cannot do as the gateway does it: each said once, for the refusal and for the documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meristem.errors import ConfigurationError
from meristem.gateway.policy.limit_tables import MEMORY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from meristem.gateway.export.exported_policy import ExportedPolicy
    from meristem.gateway.policy.gateway_table import GatewayTable
    from meristem.gateway.policy.identity_tables import IssuerTable
    from meristem.gateway.policy.limit_tables import RateLimitTable
    from meristem.gateway.policy.route_table import GatewayRouteTable


class Gap(NamedTuple):
    """Something that a policy may ask for and a proxy does not have.

    `asked` finds the keys of a policy that ask for it, by their place in the table. What is written `instead`, where
    the user says that it may be, never lets in whom the policy refuses for who they are; without it nothing can be
    written.
    """

    what: str
    why: str
    instead: str
    asked: Callable[[ExportedPolicy], Iterable[str]]


class Shortfall(NamedTuple):
    """A key of one policy that falls into a gap."""

    where: str
    gap: Gap

    def __str__(self) -> str:
        return f"{self.where}: {self.gap.why}"


class ExportTarget(NamedTuple):
    """A proxy by its name: what it lacks, and what makes its files, by their paths below a folder."""

    proxy: str
    gaps: Sequence[Gap]
    files: Callable[[ExportedPolicy], Mapping[str, str]]


def shortfalls(policy: ExportedPolicy, gaps: Sequence[Gap]) -> list[Shortfall]:
    """What of a policy falls into the gaps of a proxy, in the order of the gaps."""
    return [Shortfall(where, gap) for gap in gaps for where in gap.asked(policy)]


def refuse(found: Sequence[Shortfall], proxy: str, *, approximate: bool) -> None:
    """Raise ConfigurationError for what cannot be written at all, or only approximately where that is not allowed."""
    hopeless = [each for each in found if not each.gap.instead]
    if refused := hopeless or ([] if approximate else found):
        told = "\n".join(f"  {each}" for each in refused)
        otherwise = (
            "change the policy, or have the edge alone hold it: of this nothing comes close, with --approximate either"
            if hopeless
            else "change the policy, or say --approximate: what is then written instead is told"
        )
        raise ConfigurationError(f"{proxy} cannot hold this policy:\n{told}\n{otherwise}")


def on_routes(key: str, asks: Callable[[GatewayRouteTable], bool]) -> Callable[[ExportedPolicy], Iterator[str]]:
    """Finds a key of routes, where it asks for something."""

    def asked(policy: ExportedPolicy) -> Iterator[str]:
        for name, route in policy.table.routes.items():
            if asks(route):
                yield f"[gateway.routes.{name}] {key}"

    return asked


def in_table(where: str, asks: Callable[[GatewayTable], bool]) -> Callable[[ExportedPolicy], Iterator[str]]:
    """Finds what is said once for all routes, by its place."""

    def asked(policy: ExportedPolicy) -> Iterator[str]:
        if asks(policy.table):
            yield where

    return asked


def in_limits(key: str, asks: Callable[[RateLimitTable], bool]) -> Callable[[ExportedPolicy], Iterator[str]]:
    """Finds a key of rate limits, where it asks for something."""

    def asked(policy: ExportedPolicy) -> Iterator[str]:
        for name, limit in policy.table.limits.items():
            if asks(limit):
                yield f"[gateway.limits.{name}] {key}"

    return asked


def of_issuers(key: str, asks: Callable[[IssuerTable], bool]) -> Callable[[ExportedPolicy], Iterator[str]]:
    """Finds a key of issuers, where it asks for something."""

    def asked(policy: ExportedPolicy) -> Iterator[str]:
        for name, issuer in policy.table.issuers.items():
            if asks(issuer):
                yield f"[gateway.issuers.{name}] {key}"

    return asked


def compresses(table: GatewayTable) -> bool:
    """Whether a policy asks for compressed answers."""
    return table.compression is not None


def signs_in(table: GatewayTable) -> bool:
    """Whether a policy has browsers sign in."""
    return table.sign_in is not None


def orders_certificate(table: GatewayTable) -> bool:
    """Whether a policy has a certificate ordered by ACME."""
    return table.tls is not None and table.tls.acme is not None


def has_store(limit: RateLimitTable) -> bool:
    """Whether a limit is counted together with other processes."""
    return limit.store != MEMORY


def is_discovered(issuer: IssuerTable) -> bool:
    """Whether an issuer has to be asked where its keys are."""
    return not issuer.jwks and not issuer.is_symmetric
