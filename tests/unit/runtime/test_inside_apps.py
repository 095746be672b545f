"""What code inside of a hosted app finds of the system: the trace, the deadline, who has signed in."""

import asyncio
import logging
from functools import partial
from typing import Any, Protocol

import flask
import pytest
from fastapi import FastAPI, Request, WebSocket
from starlette.middleware.gzip import GZipMiddleware

from meristem import (
    App,
    CallError,
    Code,
    ConfigurationError,
    Contract,
    Identity,
    Message,
    Service,
    System,
    Travelling,
    block_on,
    current,
    safe,
    using,
)
from meristem.system.placement import Placement
from meristem.system.placement_tables import Telemetry
from tests.suites.trace_context import CASES, PARENT, SPAN, TRACE, asked

Locale = Travelling[str]("inside.locale", default="en", public=True)
Tenant = Travelling[str]("inside.tenant", default="nobody")
RECORDED = Placement(telemetry=Telemetry(traces_per_second=1e6))
UNRECORDED = Placement(telemetry=Telemetry(traces_per_second=0))
PATIENCE = 60  # seconds


class Seen(Message):
    """What a service found in its context, and what of it the app's outgoing requests say."""

    trace: str
    state: str
    user: str | None
    remaining: float
    locale: str
    tenant: str


class Mirror(Contract, Protocol, package="tests.inside.v1"):
    @safe(timeout=60.0)
    async def seen(self) -> Seen: ...

    @safe(timeout=60.0)
    async def subject(self, token: str) -> str | None: ...


class MirrorService(Mirror, Service):
    async def seen(self) -> Seen:
        context = current()
        assert context.trace is not None
        return Seen(
            trace=context.trace.trace_id,
            state=context.trace.state,
            user=None if context.user is None else context.user.subject,
            remaining=context.remaining() or 0.0,
            locale=Locale.get(),
            tenant=Tenant.get(),
        )

    async def subject(self, token: str) -> str | None:
        if token == "outage":
            raise CallError(Code.UNAVAILABLE, "nobody knows")
        return token.removeprefix("user-") if token.startswith("user-") else None


def told(seen: Seen, headers: Any) -> dict[str, Any]:
    own = {name: value for name, value in headers.items() if name.lower() in ("traceparent", "tracestate")}
    return {
        "service": {name: getattr(seen, name) for name in seen.__struct_fields__},
        "out": current().headers(),
        "in": {name.lower(): value for name, value in own.items()},
    }


def pages() -> flask.Flask:
    app = flask.Flask("pages")

    @app.get("/seen")
    def seen() -> Any:
        return told(block_on(Mirror.client().seen()), flask.request.headers)

    return app


def api() -> FastAPI:
    app = FastAPI()

    @app.get("/seen")
    async def seen(request: Request) -> Any:
        return told(await Mirror.client().seen(), request.headers)

    @app.get("/sync")
    def in_thread(request: Request) -> Any:
        return told(block_on(Mirror.client().seen()), request.headers)

    @app.websocket("/socket")
    async def socket(ws: WebSocket) -> None:
        await ws.accept()
        await ws.send_json(told(await Mirror.client().seen(), ws.headers))
        await ws.close()

    return app


async def authenticate(token: str) -> Identity | None:
    if token == "bug":
        raise ValueError("no such token")
    subject = await Mirror.client().subject(token)
    return None if subject is None else Identity(subject)


def hosting() -> System:
    apps = [App("pages", pages(), mount="/flask"), App("api", api(), mount="/fast")]
    return System("inside", services=[MirrorService], apps=apps, authenticate=authenticate)


WAYS = ["/flask/seen", "/fast/seen", "/fast/sync"]


@pytest.mark.parametrize("way", WAYS)
async def test_a_trace_goes_into_and_out_of_an_app_in_every_case_of_the_recommendation(serving, way):
    wrong = []
    async with serving(hosting(), placement=RECORDED) as browser:
        for name, case in CASES.items():
            found = await asked(browser.base_url.port, way, *case.lines)
            _, trace, span, sampled = found["out"]["traceparent"].split("-")
            states = {found["service"]["state"], found["out"].get("tracestate", ""), found["in"].get("tracestate", "")}
            traces = {trace, found["service"]["trace"]}
            sound = states == {case.state if case.goes_on else ""} and len(traces) == 1
            # the app's own instruments read the head, where they find what its calls go on with
            sound = sound and found["in"]["traceparent"] == found["out"]["traceparent"]
            # what is recorded is a span of its own; what is not goes on below the client's
            if not sound or (traces == {TRACE}) != case.goes_on or (span == SPAN) != (sampled == "00"):
                wrong.append((name, found))
    assert not wrong


