"""A route lets in whom it asks for: each refusal says why, is counted, and never has the credential in it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from meristem.asgi import respond
from meristem.gateway.identity.api_keys import new_key, read_keys, write_keys
from meristem.gateway.identity.key_ring import KeyRing, read_used
from meristem.gateway.policy.authentication import Authenticator
from meristem.gateway.policy.firewall_table import BanTable, FirewallTable
from meristem.gateway.policy.gatekeeper import Gatekeeper
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.identity_tables import KeysTable
from meristem.gateway.policy.limit_tables import RateLimitTable
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.transports.http.rest.interface import RestInterface
from meristem.transports.http.server.http_server import HttpServer
from tests.suites.issuing import RSA, Clock, Provider, claims, known, signed
from tests.suites.shop import RoomsHandlers
from tests.unit.gateway.policy.asked import request, statuses

ROUTES = {
    "open": GatewayRouteTable("/open/*", require="anybody"),
    "users": GatewayRouteTable("/users/*", require="user"),
    "keys": GatewayRouteTable("/keys/*", require="key"),
    "both": GatewayRouteTable("/both/*", require="user or key"),
    "clerks": GatewayRouteTable("/clerks/*", require="user or key", roles=("clerk", "boss")),
    "scoped": GatewayRouteTable("/scoped/*", require="user or key", scopes=("orders:read", "orders:write")),
    "rpc": GatewayRouteTable("/shop.rooms.v1.Rooms/*", require="user"),
    "rest": GatewayRouteTable("/api/*", require="user"),
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Tells whom the gateway has found."""
    user = scope["state"].get("user")
    await respond(send, 200, b"text/plain", b"" if user is None else f"{user.subject} {user.tenant}".encode())


class Door:
    def __init__(self, tmp_path: Path) -> None:
        self.path = tmp_path / "keys.json"
        self.provider = Provider(RSA)
        self.clock = Clock()
        issuers, self.issuer_keys = known(self.provider, self.clock, roles="roles", tenant="org")
        self.ring = KeyRing(self.path, tmp_path / "used.json", self.clock)
        self.authenticator = Authenticator(issuers, self.ring, (self.ring,))
        self.gatekeeper = Gatekeeper(GatewayTable(routes=ROUTES, keys=KeysTable()), authenticator=self.authenticator)
        self.handlers = RoomsHandlers()
        self.client: httpx.AsyncClient

    def key(self, name: str = "shop", **granted: Any) -> str:
        made, key = new_key(name, **granted)
        write_keys(self.path, [*read_keys(self.path), made])
        self.clock.now += 1
        return key

    async def status(self, path: str, bearer: str | None = None, **fields: str) -> int:
        return (await self.get(path, bearer, **fields)).status_code

    async def get(self, path: str, bearer: str | None = None, **fields: str) -> httpx.Response:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if bearer is not None:
            headers["authorization"] = f"Bearer {bearer}"
        return await self.client.get(path, headers=headers)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    async with opened(Door(tmp_path)) as found:
        yield found


@asynccontextmanager
async def opened(door: Door) -> AsyncIterator[Door]:
    routes = door.handlers.endpoints()

    async def nobody(token: str) -> None:
        raise AssertionError(f"asked once more, of {len(token)} characters")

    rest = RestInterface(routes.values())
    server = HttpServer(routes, app, interfaces=[rest], policy=door.gatekeeper, authenticate=nobody)
    await door.authenticator.start()
    await server.start("tcp://127.0.0.1:0", public=True)
    base = server.addresses[0].replace("tcp", "http")
    async with httpx.AsyncClient(base_url=base, timeout=30) as door.client:
        yield door
    await server.stop()
    await door.authenticator.stop()


def token(**others: Any) -> str:
    return signed(RSA, "RS256", claims(**others))


