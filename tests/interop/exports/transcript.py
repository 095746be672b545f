"""What is asked of every proxy that holds a policy, and the status that each request has: one text for all of them.

A theme is a placement, as it is written, and requests in their order. `{good}` and the like in a field stand for
credentials that are made when the transcript is played, `{jwks}` in a placement for where the issuer keeps its keys.
"""

from __future__ import annotations

from tests.interop.exports.asked_request import CUT, Asked, Theme
from tests.interop.exports.transcript_of_credentials import KEYS, OPERATIONS, SECRETS, TOKENS

PATHS = Theme(
    "paths",
    """
[[gateway.firewall.rules]]
action = "deny"
paths = ["/admin/*", "/secret"]
[gateway.routes.open]
path = "/open/*"
""",
    (
        Asked("/", 200, seen={"path": "/"}),
        Asked("/admin/", 403),
        Asked("/admin", 403),
        Asked("/adminx", 200),
        Asked("//admin/", 403),
        Asked("/%61dmin/x", 403),
        Asked("/%61%64min/x", 403),
        Asked("/x/../admin/", 403),
        Asked("/x/%2e%2E/admin/", 403),
        Asked("/./admin/", 403),
        Asked("/x/..//admin/", 403),
        Asked("/admin;v=1/x", 403),
        Asked("/secret/", 403),
        Asked("/secret/more", 200),
        Asked("/a//b/./c/../d", 200, seen={"path": "/a/b/d"}),
        Asked("/%7Euser/%41?q=%41&r=//", 200, seen={"path": "/~user/A", "query": "q=%41&r=//"}),
        Asked("/x%2fy", 200, seen={"path": "/x%2Fy"}),
        Asked("/x%2F..%2Fadmin", 400),
        Asked("/x/..%2Fadmin/", 400),
        Asked("/x;/../admin", 403),
        Asked("/open;x", 400),
        Asked("/open\\x", 400),
        Asked("/open/x;y", 200),
        Asked("/%zz", 400),
        Asked("/x%", 400),
        Asked("/%ff", 400),
        Asked("/%c3%a9", 200, seen={"path": "/%C3%A9"}),
        Asked("/a%00b", 400),
    ),
)
HOSTS = Theme(
    "hosts",
    """
[gateway]
hosts = ["shop.example", "*.shop.example"]
[gateway.routes.old]
hosts = ["old.shop.example"]
redirect = "https://www.shop.example"
[gateway.routes.news]
path = "/news/*"
redirect = { to = "/latest", status = 302, keep_path = false, keep_query = false }
[gateway.routes.moved]
path = "/moved"
redirect = { to = "https://www.shop.example/new", status = 301, keep_path = false }
[gateway.routes.writes]
path = "/writes/*"
methods = ["POST"]
redirect = { to = "/elsewhere", status = 307, keep_path = false }
""",
    (
        Asked("/", 200),
        Asked("/", 200, host="SHOP.example:8080"),
        Asked("/", 200, host="shop.example."),
        Asked("/", 200, host="a.b.shop.example"),
        Asked("/", 421, host="evil.example"),
        Asked("/", 421, host="shop.example.evil"),
        Asked("/", 421, host="evilshop.example"),
        Asked("/", 421, host="127.0.0.1"),
        Asked("/", 400, fields=(("host", "old.shop.example"),)),
        Asked("/", 400, host="shop.example,old.shop.example"),
        Asked("/health", 200, host="127.0.0.1"),
        Asked("/a/./b?q=1", 308, host="old.shop.example", answered={"location": "https://www.shop.example/a/b?q=1"}),
        Asked("/news/today?q=1", 302, answered={"location": "/latest"}),
        Asked("/moved?q=1", 301, answered={"location": "https://www.shop.example/new?q=1"}),
        Asked("/writes/x", 200),
        Asked("/writes/x", 307, method="POST", answered={"location": "/elsewhere"}),
    ),
)
HTTPS = Theme(
    "https",
    """
[gateway]
https = true
""",
    (
        Asked("/a%62?q=1", 308, answered={"location": "https://shop.example/ab?q=1"}),
        Asked("/x", 308, host="shop.example:80", answered={"location": "https://shop.example/x"}),
        Asked("/health", 200),
        Asked(
            "/",
            200,
            fields=(("x-forwarded-proto", "https"),),
            answered={"strict-transport-security": "max-age=31536000"},
        ),
        Asked("/", 308, fields=(("x-forwarded-proto", "ftp"),)),
    ),
)
FIREWALL = Theme(
    "firewall",
    """
[[gateway.firewall.rules]]
action = "allow"
addresses = ["198.51.100.7", "2001:db8:7::/48"]
paths = ["/admin/*"]
[[gateway.firewall.rules]]
action = "deny"
name = "admin"
paths = ["/admin/*"]
status = 404
[[gateway.firewall.rules]]
action = "deny"
addresses_file = "blocked.txt"
[[gateway.firewall.rules]]
action = "deny"
methods = ["TRACE", "PUT"]
[[gateway.firewall.rules]]
action = "deny"
headers = [{ name = "user-agent", matches = "*Bad*Bot*" }]
[[gateway.firewall.rules]]
action = "deny"
headers = [{ name = "x-probe", present = true }, { name = "x-kind", equals = "a, b" }]
status = 444
[[gateway.firewall.rules]]
action = "deny"
query_above = "100 B"
[[gateway.firewall.rules]]
action = "deny"
paths = ["/small/*"]
body_above = "10 B"
[[gateway.firewall.rules]]
action = "deny"
head_above = "4 KiB"
[[gateway.firewall.rules]]
action = "deny"
dry_run = true
""",
    (
        Asked("/", 200),
        Asked("/admin/", 404),
        Asked("/admin/", 200, client="198.51.100.7"),
        Asked("/admin/", 200, client="2001:db8:7:1::9"),
        Asked("/admin/", 404, client="2001:db8:8:1::9"),
        Asked("/admin;x/", 404, client="198.51.100.7"),
        Asked("/", 403, client="203.0.113.9"),
        Asked("/", 403, client="203.0.113.200"),
        Asked("/", 200, client="203.0.114.9"),
        Asked("/", 403, client="2001:db8:bad::1"),
        Asked("/", 403, method="PUT"),
        Asked("/", 200, method="DELETE"),
        Asked("/", 403, fields=(("user-agent", "a BADdest bot!"),)),
        Asked("/", 200, fields=(("user-agent", "bot bad"),)),
        Asked("/", CUT, fields=(("x-probe", "1"), ("x-kind", "a"), ("x-kind", "b"))),
        Asked("/", 200, fields=(("x-probe", "1"), ("x-kind", "b"))),
        Asked("/?" + "q" * 100, 200),
        Asked("/?" + "q" * 101, 403),
        Asked("/small/x", 200, method="POST", body=b"1234567890"),
        Asked("/small/x", 403, method="POST", body=b"12345678901"),
        Asked("/", 403, fields=(("x-long", "x" * 5_000),)),
    ),
)
BANS = Theme(
    "bans",
    """
[gateway.firewall]
trusted = ["198.51.100.0/24"]
[[gateway.firewall.rules]]
action = "deny"
paths = ["/trap"]
[gateway.firewall.ban]
violations = 3
within = "1 min"
lasts = "1500ms"
[gateway.limits.few]
rate = "1/h"
burst = 1
[gateway.routes.few]
path = "/few/*"
limits = ["few"]
""",
    (
        Asked("/trap", 403, times=2),
        Asked("/", 200),
        Asked("/trap", 403),
        Asked("/", 403),
        Asked("/", 200, client="192.0.2.2"),
        Asked("/few/", {200: 2, 429: 3}, times=5, client="192.0.2.3"),
        Asked("/", 403, client="192.0.2.3"),
        Asked("/trap", 403, times=5, client="198.51.100.9"),
        Asked("/", 200, client="198.51.100.9"),
        Asked("/trap", 403, times=3, client="2001:db8::1"),
        Asked("/", 403, client="2001:db8::ffff"),
        Asked("/", 200, client="2001:db8:0:1::1"),
        Asked("/", 200, after=2.0),
    ),
)
CORS = Theme(
    "cors",
    """
[gateway.cors]
origins = ["https://shop.example", "https://*.shop.example"]
methods = ["GET", "POST"]
headers = ["content-type"]
credentials = true
expose = ["x-total"]
[gateway.routes.open]
path = "/open/*"
[gateway.routes.open.cors]
origins = ["*"]
[gateway.routes.writes]
path = "/writes/*"
methods = ["POST"]
[gateway.routes.moved]
path = "/moved/*"
redirect = "https://new.example"
[gateway.routes.bounded]
path = "/bounded/*"
body_bytes = 10
[[gateway.firewall.rules]]
action = "deny"
paths = ["/closed"]
""",
    (
        Asked("/", 200, fields=(("origin", "https://shop.example"),), answered={
            "access-control-allow-origin": "https://shop.example", "access-control-allow-credentials": "true",
            "access-control-expose-headers": "x-total", "vary": "origin",
        }),
        Asked("/", 200, fields=(("origin", "https://a.b.shop.example"),), answered={
            "access-control-allow-origin": "https://a.b.shop.example",
        }),
        Asked("/", 200, fields=(("origin", "https://evilshop.example"),), answered={
            "access-control-allow-origin": None,
        }),
        Asked("/open/", 200, fields=(("origin", "https://evil.example"),), answered={
            "access-control-allow-origin": "*",
        }),
        Asked("/", 204, method="OPTIONS", fields=(
            ("origin", "https://shop.example"), ("access-control-request-method", "POST"),
            ("access-control-request-headers", "Content-Type"),
        ), answered={"access-control-allow-methods": "GET, POST", "access-control-allow-headers": "content-type"}),
        Asked("/writes/x", 204, method="OPTIONS", fields=(
            ("origin", "https://shop.example"), ("access-control-request-method", "POST"),
        )),
        Asked("/", 403, method="OPTIONS", fields=(
            ("origin", "https://shop.example"), ("access-control-request-method", "DELETE"),
        )),
        Asked("/", 403, method="OPTIONS", fields=(
            ("origin", "https://evil.example"), ("access-control-request-method", "GET"),
        )),
        Asked("/", 403, method="OPTIONS", fields=(
            ("origin", "https://shop.example"), ("access-control-request-method", "GET"),
            ("access-control-request-headers", "x-other"),
        )),
        Asked("/", 200, method="OPTIONS"),
        # A browser follows what it may read, and no redirect of a preflight.
        Asked("/moved/x", 308, fields=(("origin", "https://shop.example"),), answered={
            "location": "https://new.example/moved/x", "access-control-allow-origin": "https://shop.example",
            "access-control-allow-credentials": "true", "vary": "origin",
        }),
        Asked("/moved/x", 308, fields=(("origin", "https://evil.example"),), answered={
            "access-control-allow-origin": None, "vary": "origin",
        }),
        Asked("/moved/x", 204, method="OPTIONS", fields=(
            ("origin", "https://shop.example"), ("access-control-request-method", "POST"),
        ), answered={"access-control-allow-methods": "GET, POST", "location": None}),
        Asked("/moved/x", 403, method="OPTIONS", fields=(
            ("origin", "https://evil.example"), ("access-control-request-method", "GET"),
        )),
        Asked("/moved/x", 308, method="OPTIONS"),
        Asked("/bounded/x", 413, method="POST", body=b"x" * 11, fields=(("origin", "https://shop.example"),), answered={
            "access-control-allow-origin": "https://shop.example", "vary": "origin",
        }),
        Asked("/closed", 403, method="OPTIONS", fields=(
            ("origin", "https://shop.example"), ("access-control-request-method", "GET"),
        )),
    ),
)  # fmt: skip
LIMITS = Theme(
    "limits",
    """
[gateway.limits.each]
rate = "1/h"
burst = 4
[gateway.limits.host]
rate = "1/h"
burst = 2
by = "everybody"
[gateway.limits.both]
rate = "1/h"
burst = 1
by = ["address", "route"]
status = 503
[gateway.limits.dry]
rate = "1/h"
dry_run = true
[gateway.routes.one]
path = "/one/*"
limits = ["each", "dry"]
[gateway.routes.all]
path = "/all/*"
limits = ["host"]
[gateway.routes.first]
path = "/first/*"
limits = ["both"]
[gateway.routes.second]
path = "/second/*"
limits = ["both"]
[gateway.routes.two]
path = "/two/*"
limits = ["each", "both"]
""",
    (
        Asked("/one/", {200: 5, 429: 2}, times=7),
        Asked("/one/", {200: 5, 429: 1}, times=6, client="192.0.2.2"),
        Asked("/one/", {200: 5, 429: 1}, times=6, client="2001:db8::1"),
        Asked("/one/", 429, client="2001:db8::2"),
        Asked("/one/", 200, client="2001:db8:0:1::1"),
        Asked("/elsewhere", 200),
        Asked("/all/", 200, client="192.0.2.3"),
        Asked(
            "/all/", {200: 2, 429: 1}, times=3, client="192.0.2.4", answered={"ratelimit-policy": '"host";q=3;w=10800'}
        ),
        Asked("/all/", 429, client="192.0.2.5", answered={"ratelimit": '"host";r=0;t=3600', "retry-after": "3600"}),
        Asked("/first/", {200: 2, 503: 1}, times=3),
        Asked("/second/", {200: 2, 503: 1}, times=3),
        # The second limit refuses, so the first is not charged: all five of it are still there.
        Asked("/two/", {200: 2, 503: 4}, times=6, client="192.0.2.6"),
        Asked("/one/", {200: 3, 429: 1}, times=4, client="192.0.2.6"),
    ),
)
BODIES = Theme(
    "bodies",
    """
[gateway]
body_bytes = 1000
[gateway.routes.large]
path = "/large/*"
body_bytes = 200000
""",
    (
        Asked("/", 200, method="POST", body=b"x" * 1_000),
        Asked("/", 413, method="POST", body=b"x" * 1_001),
        Asked("/large/", 200, method="POST", body=b"x" * 200_000),
        Asked("/large/", 413, method="POST", body=b"x" * 200_001),
        Asked("/", 200, method="POST", body=b"x" * 1_000, chunked=True),
        Asked("/", 413, method="POST", body=b"x" * 1_001, chunked=True),
        Asked("/large/", 200, method="PUT", body=b"x" * 200_000, chunked=True),
        Asked("/large/", 413, method="PUT", body=b"x" * 200_001, chunked=True),
        Asked("/", 200),
    ),
)
FIELDS = Theme(
    "fields",
    """
[gateway.headers]
set = { x-team = "shop" }
remove = ["x-powered-by", "server"]
[gateway.headers.security]
opener_policy = ""
[gateway.request_headers]
set = { x-edge = "eu-1" }
remove = ["x-debug"]
[gateway.routes.own]
path = "/own/*"
headers = { set = { x-own = "1" }, remove = ["x-team"] }
request_headers = { set = { x-edge = "eu-2" } }
""",
    (
        Asked("/", 200, answered={
            "x-team": "shop", "x-content-type-options": "nosniff", "x-frame-options": "SAMEORIGIN",
            "referrer-policy": "strict-origin-when-cross-origin", "cross-origin-opener-policy": None,
            "strict-transport-security": None, "x-powered-by": None, "server": None,
        }),
        Asked("/own/", 200, answered={"x-own": "1", "x-team": None}, seen={"x-edge": "eu-2"}),
        Asked("/x%2F..%2Fadmin", 400, answered={
            "x-team": "shop", "x-content-type-options": "nosniff", "x-frame-options": "SAMEORIGIN", "server": None,
        }),
        Asked("/", 200, fields=(("x-debug", "1"), ("x_edge", "mine"), ("x-edge", "mine"), ("x-kept", "1")), seen={
            "x-edge": "eu-1", "x-debug": None, "x-kept": "1",
        }),
        Asked("/", 200, fields=(
            ("X-Meristem-User", "root"), ("x_meristem_user", "root"), ("X-Meristem_Roles", "boss"),
            ("x_forwarded_for", "203.0.113.1"), ("forwarded_", "kept"), ("Meristem-Route", "open"),
            ("meristem_app", "x"),
        ), seen={
            "meristem-route": None, "meristem_app": None,
            "x-meristem-user": None, "x_meristem_user": None, "x-meristem_roles": None, "x_forwarded_for": None,
            "forwarded_": "kept",
        }),
    ),
)  # fmt: skip
THEMES = (
    PATHS, HOSTS, HTTPS, FIREWALL, BANS, CORS, LIMITS, BODIES, TOKENS, SECRETS, KEYS, FIELDS, OPERATIONS,
)  # fmt: skip
