"""What nginx with Lua cannot do as the gateway does it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meristem.gateway.export.gaps import Gap, on_routes
from meristem.gateway.policy.limit_tables import MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from meristem.gateway.export.exported_policy import ExportedPolicy


def _sign_in(policy: ExportedPolicy) -> Iterator[str]:
    if policy.table.sign_in is not None:
        yield "[gateway.sign_in]"


def _stores(policy: ExportedPolicy) -> Iterator[str]:
    for name, each in policy.table.limits.items():
        if each.store != MEMORY:
            yield f"[gateway.limits.{name}] store"


def _discovery(policy: ExportedPolicy) -> Iterator[str]:
    for name, each in policy.table.issuers.items():
        if not each.is_symmetric and not each.jwks:
            yield f"[gateway.issuers.{name}] without jwks"


def _compression(policy: ExportedPolicy) -> Iterator[str]:
    if policy.table.compression is not None:
        yield "[gateway.compression]"


def _acme(policy: ExportedPolicy) -> Iterator[str]:
    if policy.table.tls is not None and policy.table.tls.acme is not None:
        yield "[gateway.tls.acme]"


NGINX_GAPS: Final = (
    Gap(
        "`[gateway.tls.acme]`",
        "nginx orders no certificates, and those of the edge are the edge's own",
        "",
        _acme,
    ),
    Gap(
        "`[gateway.sign_in]`",
        "sessions are sealed with the system's secret, which nginx has not, so it knows nobody who has signed in",
        "who has neither a token nor an API key is left to the edge behind, where a route requires a user",
        _sign_in,
    ),
    Gap(
        "`store` of a limit",
        "nginx asks no Redis, so what several count together it does not see",
        "each nginx counts for itself",
        _stores,
    ),
    Gap(
        "`jwks` left out",
        "nginx asks an issuer only at the addresses that its configuration names",
        "keys are read if the issuer tells of them at its own scheme, host and port; else its tokens are answered 503",
        _discovery,
    ),
    Gap(
        "`timeout` of a route",
        "nginx counts the time between two parts of an answer, and not that of an operation in all",
        "the time until an answer begins, and between two parts of it",
        on_routes("timeout", lambda route: route.timeout is not None),
    ),
    Gap(
        "`retries` of a route",
        "nginx sends a request to each edge once, and never to the same again",
        "GET, HEAD, OPTIONS and TRACE go to as many edges more as there are and `retries` allows",
        on_routes("retries", lambda route: bool(route.retries)),
    ),
    Gap(
        "`[gateway.compression]`",
        "nginx compresses by names of types alone, as gzip alone, and does not ask whether a client likes it least",
        "the usual types of text, JSON, XML, JavaScript, SVG and WebAssembly, for who accepts gzip at all, where "
        "`codings` has it, also where the answer tells a sum of its body, which then is another's",
        _compression,
    ),
)