async def test_each_route_lets_in_whom_it_asks_for(door: Door):
    key, user = door.key(), token()
    found = {
        path: [await door.status(f"/{path}/x", each) for each in (None, user, key)]
        for path in ("open", "users", "keys", "both", "elsewhere")
    }
    assert found == {
        "open": [200, 200, 200],
        "users": [401, 200, 403],
        "keys": [401, 403, 200],
        "both": [401, 200, 200],
        "elsewhere": [200, 200, 200],
    }


async def test_the_refusals_are_those_of_the_standard_and_counted(door: Door):
    nothing = await door.get("/users/x")
    expired = await door.get("/users/x", token(exp=1))
    scoped = await door.get("/scoped/x", token(scope="orders:read"))
    assert (nothing.status_code, nothing.headers["www-authenticate"]) == (401, "Bearer")
    assert expired.status_code == 401
    assert expired.headers["www-authenticate"] == (
        'Bearer error="invalid_token", error_description="the token has expired"'
    )
    assert expired.headers["cache-control"] == "no-store"
    assert expired.json()["detail"] == "the token has expired"
    assert scoped.status_code == 403
    assert scoped.headers["www-authenticate"] == ('Bearer error="insufficient_scope", scope="orders:read orders:write"')
    counts = door.gatekeeper.counts
    assert counts["users", "credentials"] == 1
    assert counts["users", "token"] == 1
    assert counts["scoped", "permission"] == 1


async def test_roles_and_scopes_are_asked_for(door: Door):
    both = "orders:read orders:write"
    found = [
        await door.status("/clerks/x", token(roles=["guest"])),
        await door.status("/clerks/x", token(roles=["guest", "boss"])),
        await door.status("/clerks/x", door.key("a", roles=("clerk",))),
        await door.status("/scoped/x", token(scope=both)),
        await door.status("/scoped/x", door.key("b", scopes=tuple(both.split()))),
        await door.status("/scoped/x", door.key("c", scopes=("orders:write",))),
    ]
    assert found == [403, 200, 200, 200, 200, 403]


async def test_apps_are_told_who_it_is_and_a_repeated_head_is_asked_about_anew(door: Door):
    key = door.key(tenant="acme")
    seen = [(await door.get("/open/x", each)).text for each in (key, key, None, token(org="umbrella"), None)]
    assert seen == ["key:shop acme", "key:shop acme", "", "u-1 umbrella", ""]


async def test_rpc_and_rest_have_the_user_and_nobody_verifies_the_token_again(door: Door):
    headers = {"authorization": f"Bearer {token(org='acme')}"}
    rpc = await door.client.post("/shop.rooms.v1.Rooms/Mine", json={}, headers=headers)
    rest = await door.client.get("/api/mine", headers=headers)
    assert (rpc.status_code, rest.status_code) == (200, 200)
    assert [(each.user.subject, each.user.tenant) for each in door.handlers.contexts] == [("u-1", "acme")] * 2


async def test_a_key_is_taken_by_either_field_but_not_two_credentials(door: Door):
    key = door.key()
    found = [
        await door.status("/keys/x", x_api_key=key),
        await door.status("/keys/x", key),
        await door.status("/keys/x", token(), x_api_key=key),
        await door.status("/keys/x", x_api_key=token()),
        await door.status("/keys/x", x_api_key=key[:-1] + ("a" if key[-1] != "a" else "b")),
        await door.status("/keys/x", x_api_key=key + "a"),
        await door.status("/open/x", x_api_key="mk_0123456789abcdef_nothing"),
        await door.status("/open/x", "nonsense"),
        await door.status("/open/x", authorization="Bearer"),
    ]
    assert found == [200, 200, 401, 401, 401, 401, 401, 401, 401]


async def test_a_key_that_is_made_or_revoked_counts_at_once(door: Door):
    key = door.key()
    assert await door.status("/keys/x", key) == 200
    write_keys(door.path, [])
    door.clock.now += 0.25
    assert await door.status("/keys/x", key) == 401
    door.path.unlink()
    assert await door.status("/keys/x", door.key("other")) == 200
    assert len(read_used(door.path.with_name("used.json"))) == 1
    await door.ring.stop()
    assert len(read_used(door.path.with_name("used.json"))) == 2


