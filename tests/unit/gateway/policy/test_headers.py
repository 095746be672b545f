"""What answers are given and lose, what apps find in requests, and which pages of other origins may read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from meristem.asgi import respond
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.header_table import AnswerHeaderTable, CorsTable, HeaderTable, SecurityHeaders
from meristem.gateway.policy.limit_tables import RateLimitTable
from meristem.gateway.policy.route_table import GatewayRouteTable
from tests.unit.gateway.policy.edge_server import edge

if TYPE_CHECKING:
    from tests.unit.gateway.policy.edge_server import Answer

SAID: list[tuple[bytes, bytes]] = [
    (b"server", b"secret/1.0"),
    (b"x-powered-by", b"magic"),
    (b"x-frame-options", b"DENY"),
    (b"x-inner", b"1"),
    (b"access-control-allow-origin", b"*"),
]


async def app(scope: Any, receive: Any, send: Any) -> None:
    found = {name.decode(): value.decode() for name, value in scope["headers"]}
    await respond(send, 200, b"application/json", json.dumps(found).encode(), SAID, method=scope["method"])


async def test_browsers_are_told_what_is_safe_and_an_app_s_own_word_wins():
    async with edge(GatewayTable(), app) as there:
        answer = await there.ask()
        head = await there.ask("HEAD")
    assert answer.fields["x-content-type-options"] == "nosniff"
    assert answer.fields["referrer-policy"] == "strict-origin-when-cross-origin"
    assert answer.fields["cross-origin-opener-policy"] == "same-origin"
    assert [value for name, value in answer.lines if name == "x-frame-options"] == ["DENY"]
    assert "server" not in answer.fields
    assert "x-powered-by" not in answer.fields
    assert "strict-transport-security" not in answer.fields, "that is for TLS"
    assert head.lines == answer.lines


async def test_over_tls_browsers_are_told_to_stay_there():
    async with edge(GatewayTable(), app, trusted_proxies=("127.0.0.1",)) as there:
        answer = await there.ask(x_forwarded_for="192.0.2.1", x_forwarded_proto="https")
    assert answer.fields["strict-transport-security"] == "max-age=31536000"


async def test_each_can_be_turned_off_and_rules_set_and_remove():
    off = SecurityHeaders("", "", "", "", "")
    table = GatewayTable(
        headers=AnswerHeaderTable(set={"x-team": "shop", "x-both": "all"}, remove=("x-inner",), security=off),
        request_headers=HeaderTable({"x-edge": "yes"}, ("x-debug",)),
        routes={
            "one": GatewayRouteTable(
                "/one",
                headers=HeaderTable({"x-both": "one"}, ("x-team", "x-frame-options")),
                request_headers=HeaderTable({"x-edge": "one"}),
            )
        },
    )
    async with edge(table, app) as there:
        client = await there.connect()
        for _ in range(2):  # the second time the head is known
            everywhere = await client.ask(x_debug="1", X_Edge="mine", X_EDGE="mine")
        one = await there.ask(path="/one")
    names = [name for name, _ in everywhere.lines]
    assert sorted(names) == ["access-control-allow-origin", "content-length", "content-type", "date", "server",
                             "x-both", "x-frame-options", "x-powered-by", "x-team"]  # fmt: skip
    assert everywhere.fields["x-both"] == "all"
    found = json.loads(everywhere.body)
    assert found["x-edge"] == "yes"
    assert "x-debug" not in found
    assert one.fields["x-both"] == "one"
    assert "x-team" not in one.fields
    assert "x-frame-options" not in one.fields
    assert json.loads(one.body)["x-edge"] == "one"


async def test_a_field_with_an_underscore_does_not_pass_for_one_that_is_set():
    table = GatewayTable(request_headers=HeaderTable({"x-edge": "yes"}))
    async with edge(table, app) as there:
        client = await there.connect()
        client.send(b"GET / HTTP/1.1\r\nhost: x\r\nx_edge: mine\r\n\r\n")
        found = json.loads((await client.answer()).body)
    assert found == {"host": "x", "x-edge": "yes"}


CORS = CorsTable(
    origins=("https://shop.example", "https://*.shop.example"),
    methods=("GET", "PUT"),
    headers=("x-team", "content-type"),
    credentials=True,
    expose=("x-inner",),
)


def of_origins(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.lines if name.startswith("access-control") or name == "vary"}


@pytest.mark.parametrize("origin", ["https://shop.example", "https://www.shop.example", "https://a.b.shop.example"])
async def test_a_preflight_is_answered_at_the_edge(origin: str):
    async with edge(GatewayTable(cors=CORS), app) as there:
        answer = await there.ask(
            "OPTIONS",
            origin=origin,
            access_control_request_method="PUT",
            access_control_request_headers="content-type,x-team",
        )
        read = await there.ask(origin=origin)
    assert answer.status == 204
    assert of_origins(answer) == {
        "vary": "origin, access-control-request-method, access-control-request-headers",
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-allow-methods": "GET, PUT",
        "access-control-allow-headers": "content-type, x-team",
        "access-control-max-age": "600",
    }
    assert read.status == 200
    assert of_origins(read) == {
        "vary": "origin",
        "access-control-allow-origin": origin,
        "access-control-allow-credentials": "true",
        "access-control-expose-headers": "x-inner",
    }
    assert [each for each, _ in read.lines].count("access-control-allow-origin") == 1


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "http://shop.example", "https://shop.example.evil.example", "https://xshop.example",
     "https://shopxexample", "null", "https://.shop.example", "https://evil.example/.shop.example", "*"],
)  # fmt: skip
async def test_another_origin_is_told_nothing(origin: str):
    async with edge(GatewayTable(cors=CORS), app) as there:
        preflight = await there.ask("OPTIONS", origin=origin, access_control_request_method="GET")
        read = await there.ask(origin=origin)
    assert preflight.status == 403
    assert "access-control-allow-origin" not in preflight.fields
    assert read.status == 200
    assert of_origins(read) == {"vary": "origin"}


async def test_a_method_or_a_field_that_is_not_named_is_refused_and_any_origin_is_any():
    async with edge(GatewayTable(cors=CorsTable(("*",))), app) as there:
        delete = await there.ask("OPTIONS", origin="https://a.example", access_control_request_method="DELETE")
        field = await there.ask(
            "OPTIONS",
            origin="https://a.example",
            access_control_request_method="GET",
            access_control_request_headers="x-secret",
        )
        read = await there.ask(origin="https://a.example")
        plain = await there.ask("OPTIONS")
    assert (delete.status, field.status) == (403, 403)
    assert "x-secret" in json.loads(field.body)["detail"]
    assert of_origins(read) == {"access-control-allow-origin": "*"}
    assert plain.status == 200, "what is no preflight is the app's"


async def test_a_page_of_another_origin_can_read_why_it_was_refused():
    routes = {"all": GatewayRouteTable(limits=("few",))}
    table = GatewayTable({"few": RateLimitTable("1/d")}, routes, cors=CORS)
    async with edge(table, app) as there:
        answers = [await there.ask(origin="https://shop.example") for _ in range(2)]
    assert [each.status for each in answers] == [200, 429]
    assert answers[1].fields["access-control-allow-origin"] == "https://shop.example"
    assert answers[1].fields["x-content-type-options"] == "nosniff"
