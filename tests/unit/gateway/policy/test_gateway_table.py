"""A `[gateway]` table that can't be meant is refused by key, with what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import pytest

from meristem import App, Contract, Service, System, safe
from meristem.errors import ConfigurationError
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement
from tests.unit.gateway.policy.asked import why_refused


class Money(Contract, Protocol, package="shop.v1"):
    @safe(http="GET /money")
    async def look(self) -> int: ...


class Bank(Service, Money):
    async def look(self) -> int:
        return 1


SOUND = """
[gateway.limits.visitors]
rate = "200/s"
burst = 100

[gateway.routes.site]
path = "/*"
limits = ["visitors"]
"""


def tls(*, before: str = "", **changed: object) -> str:
    """A `[gateway.tls.acme]` that has been changed, before the routes."""
    table = {"directory": "https://ca.example/d", "agree_to_terms": True, "hosts": ["shop.example"]} | changed
    told = "\n".join(f"{name} = {json.dumps(value)}" for name, value in table.items())
    return f"[gateway.tls]\n{before}\n[gateway.tls.acme]\n{told}\n[gateway.routes.site]"


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ('"200/s"', '"200"', "200/s, 30/min"),
        ('"200/s"', '"0/s"', "no rate above zero"),
        ('["visitors"]', '["visitor"]', "there is no [gateway.limits.visitor]; known are visitors"),
        ("burst = 100", "burst = -1", "0 or more"),
        ("burst = 100", "brust = 1", "brust"),
        ('"/*"', '"api"', "a path from its first slash on"),
        ("burst = 100", 'status = 418', "status = 418; give 429 or 503"),
        ("burst = 100", 'by = "me"', '"route" or "everybody", or a list of these'),
        ("burst = 100", 'waiting = "9"', "waiting = '9': expected `int`, got `str`; give at least 1"),
        ('path = "/*"', 'body_bytes = "1 MiB"', "expected `int`, got `str`; give a number of bytes, at least 1"),
        ('"/*"', '"/a%62c"', "without escapes"),
        ('"/*"', '"/a/../b"', "without empty segments"),
        ('path = "/*"', 'app = "web"\npath = "/*"', "have their own paths"),
        ('path = "/*"', 'hosts = ["shop.example:80"]', "a host without a port"),
        ('path = "/*"', 'methods = ["get"]', "a method in capitals"),
        ('path = "/*"', 'operations = ["shop/v1/Payments"]', "shop.v1.Payments.charge"),
        ('path = "/*"', 'redirect = "//evil.example"', "https://www.shop.example"),
        ('path = "/*"', 'redirect = { to = "/new" }', "keep_path = false"),
        ('path = "/*"', 'redirect = { to = "https://x.example", status = 303 }', "303"),
        ("[gateway.routes.site]", "[gateway.routes.all]\n[gateway.routes.site]", "is for the same requests"),
        ('path = "/*"', 'headers = { set = { X-Team = "a" } }', "small letters"),
        ('path = "/*"', 'headers = { set = { content-length = "1" } }', "how a message is read"),
        ('path = "/*"', 'headers = { set = { x-team = "a\\nb" } }', "visible ASCII"),
        ('path = "/*"', 'headers = { set = { x-team = "a" }, remove = ["x-team"] }', "set and removed; keep one"),
        ('path = "/*"', 'request_headers = { set = { x-forwarded-for = "a" } }', "the server's own"),
        ('path = "/*"', 'request_headers = { set = { x-meristem-user = "a" } }', "the server's own"),
        ('path = "/*"', 'cors = { origins = ["*"], credentials = true }', "name the origins"),
        ('path = "/*"', 'cors = { origins = ["shop.example"] }', "https://shop.example"),
        ('path = "/*"', 'cors = { origins = ["*"], max_age = "soon" }', "10 min"),
        ('path = "/*"', "body_bytes = 0", "at least 1"),
        ('path = "/*"', 'timeout = "2"', "500ms, 10s"),
        ('path = "/*"', "retries = 6", "0 to 5"),
        ("[gateway.routes.site]", "[gateway.compression]\nlevel = 10\n[gateway.routes.site]", "1 to 9"),
        ("[gateway.routes.site]", "[gateway.compression]\ncodings = []\n[gateway.routes.site]", "compresses nothing"),
        ("[gateway.routes.site]", '[gateway.compression]\ncodings = ["br", "br"]\n[gateway.routes.site]', "br stands"),
        ("[gateway.routes.site]", '[gateway.compression]\ncodings = ["lz"]\n[gateway.routes.site]', "codings"),
        ("[gateway.routes.site]", '[gateway.tls]\nkey = "a"\n[gateway.routes.site]', "certificate is missing"),
        ("[gateway.routes.site]", '[gateway.tls]\nhttp = ":80"\n[gateway.routes.site]', "a host and a port"),
        ("[gateway.routes.site]", tls(agree_to_terms=False), "agree_to_terms is not true"),
        ("[gateway.routes.site]", tls(hosts=[]), "for which hosts shall the certificate be"),
        ("[gateway.routes.site]", tls(hosts=["*.shop.example"]), "without *, which can't be proved"),
        ("[gateway.routes.site]", tls(hosts=["127.0.0.1"]), "is an address, and certificates are for names"),
        ("[gateway.routes.site]", tls(hosts=[f"h{n}.example" for n in range(101)]), "100 hosts at most"),
        ("[gateway.routes.site]", tls(directory="http://ca.example"), "an https:// URL"),
        ("[gateway.routes.site]", tls(before='key = "a"'), "from files or by ACME, not both"),
        ("[gateway.routes.site]", '[gateway.headers.security]\nx = "a"\n[gateway.routes.site]', "frame_options"),
        ("burst = 100", "burst = 10\ndelay = 11", "delay = 11 is above burst = 10"),
        ("burst = 100", "delay = true", "nothing is ever delayed without a burst"),
        ("burst = 100", 'by = "nobody"', "nobody"),
        ("burst = 100", "by = []", "an empty list counts nothing"),
        ("burst = 100", 'by = ["address", "address"]', "stands there twice"),
        ("burst = 100", 'by = ["address", "everybody"]', "stands alone"),
        ("burst = 100", "waiting = 0", "at least 1"),
        ("burst = 100", 'store = "http://x"', "the address of a Redis"),
        ('["visitors"]', '["visitors", "visitors"]', "visitors stands there twice"),
        ('limits = ["visitors"]', 'concurrency = ["few"]', "there is no [gateway.concurrency.few]; known are none"),
        ("[gateway.routes.site]", "[gateway.concurrency.few]\nrequests = 0\n[gateway.routes.site]", "at least 1"),
    ],
)  # fmt: skip
def test_it_says_what_is_wrong_and_where(tmp_path: Path, before: str, after: str, why: str):
    told = why_refused(tmp_path, SOUND, before, after)
    assert why in told
    assert "gateway" in told


def test_a_route_for_what_the_system_lacks_is_refused_when_it_is_planned():
    system = System("shop", services=[Bank], apps=[App("web", mount="/", target="tests.none:app")])

    def planned(**route: Any) -> Blueprint:
        return Blueprint(system, Placement(gateway=GatewayTable(routes={"one": GatewayRouteTable(**route)})))

    planned(app="web")
    planned(operations=("shop.v1.Money.look", "shop.v1.Money/*"))
    with pytest.raises(ConfigurationError, match=r"placement: \[gateway.routes.one\]: app: .* did you mean 'web'"):
        planned(app="wep")
    with pytest.raises(ConfigurationError, match="Money.look"):
        planned(operations=("shop.v1.Money.lock",))
