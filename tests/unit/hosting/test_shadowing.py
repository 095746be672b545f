"""What an app's framework tells of its paths, and which of them the system answers itself."""

import logging
import types

import flask
import pytest
import quart
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from meristem.hosting.app_routes import _of_django, routes_of
from meristem.hosting.shadowing import TakenPath, tell_shadowed

TAKEN = [
    TakenPath("/health", "the probe"),
    TakenPath("/api/orders", "REST of orders", forgives_slash=True),
    TakenPath("/api/orders/{id}", "REST of orders", forgives_slash=True),
    TakenPath("/api/orders/{id}.pdf", "REST of orders", forgives_slash=True),
    TakenPath("/shop.v1.Orders/Place", "RPC of orders"),
]


def view(**_: object) -> None: ...


def by_fastapi() -> FastAPI:
    app, router, inner = FastAPI(openapi_url=None), APIRouter(prefix="/orders"), APIRouter()
    router.get("/{id}")(view)
    inner.websocket("/live/{room}")(view)
    router.include_router(inner)
    app.include_router(router, prefix="/api")
    app.get("/files/{rest:path}")(view)
    return app


def by_starlette(static) -> Starlette:
    inner = [Route("/", view), Route("/{id:int}", view)]
    return Starlette(
        routes=[
            Mount("/orders", routes=inner),
            Mount("/static", StaticFiles(directory=static)),
            WebSocketRoute("/live", view),
            Host("api.shop.test", Starlette(routes=[Route("/of-another-host", view)])),
        ]
    )


def by_werkzeug(app):
    app.add_url_rule("/orders/<int:id>", view_func=view, methods=["GET"], endpoint="a")
    app.add_url_rule("/orders/<int:id>", view_func=view, methods=["POST"], endpoint="b")
    app.add_url_rule("/files/<path:rest>", view_func=view, endpoint="c")
    app.add_url_rule("/<any(de, fr):language>/<name>", view_func=view, endpoint="d")
    return app


def test_frameworks_tell_their_paths(tmp_path):
    assert routes_of(by_fastapi()) == ["/api/orders/{id}", "/api/orders/live/{room}", "/files/{rest:path}"]
    assert routes_of(by_starlette(tmp_path)) == ["/orders/", "/orders/{id:int}", "/static/{path:path}", "/live"]
    told = ["/orders/{id}", "/files/{path:path}", "/{language}/{name}"]
    assert routes_of(by_werkzeug(flask.Flask("pages", static_folder=None))) == told
    assert routes_of(by_werkzeug(quart.Quart("pages", static_folder=None))) == told
    assert routes_of(view) == []
    assert routes_of(types.SimpleNamespace(routes="nonsense", url_map=None)) == []


def test_django_tells_its_paths():
    def pattern(text, *below):
        return types.SimpleNamespace(pattern=text, **({"url_patterns": below} if below else {}))

    urls = [pattern("orders/", pattern("<int:id>/"), pattern("")), pattern(r"^old/(\d+)$"), pattern("f/<path:rest>")]
    assert list(_of_django(urls, "/")) == ["/orders/{id}/", "/orders/", "/f/{path:path}"]


@pytest.mark.parametrize(
    ("route", "by"),
    [
        ("/health", "the probe"),
        ("/api/orders", "REST of orders"),
        ("/api/orders/", "REST of orders"),
        ("/api/orders/{number}", "REST of orders"),
        ("/api/orders/latest", "REST of orders"),
        ("/shop.v1.Orders/Place", "RPC of orders"),
    ],
)
def test_a_route_that_is_wholly_the_systems_is_warned_of(caplog, route, by):
    tell_shadowed("web", "/", [route], TAKEN)
    assert caplog.messages == [f"app 'web' never gets {route}: {by} answers there"]


@pytest.mark.parametrize(
    ("route", "named"),
    [
        ("/{page}", "/health (the probe)"),
        ("/api/{kind}/{id}.pdf", "/api/orders/{id} (REST of orders), /api/orders/{id}.pdf (REST of orders)"),
        (
            "/{rest:path}",
            "/health (the probe), /api/orders (REST of orders), /api/orders/{id} (REST of orders) and 2 more",
        ),
        (
            "/api/orders/{rest:path}",
            "/api/orders (REST of orders), /api/orders/{id} (REST of orders), /api/orders/{id}.pdf (REST of orders)",
        ),
        ("/shop.v1.Orders/{verb}", "/shop.v1.Orders/Place (RPC of orders)"),
    ],
)
def test_of_a_route_that_is_the_systems_in_part_that_part_is_told(caplog, route, named):
    caplog.set_level(logging.INFO)
    tell_shadowed("web", "/", [route], TAKEN)
    assert caplog.messages == [f"app 'web': of its route {route} the system answers {named}"]


@pytest.mark.parametrize(
    "route", ["/", "/health/", "/health/live", "/api", "/api/basket", "/api/orders/{number}/lines", "/shop.v1.Orders"]
)
def test_of_all_other_routes_nothing_is_said(caplog, route):
    caplog.set_level(logging.INFO)
    tell_shadowed("web", "/", [route], TAKEN)
    assert caplog.messages == []


def test_a_mount_is_a_part_of_the_path(caplog):
    caplog.set_level(logging.INFO)
    tell_shadowed("web", "/shop", ["/health", "/api/orders"], TAKEN)
    assert caplog.messages == []
    tell_shadowed("web", "/api/", ["/orders"], TAKEN)
    assert caplog.messages == ["app 'web' never gets /api/orders: REST of orders answers there"]
