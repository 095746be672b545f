"""Whom the gateway has found is known where a request ends up, behind the edge too, and nobody else can say it."""

from pathlib import Path
from typing import Any

import flask
import pytest
from fastapi import FastAPI, Request

from meristem import App, System, current
from meristem.gateway.identity.api_keys import new_key, write_keys
from meristem.gateway.policy.gateway_table import GatewayTable
from meristem.gateway.policy.identity_tables import KeysTable
from meristem.gateway.policy.route_table import GatewayRouteTable

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


async def test_without_a_gateway_nobody_can_say_who_they_are_either(divided):
    async with divided(system=system()) as placed:
        for way in ("/flask/seen", "/fast/seen"):
            found = (await placed.browser.get(way, headers=CLAIMED)).json()
            assert found == {"fields": {}, "user": None, "remote": None}
