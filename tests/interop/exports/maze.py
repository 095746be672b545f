"""Requests whose targets and hosts are made of hostile parts, by which readers of paths are told apart."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.interop.exports.asked_request import Asked, Theme
from tests.interop.exports.fronts import Answered

MAZE = """
[gateway]
hosts = ["shop.example", "*.shop.example"]
[[gateway.firewall.rules]]
action = "deny"
paths = ["/admin/*"]
[gateway.routes.open]
path = "/open/*"
redirect = { to = "/home", status = 302, keep_path = false }
[gateway.routes.orders]
operations = ["shop.v1.Orders.read", "shop.v1.Orders.place"]
redirect = { to = "/orders", status = 307, keep_path = false }
[gateway.routes.site]
app = "site"
hosts = ["*.shop.example"]
redirect = { to = "/site", status = 301, keep_path = false }
"""
PARTS = (
    "/", "/", "/", "//", "..", ".", "%2e", "%2F", "%5c", "\\", ";", "a;b", "admin", "%61dmin", "open", "api", "orders",
    "7", "latest", "x", "~", "%7e", "%c3%a9", "%ff", "%", "%zz", "%00", "%20", "%252e", "%3B", "#", "+", "*", "&", "=",
    "?", "<", '"', "|", "^", "`", "{", ":", "@",
)  # fmt: skip
STARTS = ("/", "/", "/open", "/api/orders/", "/shop.v1.Orders/Read")
HOSTS = (
    "shop.example", "shop.example", "shop.example",
    "shop.example", "a.shop.example", "A.SHOP.example.", "a.shop.example:80", "shop.example:", "[::1]", "[::1]:80",
    ".shop.example", "a_b.shop.example", "*.shop.example", "a.shop.example:x", "a.shop.example:80:90", "[x]",
    "user@a.shop.example", "evil.example",
)  # fmt: skip


def told(answered: Answered) -> tuple[object, ...]:
    """What has to be the same: the status, where it leads, and what the part behind was asked."""
    return answered.status, answered.fields.get("location"), answered.seen.get("path"), answered.seen.get("query")


def maze() -> Theme:
    """The policy, and 400 requests: the same each time."""
    return Theme("maze", MAZE, (*_asked(random.Random(17), 400),))


def _asked(chance: random.Random, number: int) -> Iterator[Asked]:
    for _ in range(number):
        target = chance.choice(STARTS) + "".join(chance.choices(PARTS, k=chance.randint(0, 7)))
        yield Asked(target, 200, method=chance.choice(["GET", "POST"]), host=chance.choice(HOSTS))
