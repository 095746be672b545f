"""An error of a view is answered as REST would answer it, by one line in an app of any framework."""

import asyncio
import sys
import types
from typing import Any, Protocol

import django
import flask
import httpx
import pytest
import quart
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.urls import path
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from meristem import (
    App,
    CallError,
    Code,
    Contract,
    Fault,
    FieldViolation,
    MisuseError,
    Service,
    System,
    answer_errors,
    block_on,
    operation,
    safe,
)
from meristem.telemetry.console_lines import ConsoleFormatter
from meristem.telemetry.json_lines import JsonFormatter

PATIENCE = 60  # seconds


class NoFunds(Fault, status=402):
    """There is not enough money."""

    missing: int


class Bank(Contract, Protocol, package="tests.apperrors.v1"):
    @operation(http="POST /fault", raises=[NoFunds])
    async def fault(self) -> None: ...

    @safe(http="GET /own")
    async def own(self) -> None: ...

    @safe(http="GET /field")
    async def field(self) -> None: ...

    @safe(http="GET /stranger")
    async def stranger(self) -> None: ...

    @safe
    async def crowded(self) -> None: ...


OWN = {
    "own": CallError(Code.NOT_FOUND, "there is no such account"),
    "field": CallError(Code.INVALID_ARGUMENT, "odd", violations=(FieldViolation("amount", "must be positive"),)),
    "stranger": CallError(Code.UNAUTHENTICATED, "sign in first"),
}


class BankService(Bank, Service):
    async def fault(self) -> None:
        raise NoFunds(missing=5)

    async def own(self) -> None:
        raise OWN["own"]

    async def field(self) -> None:
        raise OWN["field"]

    async def stranger(self) -> None:
        raise OWN["stranger"]

    async def crowded(self) -> None:
        raise CallError(Code.RESOURCE_EXHAUSTED, "the queue at tcp://10.0.0.5 is full", retry_after=3)


async def view(kind: str) -> str:
    """What the views of all apps do."""
    if kind == "fault":
        await Bank.client().fault()
    elif kind == "crowded":
        await Bank.client().crowded()
    elif kind == "undefined":
        raise NoFunds(missing=object())
    elif kind.startswith("no"):
        raise OWN["own"]
    elif kind in OWN:
        raise OWN[kind]
    elif kind == "bug":
        raise ValueError("s3cret")
    return "fine"


def by_flask(*, answered: bool = True) -> flask.Flask:
    app = flask.Flask("pages")
    if answered:
        answer_errors(app)
    app.add_url_rule("/<kind>", view_func=lambda kind: block_on(view(kind)), methods=["GET", "POST"], endpoint="view")
    return app


def by_quart() -> quart.Quart:
    app = quart.Quart("pages")
    answer_errors(app)
    app.add_url_rule("/<kind>", view_func=view, methods=["GET", "POST"])
    return app


def by_fastapi() -> FastAPI:
    app = FastAPI()
    answer_errors(app)
    app.api_route("/{kind}", methods=["GET", "POST"])(view)

    @app.websocket("/socket/{kind}")
    async def socket(ws: WebSocket, kind: str) -> None:
        await ws.accept()
        await view(kind)

    return app


def by_starlette() -> Starlette:
    async def endpoint(request: Any) -> Any:
        return PlainTextResponse(await view(request.path_params["kind"]))

    app = Starlette(routes=[Route("/{kind}", endpoint, methods=["GET", "POST"])])
    answer_errors(app)
    return app


def by_django(make: Any) -> Any:
    if not settings.configured:
        urls: Any = types.ModuleType("urls_of_a_test")
        urls.handler500 = "meristem.frameworks.django.server_error"
        urls.urlpatterns = [path("async/<kind>", _async_view), path("<kind>", _sync_view)]
        sys.modules["urls_of_a_test"] = urls
        settings.configure(
            ALLOWED_HOSTS=["*"],
            LOGGING_CONFIG=None,
            MIDDLEWARE=["meristem.frameworks.django.ErrorAnswers"],
            ROOT_URLCONF="urls_of_a_test",
            SECRET_KEY="of a test",
        )
        django.setup()
    return make()


async def _async_view(_: Any, kind: str) -> Any:
    return django.http.HttpResponse(await view(kind))


def _sync_view(_: Any, kind: str) -> Any:
    return django.http.HttpResponse(block_on(view(kind)))


APPS = {
    "flask": (by_flask, "/app"),
    "quart": (by_quart, "/app"),
    "fastapi": (by_fastapi, "/app"),
    "starlette": (by_starlette, "/app"),
    "django by WSGI": (lambda: by_django(get_wsgi_application), "/app"),
    "django by ASGI": (lambda: by_django(get_asgi_application), "/app"),
    "async views of django": (lambda: by_django(get_asgi_application), "/app/async"),
}
ALL = pytest.mark.parametrize("framework", APPS)


def hosting(app: Any) -> System:
    return System("apperrors", services=[BankService], apps=[App("app", app, mount="/app")])


def seen(answer: httpx.Response) -> tuple[int, dict[str, str], dict[str, Any]]:
    fields = {name: answer.headers[name] for name in FIELDS if name in answer.headers}
    return answer.status_code, fields, {name: value for name, value in answer.json().items() if name != "instance"}


FIELDS = ("content-type", "x-content-type-options", "www-authenticate", "retry-after")


