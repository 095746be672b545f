"""Whom the gateway has found is known where a request ends up, behind the edge too, and nobody else can say it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import flask
import msgspec
import pytest
from fastapi import FastAPI, Request
from wsproto import ConnectionType, WSConnection
from wsproto.events import RejectConnection, TextMessage
from wsproto.events import Request as Handshake

from meristem import App, Identity, System, current
from meristem.gateway.identity.api_keys import new_key, write_keys
from meristem.gateway.identity.credential import Credential
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.identity_tables import KeysTable, SignInTable
from meristem.gateway.policy.route_table import GatewayRouteTable
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint
from meristem.system.placement import Placement

from .conftest import PATIENCE

USER = {
    "x-meristem-user": "key:shop",
    "x-meristem-name": "shop",
    "x-meristem-roles": "clerk",
    "x-meristem-tenant": "acme",
}
CLAIMED = {"X-Meristem-User": "root", "X_Meristem_User": "root", "X-Meristem_Roles": "admin", "Remote-User": "root"}


def told(headers: Any) -> dict[str, Any]:
    user = current().user
    return {
        "fields": {name.lower(): value for name, value in headers.items() if "meristem" in name.lower()},
        "user": None if user is None else [user.subject, user.name, [*user.roles], user.tenant],
    }


def pages() -> flask.Flask:
    app = flask.Flask("pages")

    @app.get("/seen")
    def seen() -> Any:
        return told(flask.request.headers) | {"remote": flask.request.environ.get("REMOTE_USER")}

    return app


def api() -> FastAPI:
    app = FastAPI()

    @app.get("/seen")
    async def seen(request: Request) -> Any:
        user = getattr(request.state, "user", None)
        return told(request.headers) | {"remote": None if user is None else user.subject}

    return app


async def talk(scope: Any, receive: Any, send: Any) -> None:
    """A WebSocket that tells in its first message whom it knows."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    fields = {name.decode(): value.decode() for name, value in scope["headers"]}
    await send({"type": "websocket.send", "text": json.dumps(told(fields))})
    await send({"type": "websocket.close"})


def system() -> System:
    return System("divided", apps=[App("pages", pages(), mount="/flask"), App("api", api(), mount="/fast")])


def table(path: Path) -> GatewayTable:
    return GatewayTable(
        routes={"all": GatewayRouteTable("/*", require="anybody")}, keys=KeysTable(str(path / "keys.json"))
    )


def key_in(path: Path) -> str:
    made, key = new_key("shop", roles=("clerk",), tenant="acme")
    write_keys(path / "keys.json", [made])
    return key


@pytest.mark.parametrize("way", ["/flask/seen", "/fast/seen"])
async def test_an_app_behind_the_edge_knows_who_it_is_and_believes_nobody_else(divided, tmp_path: Path, way: str):
    key = key_in(tmp_path)
    async with divided(system=system(), gateway=table(tmp_path)) as placed:
        known = (await placed.browser.get(way, headers={"x-api-key": key, **CLAIMED})).json()
        other = (await placed.browser.get(way, headers=CLAIMED)).json()
    assert known == {"fields": USER, "user": ["key:shop", "shop", ["clerk"], "acme"], "remote": "key:shop"}
    assert other == {"fields": {}, "user": None, "remote": None}


async def test_who_has_many_long_roles_is_known_behind_the_edge(divided, tmp_path: Path):
    """What a token of 16 KiB can say has to fit into that with which the edge hands a request on."""
    made, key = new_key("shop", roles=tuple(f"{number:03}{'r' * 110}" for number in range(100)))
    write_keys(tmp_path / "keys.json", [made])
    async with divided(system=system(), gateway=table(tmp_path)) as placed:
        for _ in range(2):
            answer = await placed.browser.get("/fast/seen", headers={"x-api-key": key})
            assert answer.status_code == 200
            assert answer.json()["remote"] == "key:shop"


async def test_without_a_gateway_nobody_can_say_who_they_are_either(divided):
    async with divided(system=system()) as placed:
        for way in ("/flask/seen", "/fast/seen"):
            found = (await placed.browser.get(way, headers=CLAIMED)).json()
            assert found == {"fields": {}, "user": None, "remote": None}


async def said(port: int, key: str) -> Any:
    """The first message of a WebSocket that is opened with a key, and with what nobody may claim."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    protocol = WSConnection(ConnectionType.CLIENT)
    fields = [(b"x-api-key", key.encode()), *((name.encode(), value.encode()) for name, value in CLAIMED.items())]
    writer.write(protocol.send(Handshake(host="shop.example", target="/talk/x", extra_headers=fields)))
    try:
        async with asyncio.timeout(PATIENCE):
            while data := await reader.read(65536):
                protocol.receive_data(data)
                for event in protocol.events():
                    if isinstance(event, TextMessage):
                        return json.loads(event.data)
                    if isinstance(event, RejectConnection):
                        return event.status_code
    finally:
        writer.close()
    return None


async def test_a_websocket_knows_who_it_is_together_and_behind_the_edge(divided, tmp_path: Path):
    key = key_in(tmp_path)
    apps = System("divided", apps=[App("talk", talk, mount="/talk")])
    async with divided(system=apps, gateway=table(tmp_path)) as placed:
        behind = await said(placed.port, key), await said(placed.port, key + "x")
    options = Options(environment={}, database="sqlite://", directory=tmp_path)
    listen = [Listen("tcp://127.0.0.1:0", public=True)]
    blueprint = Blueprint(apps, Placement(gateway=table(tmp_path)))
    process = Process(blueprint, "main", options=options, listen=listen, tokens=Tokens(new_secret()))
    await process.start()
    port = int(process.addresses[0].rpartition(":")[2])
    together = await said(port, key), await said(port, key + "x")
    await process.stop()
    expected = {"fields": USER, "user": ["key:shop", "shop", ["clerk"], "acme"]}
    assert behind == together == (expected, 401)


async def test_a_repeated_head_is_forwarded_for_whom_it_is_at_that_moment(divided, tmp_path: Path):
    now = 1000.0
    gateway = msgspec.structs.replace(table(tmp_path), sign_in=SignInTable("http://127.0.0.1:9", "shop"))
    async with divided(system=system(), gateway=gateway) as placed:
        sessions = placed.edge._gateway._authenticator.sign_in._sessions
        sessions._now = lambda: now
        headers = {"cookie": f"meristem-session={sessions.begin(Credential(Identity('ada')))}"} | CLAIMED
        seen = [(await placed.browser.get("/fast/seen", headers=headers)).json()["remote"] for _ in range(5)]
        now += 9 * 3600
        seen += [(await placed.browser.get("/fast/seen", headers=headers)).json()["remote"] for _ in range(3)]
        now -= 9 * 3600
        last = (await placed.browser.get("/fast/seen", headers=headers)).json()
    assert seen == ["ada"] * 5 + [None] * 3
    assert (last["remote"], last["fields"]) == ("ada", {"x-meristem-user": "ada"})
