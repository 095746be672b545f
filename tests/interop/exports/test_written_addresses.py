"""However a trusted proxy writes the address of a client, it is one client, at the edge and at nginx."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.interop.exports.asked_request import Asked, Theme
from tests.interop.exports.fronts import Front, Ground, edge_front, ground, play
from tests.interop.exports.nginx_front import missing, nginx_front

OF_TWO = (("x-forwarded-proto", "https, http"),)  # the client's own proxy spoke TLS, the one before us does not
WRITTEN = Theme(
    "written",
    """
[gateway.limits.one]
rate = "1/h"
[gateway.routes.one]
path = "/one"
limits = ["one"]
[gateway.headers.security]
transport_security = "max-age=1"
[[gateway.firewall.rules]]
action = "deny"
addresses = ["203.0.113.0/24"]
""",
    (
        Asked("/one", 200, client="198.51.100.7"),
        Asked("/one", 429, client="198.51.100.7:4711"),
        Asked("/one", 429, client="::ffff:198.51.100.7"),
        Asked("/one", 429, client="[::FFFF:c633:6407]:80"),
        Asked("/one", 429, client="192.0.2.1, 198.51.100.7:80, 127.0.0.1:99"),
        Asked("/one", 200, client="::ffff:198.51.100.8"),
        Asked("/one", 429, client="198.51.100.8"),
        Asked("/one", 200, client="[2001:DB8:0:7::1]:443"),
        Asked("/one", 429, client="2001:0db8:0000:0007:0000:0000:0000:0002"),
        Asked("/", 403, client="203.0.113.5:88"),
        Asked("/", 403, client="::ffff:203.0.113.5"),
        *(
            Asked("/", 200, client=each, fields=OF_TWO, answered={"strict-transport-security": "max-age=1"})
            for each in ("192.0.2.1, 127.0.0.1", "192.0.2.1:8, 127.0.0.1:9", "[2001:db8::1]:8, [::ffff:127.0.0.1]:9")
        ),
        Asked("/", 200, client="192.0.2.1, nonsense:9", fields=OF_TWO, answered={"strict-transport-security": None}),
    ),
)
needs_nginx = pytest.mark.skipif(missing() is not None, reason=str(missing()))


@pytest.mark.parametrize("made", [edge_front, pytest.param(nginx_front, marks=needs_nginx)])
async def test_a_client_is_one_however_it_is_written(
    made: Callable[[Ground], AbstractAsyncContextManager[Front]], tmp_path: Path
):
    async with ground(WRITTEN, tmp_path) as known, made(known) as front:
        assert await play(front, WRITTEN) == []
