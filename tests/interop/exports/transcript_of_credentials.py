"""The part of the transcript in which somebody proves who he is: by tokens of an issuer, and by API keys."""

from __future__ import annotations

from tests.interop.exports.asked_request import Asked, Theme
from tests.interop.exports.credentials import ODD_CLAIMS, ODD_HEADERS


def bearer(name: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {{{name}}}"),)


ISSUER = """
[gateway.issuers.main]
issuer = "https://login.example"
audience = "https://api.shop.example"
jwks = "{jwks}"
claims = { roles = "roles" }
"""

TOKENS = Theme(
    "tokens",
    """
[gateway.routes.mine]
path = "/mine/*"
require = "user"
[gateway.routes.open]
path = "/open/*"
require = "anybody"
[gateway.routes.office]
path = "/office/*"
require = "user"
roles = ["clerk", "boss"]
[gateway.routes.orders]
path = "/orders/*"
require = "user"
scopes = ["orders:read", "orders:write"]
[gateway.limits.of_user]
rate = "1/h"
burst = 1
by = "user"
[gateway.routes.few]
path = "/few/*"
require = "user"
limits = ["of_user"]
"""
    + ISSUER.replace("claims", 'algorithms = ["RS256", "RS512", "PS256", "ES256", "ES384", "EdDSA"]\nclaims'),
    (
        Asked("/mine/", 401, answered={"www-authenticate": "Bearer"}),
        Asked("/mine/", 200, fields=bearer("rs256"), answered={"cache-control": "private"}),
        *(Asked("/mine/", 200, fields=bearer(each)) for each in ("rs512", "ps256", "es256", "es384", "eddsa")),
        Asked("/mine/", 200, fields=bearer("no_kid")),
        Asked("/mine/", 200, fields=(("authorization", "bearer {rs256}"),)),
        Asked("/mine/", 401, fields=(("authorization", "xbearer {rs256}"),)),
        Asked("/mine/", 200, fields=bearer("many_letters")),
        Asked(
            "/mine/",
            200,
            fields=(*bearer("rs256"), ("meristem-route", "office"), ("Meristem_Route", "office")),
            seen={"meristem-route": None, "meristem_route": None},
        ),
        *(
            Asked("/mine/", 401, fields=bearer(each))
            for each in (
                "none", "none_capital", "unsigned", "wrong_key", "unknown_kid", "expired", "early", "other_audience",
                "other_issuer", "no_exp", "exp_text", "twice", "crit", "dpop", "bound", "rs384", "hs_by_public_key",
                "cut_signature", "changed_claims", "no_subject", "of_keys", "garbage", "es_der", "long", "nan",
                "ed_as_rs", "other_scheme", "audience_with_slash", "b64", "short_key", "key_of_one", "other_bits",
                "es_longer", "too_many_letters",
            )
        ),
        Asked("/mine/", 401, fields=(("authorization", "Bearer"),)),
        Asked("/mine/", 401, fields=(("authorization", "Basic dTpw"),)),
        Asked("/open/", 200),
        Asked("/open/", 200, fields=bearer("rs256")),
        Asked("/open/", 401, fields=bearer("expired")),
        Asked("/elsewhere", 200, fields=bearer("expired")),
        Asked("/office/", 403, fields=bearer("rs256")),
        Asked("/office/", 200, fields=bearer("clerk")),
        Asked("/orders/", 403, fields=bearer("reader")),
        Asked("/orders/", 200, fields=bearer("writer")),
        Asked("/few/", {200: 2, 429: 1}, times=3, fields=bearer("rs256")),
        Asked("/few/", {200: 2, 429: 1}, times=3, fields=bearer("clerk")),
        Asked("/few/", 401),
    ),
)  # fmt: skip
SECRETS = Theme(
    "secrets",
    """
[gateway.issuers.main]
issuer = "https://login.example"
audience = ["https://api.shop.example", "other"]
algorithms = ["HS256", "HS512"]
[gateway.routes.mine]
path = "/mine/*"
require = "user"
""",
    (
        Asked("/mine/", 200, fields=bearer("hs256")),
        Asked("/mine/", 200, fields=bearer("hs512")),
        *(
            Asked("/mine/", 401, fields=bearer(each))
            for each in (
                "hs384",
                "hs_wrong",
                "hs_expired",
                "none",
                "rs256",
                *(f"hs_header_{at}" for at in range(len(ODD_HEADERS))),
                *(f"hs_claims_{at}" for at in range(len(ODD_CLAIMS))),
            )
        ),
    ),
)
KEYS = Theme(
    "keys",
    """
[gateway.keys]
file = "keys.json"
[gateway.routes.mine]
path = "/mine/*"
require = "key"
[gateway.routes.orders]
path = "/orders/*"
require = "user or key"
scopes = ["orders:read"]
[gateway.routes.users]
path = "/users/*"
require = "user"
[gateway.limits.of_key]
rate = "1/h"
burst = 1
by = "api_key"
[gateway.routes.few]
path = "/few/*"
require = "key"
limits = ["of_key"]
"""
    + ISSUER,
    (
        Asked("/mine/", 401),
        Asked("/mine/", 200, fields=(("x-api-key", "{key}"),)),
        Asked("/mine/", 200, fields=bearer("key")),
        Asked("/mine/", 401, fields=(("x-api-key", "{key}x"),)),
        Asked("/mine/", 401, fields=(("x-api-key", "nonsense"),)),
        Asked("/mine/", 401, fields=bearer("old_key")),
        Asked("/mine/", 401, fields=(("x-api-key", "{key}"), *bearer("rs256"))),
        Asked("/mine/", 403, fields=bearer("rs256")),
        Asked("/users/", 403, fields=bearer("key")),
        Asked("/users/", 200, fields=bearer("rs256")),
        Asked("/orders/", 403, fields=bearer("key")),
        Asked("/orders/", 200, fields=bearer("reading_key")),
        Asked("/orders/", 200, fields=bearer("reader")),
        Asked("/few/", {200: 2, 429: 1}, times=3, fields=bearer("key")),
        Asked("/few/", 200, fields=bearer("reading_key")),
    ),
)
OPERATIONS = Theme(
    "operations",
    """
[[gateway.firewall.rules]]
action = "deny"
paths = ["/never"]
[gateway.keys]
file = "keys.json"
[gateway.routes.place]
operations = ["shop.v1.Orders.place"]
require = "key"
[gateway.routes.orders]
operations = ["shop.v1.Orders/*"]
require = "user or key"
scopes = ["orders:read"]
[gateway.routes.site]
app = "site"
methods = ["GET"]
redirect = { to = "/home", status = 302, keep_path = false }
"""
    + ISSUER,
    (
        Asked("/shop.v1.Orders/Place", 401, method="POST"),
        Asked("/shop.v1.Orders/Place", 200, method="POST", fields=bearer("key")),
        Asked("/shop.v1.Orders/Read", 403, method="POST", fields=bearer("key")),
        Asked("/shop.v1.Orders/Read", 200, method="POST", fields=bearer("reading_key")),
        Asked("/api/orders", 401, method="POST"),
        Asked("/api/orders/", 200, method="POST", fields=bearer("key")),
        Asked("/api/orders/7", 401),
        Asked("/api/orders/7", 401, method="HEAD"),
        Asked("/api/orders/a%2Fb", 401),
        Asked("/api/%6Frders/7/", 200, fields=bearer("reading_key")),
        Asked("/api/orders/latest", 401),
        Asked("/api/orders/7/more", 302),
        Asked("/api/orders/7", 200, method="PUT"),
        Asked("/shop.v1.Orders/Place/", 302),
        Asked("/x", 302, answered={"location": "/home"}),
        Asked("/x", 200, method="POST"),
    ),
)
