"""nginx with what is exported for it answers the transcript as the edge does."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.interop.exports.asked_request import Asked, Theme
from tests.interop.exports.fronts import Answered, edge_front, ground, play
from tests.interop.exports.nginx_front import missing, nginx_front
from tests.interop.exports.transcript import THEMES

pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
async def test_each_request_has_the_status_that_the_transcript_tells(theme: Theme, tmp_path: Path):
    async with ground(theme, tmp_path) as known, nginx_front(known) as front:
        wrong = await play(front, theme)
        log = (known.folder / "nginx" / "error.log").read_text()
        assert wrong == [], "\n".join([*wrong, log])
        assert "failed to run" not in log, log
        assert "thread aborted" not in log, log


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
    return answered.status, answered.fields.get("location"), answered.seen.get("path"), answered.seen.get("query")


async def test_whatever_a_target_is_made_of_it_is_on_the_same_route_or_refused(tmp_path: Path):
    """nginx refuses by itself what leads above the root."""
    chance = random.Random(17)
    async with AsyncExitStack() as stack:
        known = await stack.enter_async_context(ground(Theme("maze", MAZE, ()), tmp_path))
        edge = await stack.enter_async_context(edge_front(known))
        nginx = await stack.enter_async_context(nginx_front(known))
        statuses: Counter[int] = Counter()
        for _ in range(400):
            target = chance.choice(STARTS) + "".join(chance.choices(PARTS, k=chance.randint(0, 7)))
            asked = Asked(target, 200, method=chance.choice(["GET", "POST"]), host=chance.choice(HOSTS))
            there, here = await asyncio.gather(edge.ask(asked), nginx.ask(asked))
            statuses[here.status] += 1
            if here.status == 400 and ("." in target or "%2e" in target) and there.status != 400:
                continue
            assert told(here) == told(there), asked
    assert {*statuses} == {200, 301, 302, 307, 400, 403, 421}
