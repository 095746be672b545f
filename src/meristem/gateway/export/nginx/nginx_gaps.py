"""What nginx with Lua cannot do as the gateway does it."""

from __future__ import annotations

from typing import Final

from meristem.gateway.export.gaps import (
    Gap,
    compresses,
    has_store,
    in_limits,
    in_table,
    is_discovered,
    of_issuers,
    on_routes,
    orders_certificate,
    signs_in,
)

NGINX_GAPS: Final = (
    Gap(
        "`[gateway.tls.acme]`",
        "nginx orders no certificates, and those of the edge are the edge's own",
        "",
        in_table("[gateway.tls.acme]", orders_certificate),
    ),
    Gap(
        "`[gateway.sign_in]`",
        "sessions are sealed with the system's secret, which nginx has not, so it knows nobody who has signed in",
        "who has neither a token nor an API key is left to the edge behind, where a route requires a user",
        in_table("[gateway.sign_in]", signs_in),
    ),
    Gap(
        "`store` of a limit",
        "nginx asks no Redis, so what several count together it does not see",
        "each nginx counts for itself",
        in_limits("store", has_store),
    ),
    Gap(
        "`jwks` left out",
        "nginx asks an issuer only at the addresses that its configuration names",
        "keys are read if the issuer tells of them at its own scheme, host and port; else its tokens are answered 503",
        of_issuers("without jwks", is_discovered),
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
        in_table("[gateway.compression]", compresses),
    ),
)
