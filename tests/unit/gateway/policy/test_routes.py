"""Each request finds one route, by path, host and method; no spelling of a path or a host leads around it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from meristem.asgi import respond
from meristem.errors import ConfigurationError
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.limit_tables import RateLimitTable
from meristem.gateway.policy.part_paths import OperationPath, PartPaths
from meristem.gateway.policy.route_choice import RouteChoice
from meristem.gateway.policy.route_table import GatewayRouteTable, RedirectTable
from meristem.hosting.asgi.mounts import Mounts
from meristem.resilience.limits import Limits
from meristem.transports.http.server.http_server import HttpServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PARTS = PartPaths(
    {"web": "/shop", "site": "/"},
    {
        "shop.v1.Payments.charge": OperationPath("/shop.v1.Payments/Charge", "POST", "/payments/{id}"),
        "shop.v1.Payments.seen": OperationPath("/shop.v1.Payments/Seen", "GET", "/payments/{id}"),
        "shop.v1.Payments.hidden": OperationPath("/shop.v1.Payments/Hidden"),
        "shop.v1.Payments.all": OperationPath("/shop.v1.Payments/All", "GET", "/payments/all"),
        "shop.v1.Rooms.free": OperationPath("/shop.v1.Rooms/Free", "GET", "/rooms"),
    },
)


def route(**said: Any) -> GatewayRouteTable:
    return GatewayRouteTable(**said)


def chooser(**routes: GatewayRouteTable) -> Callable[..., str]:
    choice = RouteChoice(routes, {name: name for name in routes}, "*", PARTS)
    return lambda path, host="shop.example", method="GET": choice.find(path.encode(), path.encode(), host, method)


def test_the_longest_path_counts_then_the_closest_host_then_the_method():
    find = chooser(
        all=route(),
        api=route(path="/api/*"),
        one=route(path="/api/one"),
        there=route(path="/api/*", hosts=("*.example",)),
        here=route(path="/api/*", hosts=("Shop.Example",)),
        posts=route(path="/api/*", methods=("POST", "PUT")),
        reads=route(path="/api/one", methods=("GET",)),
    )
    assert find("/x") == "all"
    assert find("/api/x") == "here"
    assert find("/api/x", "other.example") == "there"
    assert find("/api/x", "a.other.example") == "there"
    assert find("/api/x", "example") == "api"
    assert find("/api/x", "elsewhere") == "api"
    assert find("/api/x", "elsewhere", "POST") == "posts"
    assert find("/api/one", "elsewhere") == "reads"
    assert find("/api/one", "elsewhere", "HEAD") == "reads"
    assert find("/api/one/", "elsewhere", "PUT") == "one"
    assert find("/api", "elsewhere") == "api"
    assert find("/apix", "elsewhere") == "all"
    assert find("*", method="OPTIONS") == "all"


def test_a_part_stands_for_where_it_is_served():
    find = chooser(
        web=route(app="web"),
        money=route(operations=("shop.v1.Payments/*",)),
        charge=route(operations=("shop.v1.Payments.charge",)),
        site=route(app="site"),
    )
    assert find("/shop/x") == find("/shop") == "web"
    assert find("/shop.v1.Payments/Charge", method="POST") == "charge"
    assert find("/shop.v1.Payments/Hidden", method="POST") == "money"
    assert find("/api/payments/17", method="POST") == find("/api/payments/17/", method="POST") == "charge"
    assert find("/api/payments/17") == find("/api/payments/17", method="HEAD") == "money"
    assert find("/api/payments/17", method="PUT") == find("/api/rooms") == "site"


def test_a_route_of_an_operation_holds_for_what_that_answers_and_nothing_beside_it():
    """What it lets in must not reach another operation, nor an app that answers all that nobody else does."""
    find = chooser(
        open=route(operations=("shop.v1.Payments.seen", "shop.v1.Rooms/*")),
        web=route(app="web"),
        strict=route(),
    )
    assert find("/api/payments/17") == find("/shop.v1.Payments/Seen") == find("/shop.v1.Rooms/Free") == "open"
    assert find("/api/payments/all") == find("/api/payments/all/") == find("/api/payments/%61ll") == "strict"
    assert find("/shop.v1.Rooms/Other") == find("/shop.v1.Rooms/Free/") == find("/shop.v1.Payments/Seen/x") == "strict"
    choice = RouteChoice({"open": route(app="web")}, {"open": "open"}, "strict", PARTS)
    for served, seen, found in (
        (b"/shop;v=1/x", b"/shop/x", "strict"),
        (b"/shop\\x", b"/shop/x", "strict"),
        (b"/shop%2Fx", b"/shop/x", "open"),
        (b"/shop/x;v=1", b"/shop/x", "open"),
    ):
        assert choice.find(seen, served, "shop.example", "GET") == found
    choice = RouteChoice({"open": route(operations=("shop.v1.Rooms.free",))}, {"open": "open"}, "strict", PARTS)
    assert choice.find(b"/shop.v1.Rooms/Free", b"/shop.v1.Rooms/Free;x", "shop.example", "POST") == "strict"


@pytest.mark.parametrize(
    ("routes", "why"),
    [
        (
            {"one": route(app="wep")},
            "[gateway.routes.one]: app: no app or program 'wep' is mounted",
        ),
        ({"one": route(operations=("shop.v1.Payments.chare",))}, "did you mean 'shop.v1.Payments.charge'"),
        ({"one": route(operations=("shop.v1.Payment/*",))}, "did you mean 'shop.v1.Payments/*'"),
        (
            {"one": route(app="site"), "two": route()},
            "routes.two]: path: [gateway.routes.one] is for the same",
        ),
        (
            {"one": route(path="/a", methods=("GET", "PUT")), "two": route(path="/a/", methods=("PUT",))},
            "[gateway.routes.two]: path:",
        ),
    ],
)
def test_what_names_nothing_or_the_same_is_refused(routes: dict[str, GatewayRouteTable], why: str):
    with pytest.raises(ConfigurationError) as raised:
        RouteChoice(routes, routes, None, PARTS)
    assert why in str(raised.value)


async def told(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await respond(send, 200, b"text/plain", f"admin {scope['path']}".encode())


async def other(scope: Any, receive: Any, send: Any) -> None:
    await respond(send, 200, b"text/plain", f"other {scope['path']}".encode())


@asynccontextmanager
async def serving(table: GatewayTable, **limits: Any) -> AsyncIterator[Callable[[bytes], Any]]:
    """Sends bytes to a server with such a table; gives the status, the head and the body of its answer."""
    server = HttpServer({}, Mounts({"/admin": told, "/": other}), policy=Gatekeeper(table), limits=Limits(**limits))
    await server.start("tcp://127.0.0.1:0", public=True)
    port = int(server.addresses[0].rpartition(":")[2])

    async def ask(request: bytes) -> tuple[int, str, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = (await asyncio.wait_for(_whole(reader), 30)).decode()
        writer.close()
        head, _, body = answer.partition("\r\n\r\n")
        return int(head.split(" ")[1]), head.lower(), body

    yield ask
    await server.stop()


async def _whole(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next((int(each[15:]) for each in head.split(b"\r\n") if each.startswith(b"content-length:")), 0)
    return head + (await reader.readexactly(length) if length else b"")


SPELLINGS = [
    b"/admin/", b"/admin", b"//admin/", b"///admin//", b"/./admin/", b"/x/../admin/", b"/%61dmin/", b"/%41/../admin/",
    b"/x/%2e%2e/admin/", b"/admin/.", b"/admin/x/..", b"/../admin/", b"/admin%2f", b"/admin%2Fx", b"/admin;v=1/",
    b"/%2e/admin/", b"/x/..%2f/admin/", b"/x%2f../admin/", b"/admin\\x", b"/admin%5Cx", b"http://h/admin/",
    b"HTTP://H:80/%61dmin/", b"/admin/?a=/../x", b"/admin%20/../admin/", b"/%2fadmin/", b"/x/..;/admin/",
    b"/admin%3b/", b"/%E1admin/../admin/", b"/admin%00/",
]  # fmt: skip


async def test_no_spelling_of_a_path_leads_around_its_route():
    """The route lets one request through: whatever comes after it to the app or into its paths is refused."""
    table = GatewayTable(
        {"none": RateLimitTable("1/d")},
        {"admin": route(path="/admin/*", limits=("none",))},
    )
    async with serving(table) as ask:
        assert (await ask(b"GET /admin/ HTTP/1.1\r\nhost: h\r\n\r\n"))[0] == 200
        for spelling in SPELLINGS:
            for host in (b"h", b"H:80", b"h."):
                status, _, body = await ask(b"GET %b HTTP/1.1\r\nhost: %b\r\n\r\n" % (spelling, host))
                assert status in (429, 400), (spelling, status, body)
            status, _, body = await ask(b"GET %b HTTP/1.0\r\n\r\n" % spelling)
            assert status in (429, 400), (spelling, status, body)
        assert (await ask(b"GET /%2561dmin/ HTTP/1.1\r\nhost: h\r\n\r\n"))[2] == "other /%61dmin/"


@pytest.mark.parametrize(
    "path", [b"/open;v=1", b"/open;v=1/x", b"/open\\x", b"/open%5Cx", b"/open%3Bv/x", b"/open%3bv"]
)
async def test_a_path_that_is_on_one_route_or_another_by_how_it_is_read_is_refused(path: bytes):
    """An app that takes all of it for a name would answer what the route of another path lets in."""
    table = GatewayTable(
        {"none": RateLimitTable("1/d")}, {"all": route(limits=("none",)), "open": route(path="/open/*")}
    )
    async with serving(table) as ask:
        assert (await ask(b"GET /x HTTP/1.1\r\nhost: h\r\n\r\n"))[0] == 200
        assert (await ask(b"GET /open/x;v=1 HTTP/1.1\r\nhost: h\r\n\r\n"))[0] == 200
        assert (await ask(b"GET %b HTTP/1.1\r\nhost: h\r\n\r\n" % path))[0] == 400


async def test_a_preflight_that_an_app_would_answer_is_on_the_route_of_its_own_method():
    """Else what is let in for GET would be let in for OPTIONS, by a word of the client."""
    table = GatewayTable(
        {"none": RateLimitTable("1/d")}, {"reads": route(methods=("GET",)), "rest": route(limits=("none",))}
    )
    asked = b"OPTIONS /x HTTP/1.1\r\nhost: h\r\norigin: https://h\r\naccess-control-request-method: GET\r\n\r\n"
    async with serving(table) as ask:
        assert [(await ask(asked))[0] for _ in range(2)] == [200, 429]


async def test_what_an_app_is_given_is_the_path_that_was_looked_at():
    async with serving(GatewayTable()) as ask:
        assert (await ask(b"GET //x/.././%61dmin//y HTTP/1.1\r\nhost: h\r\n\r\n"))[2] == "admin /admin/y"
        assert (await ask(b"GET /a%20b/c%2Fd HTTP/1.1\r\nhost: h\r\n\r\n"))[2] == "other /a b/c/d"


async def test_other_hosts_are_misdirected_but_the_probe_is_answered():
    table = GatewayTable(hosts=("shop.example", "*.shop.example"))
    async with serving(table) as ask:
        for host in (b"shop.example", b"SHOP.Example:8080", b"www.shop.example", b"shop.example."):
            assert (await ask(b"GET / HTTP/1.1\r\nhost: %b\r\n\r\n" % host))[0] == 200, host
        for host in (
            b"evil.example",
            b"shop.example.evil",
            b"xshop.example",
            b".shop.example",
            b"10.0.0.1",
            b"[::1]:1",
        ):
            assert (await ask(b"GET / HTTP/1.1\r\nhost: %b\r\n\r\n" % host))[0] == 421, host
        assert (await ask(b"GET / HTTP/1.0\r\n\r\n"))[0] == 421
        assert (await ask(b"GET http://evil.example/ HTTP/1.1\r\nhost: shop.example\r\n\r\n"))[0] == 421
        assert (await ask(b"GET /health HTTP/1.1\r\nhost: 10.0.0.1:80\r\n\r\n"))[0] == 200
        assert (await ask(b"GET /health;/x HTTP/1.1\r\nhost: 10.0.0.1:80\r\n\r\n"))[0] in (400, 421)


async def test_what_comes_without_tls_is_sent_to_it_and_a_trusted_proxy_is_believed():
    table = GatewayTable(https=True)
    plain = b"GET /a//b?c=d HTTP/1.1\r\nhost: Shop.example:8080\r\n%b\r\n"
    async with serving(table) as ask:
        status, head, _ = await ask(plain % b"x-forwarded-proto: https\r\n")
        assert status == 308
        assert "location: https://shop.example/a/b?c=d\r\n" in head
        assert (await ask(b"GET / HTTP/1.0\r\n\r\n"))[0] == 400
    async with serving(table, trusted_proxies=("127.0.0.1",)) as ask:
        told = b"x-forwarded-for: 192.0.2.1\r\nx-forwarded-proto: %b\r\n"
        assert (await ask(plain % (told % b"https")))[0] == 200
        assert (await ask(plain % (told % b"http")))[0] == 308


async def test_a_route_can_send_elsewhere():
    routes = {
        "old": route(path="/old/*", redirect="https://www.shop.example"),
        "gone": route(path="/gone", redirect=RedirectTable("/new", 302, keep_path=False, keep_query=False)),
        "bare": route(hosts=("shop.example",), redirect="https://www.shop.example/"),
    }
    async with serving(GatewayTable(routes=routes)) as ask:
        found = [
            await ask(b"GET %b HTTP/1.1\r\nhost: shop.example\r\n\r\n" % path)
            for path in (b"/old/%2e./old//x?a=b", b"/gone?a=b", b"//evil.example/x")
        ]
    assert [each[0] for each in found] == [308, 302, 308]
    assert "location: https://www.shop.example/old/x?a=b\r\n" in found[0][1]
    assert "location: /new\r\n" in found[1][1]
    assert "location: https://www.shop.example/evil.example/x\r\n" in found[2][1]