@pytest.mark.parametrize("way", WAYS)
async def test_a_trace_that_is_not_recorded_goes_through_an_app_all_the_same(serving, way):
    async with serving(hosting(), placement=UNRECORDED) as browser:
        found = await asked(browser.base_url.port, way, PARENT, ("tracestate", "foo=1"))
        begun = await asked(browser.base_url.port, way)

    version, trace, span, flags = found["out"]["traceparent"].split("-")
    assert (version, trace, flags, found["out"]["tracestate"]) == ("00", TRACE, "00", "foo=1")
    assert span != SPAN  # it was sampled, and is no longer: that is a position of its own
    assert (found["service"]["trace"], found["service"]["state"]) == (TRACE, "foo=1")
    assert begun["out"]["traceparent"] == begun["in"]["traceparent"]
    assert begun["service"]["trace"] in begun["out"]["traceparent"]


@pytest.mark.parametrize("way", WAYS)
async def test_the_deadline_of_a_request_reaches_what_the_app_calls(serving, way):
    async with serving(hosting()) as browser:
        soon = await asked(browser.base_url.port, way, ("connect-timeout-ms", "30000"))
        unlimited = await asked(browser.base_url.port, way)
        malformed = await asked(browser.base_url.port, way, ("connect-timeout-ms", "-1"))

    assert 0 < soon["service"]["remaining"] <= 30
    assert 0 < int(soon["out"]["connect-timeout-ms"]) <= 30_000
    assert unlimited["service"]["remaining"] > 30
    assert "connect-timeout-ms" not in unlimited["out"]
    assert "connect-timeout-ms" not in malformed["out"]


@pytest.mark.parametrize("way", WAYS)
async def test_who_has_signed_in_is_the_user_of_what_the_app_calls_and_all_others_are_anonymous(serving, way, caplog):
    async with serving(hosting()) as browser:
        users = [
            (await asked(browser.base_url.port, way, *(("authorization", each) for each in lines)))["service"]["user"]
            for lines in (["Bearer user-ada"], ["bearer user-bob"], [], ["Bearer expired"], ["Basic dXNlcg=="])
        ]
        assert users == ["ada", "bob", None, None, None]

        for outage in ("Bearer outage", "Bearer bug"):
            found = await asked(browser.base_url.port, way, ("authorization", outage))
            assert found["service"]["user"] is None
    assert caplog.text.count("who asks could not be found out, so it is anonymous") == 2


async def test_of_the_values_that_travel_a_request_brings_the_public_ones(serving):
    async with serving(hosting()) as browser:
        for way in WAYS:
            sent = ("baggage", "inside.locale=de,inside.tenant=acme,other=1")
            found = (await asked(browser.base_url.port, way, sent))["service"]
            assert (found["locale"], found["tenant"]) == ("de", "nobody")
            twice = ("baggage", "inside.locale=de,inside.locale=fr")
            assert (await asked(browser.base_url.port, way, twice))["service"]["locale"] == "en"


def test_nothing_of_this_system_alone_is_among_the_headers_for_others():
    assert current().headers() == {}
    with Tenant.using("acme"), using(user=Identity("ada"), key="k-1", deadline=0.0):
        assert current().headers() == {"connect-timeout-ms": "1"}


async def test_each_request_to_an_app_has_a_line_in_the_log(serving, caplog):
    caplog.set_level(logging.INFO)

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/half":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ValueError("a bug")

    system = hosting()
    system.apps = (*system.apps, App("broken", broken))
    async with serving(system) as browser:
        await browser.get("/flask/seen?token=s3cret")
        await browser.get("/flask/nowhere")
        await browser.get("/fast/caf%C3%A9%0A")
        await browser.get("/")
        with pytest.raises(Exception, match="peer closed"):
            await browser.get("/half")
        await browser.get("/health")
        reader, writer = await asyncio.open_connection("127.0.0.1", browser.base_url.port)
        writer.write(
            b"GET /fast/socket?token=s3cret HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n\r\n"
        )
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b"}}")
        writer.close()

    lines = [each for each in caplog.records if each.name == "meristem.access"]
    assert [each.getMessage() for each in lines] == [
        "GET /flask/seen 200",
        "GET /flask/nowhere 404",
        "GET /fast/caf%C3%A9%0A 404",
        "GET / 500",
        "GET /half 200, cut off",
        "GET /fast/socket 101",
    ]
    assert [each.getMessage() for each in caplog.records if "fast/socket" in each.getMessage()] == [
        "GET /fast/socket 101"
    ]  # and none of the protocol's own, which would have the query
    assert {(each.client, each.status) for each in lines[:2]} == {("127.0.0.1", 200), ("127.0.0.1", 404)}
    assert all(each.seconds >= 0 for each in lines)


