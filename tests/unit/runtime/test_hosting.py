"""Apps that were not written for Meristem run unmodified beside its services, on one port."""

import asyncio
import base64
import os
import threading
from typing import Any, Protocol

import flask
import httpx
import pytest
import quart

from meristem import (
    App,
    CallError,
    Code,
    ConfigurationError,
    Contract,
    Identity,
    MisuseError,
    OperationError,
    Service,
    System,
    block_on,
    current,
    safe,
)  # fmt: skip
from meristem.contracts.call import wait_on
from meristem.hosting.asgi.lifespan import Lifespan
from meristem.runtime.listen import Listen
from meristem.runtime.options import Options
from meristem.runtime.process import Process
from meristem.security.tokens import Tokens, new_secret
from meristem.system.blueprint import Blueprint
from meristem.system.placement import ALONE

PATIENCE = 30  # seconds


class Greeter(Contract, Protocol, package="tests.v1"):
    @safe(http="GET /greet/{name}", timeout=60.0)
    async def greet(self, name: str) -> str: ...


class Who(Contract, Protocol, package="tests.v1"):
    @safe(http="GET /who", authenticated=True)
    async def asks(self) -> str: ...


class WhoService(Who, Service):
    async def asks(self) -> str:
        user = current().user
        assert user is not None
        return user.subject


class GreeterService(Greeter, Service):
    async def greet(self, name: str) -> str:
        return f"Hello, {name}!"


def hosting(app: Any, mount: str = "/") -> System:
    return System("hosting", services=[GreeterService], apps=[App("web", app, mount=mount)])