@ALL
async def test_a_fault_and_a_call_error_are_answered_as_rest_answers_them(serving, framework):
    make, where = APPS[framework]
    async with serving(hosting(make())) as browser:
        for verb, kind in (("POST", "fault"), ("GET", "own"), ("GET", "field"), ("GET", "stranger")):
            by_rest = await browser.request(verb, f"/api/{kind}")
            by_app = await browser.request(verb, f"{where}/{kind}")
            assert seen(by_app) == seen(by_rest)
            assert by_app.json()["instance"] == f"{where}/{kind}"
        assert (await browser.get(f"{where}/fine")).text.strip('"') == "fine"
    assert by_rest.status_code == 401


@ALL
async def test_of_an_error_of_a_call_below_only_the_code_leaves(serving, framework, caplog):
    make, where = APPS[framework]
    trace = "12345678901234567890123456789012"
    async with serving(hosting(make())) as browser:
        answer = await browser.get(f"{where}/crowded", headers={"traceparent": f"00-{trace}-1234567890123456-00"})

    status, fields, problem = seen(answer)
    assert (status, fields["retry-after"], problem["code"]) == (429, "3", "resource_exhausted")
    assert problem["detail"] == f"GET {where}/crowded failed; the log says why under trace {trace}. Try again"
    assert "10.0.0.5" not in answer.text
    assert "the queue at tcp://10.0.0.5 is full" in caplog.text


@ALL
async def test_what_nobody_expected_is_a_sentence_and_a_trace(serving, framework, caplog):
    make, where = APPS[framework]
    async with serving(hosting(make())) as browser:
        answer = await browser.get(f"{where}/bug")
        undefined = await browser.get(f"{where}/undefined")

    status, _, problem = seen(answer)
    assert (status, problem["code"], answer.headers["content-type"]) == (500, "internal", "application/problem+json")
    assert problem["detail"].startswith(f"GET {where}/bug failed; the log says why under trace ")
    assert "s3cret" not in answer.text
    assert caplog.text.count("ValueError: s3cret") == 1  # by the framework or by the server, as without us
    assert seen(undefined)[0] == 500
    assert "the fields of NoFunds are not as declared" in caplog.text


@pytest.mark.parametrize("framework", ["django by WSGI", "django by ASGI"])
async def test_a_warning_of_django_is_told_without_the_query_of_its_request(serving, framework, caplog):
    async with serving(hosting(APPS[framework][0]())) as browser:
        assert (await browser.get("/app/no/where", params={"token": "s3cret"})).status_code == 404

    [record] = [each for each in caplog.records if each.name == "django.request"]
    assert "s3cret" in repr(record.request)
    told = [each.format(record) for each in (JsonFormatter(), ConsoleFormatter(terminal=False))]
    assert all("Not Found: /app/no/where" in line and "404" in line and "s3cret" not in line for line in told)


async def test_a_page_of_the_apps_own_for_errors_stays(serving):
    before, after = flask.Flask("before"), flask.Flask("after")
    before.register_error_handler(500, lambda _: ("our own page", 500))
    answer_errors(before)
    answer_errors(after)
    after.register_error_handler(500, lambda _: ("our own page", 500))
    for app in (before, after):
        app.add_url_rule("/<kind>", view_func=lambda kind: block_on(view(kind)), endpoint="view")
        app.add_url_rule("/abort", view_func=lambda: flask.abort(500, "as the app says"))
        async with serving(hosting(app)) as browser:
            assert (await browser.get("/app/bug")).text == "our own page"
            assert (await browser.get("/app/own")).status_code == 404

    async with serving(hosting(aborting := flask.Flask("aborting"))) as browser:
        answer_errors(aborting)
        aborting.add_url_rule("/abort", view_func=lambda: flask.abort(500, "as the app says"))
        assert "as the app says" in (await browser.get("/app/abort")).text


@pytest.mark.parametrize(("kind", "told"), [("fault", (1008).to_bytes(2, "big")), ("bug", b"")])
async def test_an_error_in_a_websocket_closes_it(serving, kind, told):
    async with serving(hosting(by_fastapi())) as browser:
        reader, writer = await asyncio.open_connection("127.0.0.1", browser.base_url.port)
        writer.write(
            f"GET /app/socket/{kind} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
            frame = await reader.read()
        writer.close()
    assert frame[2:4] == told


async def test_without_a_system_the_answer_is_the_same_but_for_the_trace():
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(by_starlette(), raise_app_exceptions=False), base_url="http://alone"
    ) as browser:
        assert (await browser.get("/own")).json()["detail"] == "there is no such account"
        assert (await browser.get("/bug")).json()["detail"] == "GET /bug failed; the log says why"


def test_what_is_of_no_known_framework_is_refused_with_the_remedy():
    async def bare(scope: Any, receive: Any, send: Any) -> None: ...

    with pytest.raises(MisuseError, match="takes an app of FastAPI, Starlette, Flask or Quart, not builtins.function"):
        answer_errors(bare)


@ALL
async def test_the_place_of_an_error_is_told_as_a_sound_reference(serving, framework):
    make, where = APPS[framework]
    async with serving(hosting(make())) as browser:
        answer = await browser.get(f"{where}/no%22%0A%C3%A9")
    assert answer.status_code == 404
    assert answer.json()["instance"] == f"{where}/no%22%0A%C3%A9"