async def test_what_reaches_no_app_has_a_line_in_the_log_too(serving, caplog):
    caplog.set_level(logging.INFO, "meristem.access")
    forged = {"forwarded": "for=1.1.1.1", "x-forwarded-for": "203.0.113.7"}
    placement = Placement(server={"trusted_proxies": ["127.0.0.1"]})
    async with serving(hosting(), placement=placement) as browser:
        await browser.get("/nowhere?token=s3cret", headers={"x-forwarded-for": "203.0.113.9"})
        await browser.get("/flask")
        await browser.get("/flask/seen", headers=forged)

    lines = [each for each in caplog.records if each.name == "meristem.access"]
    assert [(each.getMessage(), each.client) for each in lines] == [
        ("GET /nowhere 404", "203.0.113.9"),
        ("GET /flask 307", "127.0.0.1"),
        ("GET /flask/seen 400", "127.0.0.1"),
    ]


@pytest.mark.parametrize("rest", [b"", b"no size\r\n"], ids=["leaves", "sends nonsense"])
async def test_an_upload_that_is_cut_short_is_no_failure_of_its_app(serving, caplog, rest):
    caplog.set_level(logging.INFO)
    api, reads = FastAPI(), asyncio.Event()

    @api.post("/upload")
    async def upload(request: Request) -> int:
        reads.set()
        return len(await request.body())

    async with serving(System("cut", apps=[App("api", api)])) as browser:
        _, writer = await asyncio.open_connection("127.0.0.1", browser.base_url.port)
        writer.write(b"POST /upload HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n5\r\nabcde\r\n")
        await asyncio.wait_for(reads.wait(), PATIENCE)
        writer.write(rest)
        writer.close()
        async with asyncio.timeout(PATIENCE):
            while not any("499" in each.getMessage() for each in caplog.records):
                await asyncio.sleep(0.01)
            while not any("ended, for its client had left" in each.getMessage() for each in caplog.records):
                await asyncio.sleep(0.01)

    assert [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR] == []


async def test_an_access_log_that_is_switched_off_is_empty(serving, caplog):
    caplog.set_level(logging.INFO, "meristem.access")
    async with serving(hosting(), placement=Placement(telemetry=Telemetry(access_log=False))) as browser:
        assert (await browser.get("/fast/seen")).status_code == 200
    assert not [each for each in caplog.records if each.name == "meristem.access"]


async def test_the_limit_of_an_app_reaches_what_it_calls_and_a_request_may_leave_less(serving):
    system = System("inside", services=[MirrorService], apps=[App("pages", pages(), timeout=20)])
    async with serving(system) as browser:
        own = await asked(browser.base_url.port, "/seen")
        less = await asked(browser.base_url.port, "/seen", ("connect-timeout-ms", "5000"))
        more = await asked(browser.base_url.port, "/seen", ("connect-timeout-ms", "50000"))
    assert 5 < own["service"]["remaining"] <= 20
    assert 0 < less["service"]["remaining"] <= 5
    assert 5 < more["service"]["remaining"] <= 20


class Stamp:
    """ASGI middleware as anybody writes it; it may ask who has signed in."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def stamped(message: Any) -> None:
            if message["type"] == "http.response.start":
                user = current().user
                text = b"nobody" if user is None else user.subject.encode()
                message["headers"] = [*message["headers"], (b"x-stamp", text)]
            await send(message)

        await self.app(scope, receive, stamped)


@pytest.mark.parametrize("app", [pages, api])
async def test_middleware_stands_before_an_app_whatever_it_speaks(serving, app):
    layers = [partial(GZipMiddleware, minimum_size=10), Stamp]
    system = System(
        "inside",
        services=[MirrorService],
        apps=[App("app", app(), middleware=layers)],
        authenticate=authenticate,
    )
    async with serving(system) as browser:
        answer = await browser.get("/seen", headers={"authorization": "Bearer user-ada", "accept-encoding": "gzip"})
    assert (answer.headers["x-stamp"], answer.headers["content-encoding"]) == ("ada", "gzip")
    assert answer.json()["service"]["user"] == "ada"


async def test_middleware_is_named_by_text_and_what_is_none_is_refused(serving, tmp_path):
    (tmp_path / "layers_of_a_test.py").write_text(
        "def broken(app): raise KeyError('SETTING')\ndef nothing(app): ...\ndef same(app): return app\n"
    )
    async with serving(System("inside", apps=[App("app", pages(), middleware=["layers_of_a_test:same"])])):
        pass
    for named, problem in (("broken", r"failed: KeyError: 'SETTING'"), ("nothing", "gave NoneType; it must give")):
        system = System("inside", apps=[App("app", pages(), middleware=[f"layers_of_a_test:{named}"])])
        with pytest.raises(ConfigurationError, match=rf"app 'app': middleware 'layers_of_a_test:{named}' {problem}"):
            async with serving(system):
                pass