async def test_a_file_that_can_not_be_read_leaves_the_keys_as_they_were(door: Door, caplog: pytest.LogCaptureFixture):
    key = door.key()
    assert await door.status("/keys/x", key) == 200
    door.path.write_text("{")
    door.clock.now += 1
    assert await door.status("/keys/x", key) == 200
    assert "can't be read" in caplog.text


async def test_each_key_and_each_tenant_has_a_limit_of_its_own(door: Door):
    limits = {"keys": RateLimitTable("1/h", by="api_key"), "tenants": RateLimitTable("1/h", by="tenant")}
    routes = {
        "keys": GatewayRouteTable("/keys/*", require="key", limits=("keys",)),
        "tenants": GatewayRouteTable("/tenants/*", require="user or key", limits=("tenants",)),
    }
    table = GatewayTable(limits=limits, routes=routes, keys=KeysTable())
    door.gatekeeper = Gatekeeper(table, authenticator=door.authenticator)
    first, second = door.key("first", tenant="acme"), door.key("second", tenant="umbrella")
    async with opened(door):
        assert [await door.status("/keys/x", each) for each in (first, first, second)] == [200, 429, 200]
        tenants = (first, token(org="acme"), second, token(org="other"))
        assert [await door.status("/tenants/x", each) for each in tenants] == [200, 429, 200, 200]


async def test_what_is_answered_to_somebody_is_for_no_cache_of_many(door: Door):
    key = door.key()
    for path in ("/both/x", "/open/x", "/api/mine"):
        sent = token() if path == "/api/mine" else key
        for _ in range(2):  # also where the head is known
            assert "private" in (await door.get(path, sent)).headers.get_list("cache-control")
    assert "cache-control" not in (await door.get("/open/x")).headers


async def test_a_credential_that_does_not_hold_counts_towards_a_ban_and_a_missing_one_does_not(door: Door):
    """A page whose session has ended asks on without one, and nobody is banned for that."""
    firewall = FirewallTable(ban=BanTable(violations=3))
    table = GatewayTable(routes=ROUTES, keys=KeysTable(), firewall=firewall)
    gatekeeper = Gatekeeper(table, authenticator=door.authenticator)
    assert gatekeeper.bans is not None
    unfit = (request(path="/users/x"), request(path="/clerks/x", x_api_key=door.key()))
    assert await statuses(gatekeeper, *unfit * 5) == [401, 403] * 5
    assert not gatekeeper.bans.bans()
    forged = request(path="/users/x", authorization="Bearer mk_no")
    assert await statuses(gatekeeper, *[forged] * 4) == [*[401] * 3, 403]
    assert len(gatekeeper.bans.bans()) == 1


async def test_a_key_ends(door: Door):
    over = door.key(expires=datetime.now(UTC) - timedelta(seconds=1))
    answer = await door.get("/keys/x", over)
    assert (answer.status_code, answer.json()["detail"]) == (401, "the API key has expired")


async def test_while_no_key_of_the_issuer_was_read_its_tokens_are_put_off_and_all_else_goes_on(door: Door):
    door.provider.is_there = False
    answer = await door.get("/users/x", token())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert await door.status("/keys/x", door.key()) == 200
    door.provider.is_there = True
    door.clock.now += 6
    assert await door.status("/users/x", token()) == 200


async def test_no_credential_is_ever_logged(door: Door, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    for each in (token(), token(exp=1), token() + "x", door.key(), "mk_0123456789abcdef_0123456789"):
        answer = await door.get("/users/x", each)
        assert each not in answer.text
        assert each not in str(answer.headers)
        assert each.rpartition(".")[2][-20:] not in caplog.text
    assert not [each for each in door.gatekeeper.counts if len(each[1]) > 20]