async def answer(send: Any, text: str, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": text.encode()})


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An ASGI app that knows no lifespan: it fails on every scope but http."""
    assert scope["type"] == "http"
    await answer(send, f"{scope['root_path']}|{scope['path']}")


async def test_an_asgi_app_without_lifespan_is_served(serving):
    async with serving(hosting(bare)) as browser:
        assert (await browser.get("/some/page")).text == "|/some/page"


async def test_an_app_below_a_path_is_told_so_and_its_bare_path_is_redirected(serving):
    async with serving(hosting(bare, "/shop")) as browser:
        assert (await browser.get("/shop/cart")).text == "/shop|/shop/cart"
        moved = await browser.get("/shop?a=1")
        missing = await browser.get("/shopping")

    assert (moved.status_code, moved.headers["location"]) == (307, "/shop/?a=1")
    assert (missing.status_code, missing.json()["status"]) == (404, 404)


async def test_services_answer_beside_the_app(serving):
    async with serving(hosting(bare)) as browser:
        assert (await browser.get("/api/greet/Ada")).json() == "Hello, Ada!"
        assert (await browser.get("/health")).json() == {"status": "ready"}
        assert (await browser.get("/other")).text == "|/other"


async def test_probes_sent_at_once_are_answered_in_turn_and_the_app_takes_what_is_none(serving):
    async with serving(hosting(bare)) as browser:
        reader, writer = await asyncio.open_connection(browser.base_url.host, browser.base_url.port)
        ask = "{} {} HTTP/1.1\r\nhost: x\r\n{}\r\n"
        asked = [("GET", "/health", ""), ("GET", "/health/ready", ""), ("GET", "/healthy", "")]
        asked += [("HEAD", "/health", ""), ("GET", "/health", "connection: close\r\n")]
        writer.write("".join(ask.format(*each) for each in asked).encode())
        answered = (await reader.read()).decode()
        writer.close()

    heads = [line for line in answered.replace("HTTP/1.1", "\nHTTP/1.1").splitlines() if line.startswith("HTTP/1.1")]
    assert heads == ["HTTP/1.1 200 OK"] * 5
    told = ['{"status":"ready"}', "|/health/ready", "|/healthy", '{"status":"ready"}']
    places = [answered.find(each) for each in told[:3]]
    assert places == sorted(places)
    assert answered.endswith(told[3])
    assert "connection: close" in answered


class Living:
    """An ASGI app that says what its lifespan met."""

    def __init__(self, *, fail: str = "") -> None:
        self.fail = fail
        self.met: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await answer(send, scope["state"]["pool"])
            return
        while True:
            event = (await receive())["type"]
            self.met.append(event)
            if self.fail == event:
                await send({"type": f"{event}.failed", "message": "no pool"})
                return
            scope["state"]["pool"] = "a pool"
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return


async def test_a_lifespan_begins_before_and_ends_after_the_requests_which_find_its_state(serving):
    app = Living()
    async with serving(hosting(app)) as browser:
        assert app.met == ["lifespan.startup"]
        assert (await browser.get("/")).text == "a pool"

    assert app.met == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_app_that_cannot_start_stops_the_start_and_is_named(serving):
    with pytest.raises(OperationError, match="app 'web' could not start: no pool"):
        async with serving(hosting(Living(fail="lifespan.startup"))):
            pass


async def test_an_app_that_says_nothing_at_its_start_stops_the_start_and_is_named():
    ended = asyncio.Event()

    async def silent(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    life = Lifespan("web", silent, starting=0.05)
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(OperationError, match=r"app 'web' did not start within 0.05 s: .* lifespan.startup"):
            await life.start()
        await life.stop()

    assert ended.is_set()


async def test_an_app_that_does_not_stop_cleanly_is_logged(serving, caplog):
    async with serving(hosting(Living(fail="lifespan.shutdown"))):
        pass

    assert "app 'web' did not stop cleanly: no pool" in caplog.text


async def test_an_app_that_has_stopped_but_does_not_return_is_not_waited_for(serving):
    class Clinging(Living):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await super().__call__(scope, receive, send)
            await asyncio.Event().wait()

    async with asyncio.timeout(PATIENCE):
        async with serving(hosting(app := Clinging())):
            pass

    assert app.met == ["lifespan.startup", "lifespan.shutdown"]


async def test_an_app_that_never_ends_its_life_keeps_nobody_from_ending(caplog):
    ended = asyncio.Event()

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    life = Lifespan("web", stubborn, patience=0.05)
    await life.start()
    await asyncio.wait_for(life.stop(), 60)

    assert "app 'web' did not stop within 0.05 s" in caplog.text
    await asyncio.wait_for(ended.wait(), 60)


def test_a_thread_does_not_wait_for_a_loop_that_has_ended():
    loop = asyncio.new_event_loop()
    try:
        with pytest.raises(CallError) as caught:
            wait_on(loop, asyncio.sleep(0))
    finally:
        loop.run_until_complete(asyncio.sleep(0))  # what was asked is begun, and so no coroutine is left
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    assert caught.value.code is Code.UNAVAILABLE


async def test_a_flask_app_runs_in_threads_and_waits_for_services(serving):
    site = flask.Flask(__name__)

    @site.get("/hello/<name>")
    def hello(name: str) -> str:
        assert threading.current_thread() is not threading.main_thread()
        return block_on(Greeter.client().greet(name)) + flask.request.script_root + flask.url_for("hello", name="x")

    async with serving(hosting(site, "/flask")) as browser:
        answers = await asyncio.gather(*(browser.get(f"/flask/hello/{number}") for number in range(20)))

    assert [each.text for each in answers] == [f"Hello, {n}!/flask/flask/hello/x" for n in range(20)]


async def test_a_quart_app_awaits_services(serving):
    site = quart.Quart(__name__)
    begun = []

    @site.before_serving
    async def begin() -> None:
        begun.append(await Greeter.client().greet("start"))

    @site.get("/hello/<name>")
    async def hello(name: str) -> str:
        return await Greeter.client().greet(name)

    async with serving(hosting(site)) as browser:
        assert (await browser.get("/hello/Ada")).text == "Hello, Ada!"
        assert (await browser.get("/nothing")).status_code == 404

    assert begun == ["Hello, start!"]


async def test_waiting_where_a_loop_runs_is_refused_with_the_remedy(serving):
    site = quart.Quart(__name__)
    refusals = []

    @site.get("/")
    async def hello() -> str:
        work = Greeter.client().greet("x")
        with pytest.raises(MisuseError) as caught:
            block_on(work)
        refusals.append(str(caught.value))
        return await work

    async with serving(hosting(site)) as browser:
        assert (await browser.get("/")).status_code == 200

    assert refusals == ["an event loop runs here: write `await` instead of block_on(...)"]


async def test_websockets_pass_through(serving):
    site = quart.Quart(__name__)

    @site.websocket("/echo")
    async def echo() -> None:
        await quart.websocket.send(await Greeter.client().greet("socket"))

    async with serving(hosting(site, "/ws")) as browser:
        reader, writer = await asyncio.open_connection(browser.base_url.host, browser.base_url.port)
        key = base64.b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET /ws/echo HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            f"sec-websocket-key: {key}\r\nsec-websocket-version: 13\r\n\r\n".encode()
        )
        async with asyncio.timeout(PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            text, length = await reader.readexactly(2)
            body = await reader.readexactly(length)
            writer.close()
            await writer.wait_closed()

    assert head.startswith(b"HTTP/1.1 101")
    assert (text, body) == (0x81, b"Hello, socket!")


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        ("nowhere.web:app", "there is no 'nowhere'"),
        (42, "42 is int, not an application"),
        (lambda: None, "takes neither \\(scope, receive, send\\) nor \\(environ, start_response\\)"),
    ],
)
async def test_what_is_no_app_is_refused_at_the_start(serving, target, problem):
    with pytest.raises(ConfigurationError, match=problem):
        async with serving(hosting(target)):
            pass


async def test_outside_of_a_system_a_client_says_how_to_reach_one():
    with pytest.raises(MisuseError, match="elsewhere write `async with connect"):
        Greeter.client()


async def test_who_reads_a_bearer_token_may_ask_a_service_for_rest_and_for_rpc(serving):
    async def authenticate(token: str) -> Identity | None:
        return Identity(await Greeter.client().greet(token))

    system = System("asking", services=[WhoService, GreeterService], authenticate=authenticate)
    async with serving(system) as browser:
        browser.headers["authorization"] = "Bearer Ada"
        by_rest = await browser.get("/api/who")
        by_rpc = await browser.post("/tests.v1.Who/Asks", json={})

    assert (by_rest.json(), by_rpc.json()) == ("Hello, Ada!", {"result": "Hello, Ada!"})


async def test_which_paths_of_an_app_are_the_systems_own_is_said_at_the_start(serving, caplog):
    caplog.set_level("INFO", "meristem.hosting")
    site = quart.Quart(__name__, static_folder=None)
    for path in ("/health", "/api/greet/<who>", "/api/other", "/<page>"):
        site.add_url_rule(path, endpoint=path, view_func=lambda **_: "the app's")

    async with serving(hosting(site)) as browser:
        assert (await browser.get("/api/other")).text == "the app's"

    assert [each.getMessage() for each in caplog.records if each.name == "meristem.hosting.shadowing"] == [
        "app 'web' never gets /health: the probe answers there",
        "app 'web' never gets /api/greet/{who}: REST of greeter answers there",
        "app 'web': of its route /{page} the system answers /health (the probe)",
    ]


@pytest.mark.parametrize("services", [[], [GreeterService]])
async def test_below_api_nothing_is_taken_where_rest_has_nothing_to_serve(tmp_path, services):
    system = System("bare", services=services, apps=[App("web", bare)])
    made = Options(environment={}, database="sqlite://", directory=tmp_path)
    listen = [Listen("tcp://127.0.0.1:0", public=True)]
    process = Process(Blueprint(system), ALONE, options=made, listen=listen, tokens=Tokens(new_secret()), api_page=True)
    try:
        await process.start()
        async with httpx.AsyncClient(base_url=process.addresses[0].replace("tcp", "http")) as browser:
            paths = ("/api/docs", "/api/openapi.json", "/api/docs/page.js")
            theirs = [(await browser.get(path)).text == f"|{path}" for path in paths]
            assert theirs == [not services] * 3
    finally:
        await process.stop()
